/*
Copyright 2026 The Dynamic MCP Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package standalone

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
)

// parametersOf are GatewayParameters "p" with a spec.
func parametersOf(spec string) string {
	return fmt.Sprintf(`
apiVersion: gateway.kgateway.dev/v1alpha1
kind: GatewayParameters
metadata: {name: p}
spec: {%s}
`, spec)
}

// withParameters makes the Gateway refer to them.
func withParameters(gateway string) string {
	return strings.Replace(gateway, "spec: {gatewayClassName: agentgateway,", "spec: {gatewayClassName: agentgateway, "+
		"infrastructure: {parametersRef: {group: gateway.kgateway.dev, kind: GatewayParameters, name: p}},", 1)
}

// originStatus is the status of the answer to a preflight request of a web page.
func originStatus(t *testing.T, url, origin string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	r.Header.Set("Origin", origin)
	r.Header.Set("Access-Control-Request-Method", http.MethodPost)
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func TestParametersHoldInPlaceOfOptions(t *testing.T) {
	g := NewWithT(t)
	ports := servertest.FreePorts(2)
	directory := t.TempDir()
	write(t, directory, "tools.yaml", toolsBackend+"---"+serviceAt("one", "enabled", mcpServer(t, "one")))
	write(t, directory, "other.yaml", gatewayOn("other", ports[1]))
	write(t, directory, "gw.yaml", withParameters(gatewayOn("gw", ports[0])))
	write(t, directory, "p.yaml", parametersOf("allowedOrigins: [https://a.example.com], requestBodyLimit: 1Ki, sessionLifetime: 12h"))
	start(t, directory, func(o *Options) { o.AllowedOrigins = []string{"https://flag.example.com"} })

	url, other := fmt.Sprintf("http://127.0.0.1:%d/mcp", ports[0]), fmt.Sprintf("http://127.0.0.1:%d/mcp", ports[1])
	g.Expect(originStatus(t, url, "https://a.example.com")).To(Equal(http.StatusNoContent))
	g.Expect(originStatus(t, url, "https://flag.example.com")).To(Equal(http.StatusForbidden))
	g.Expect(originStatus(t, other, "https://flag.example.com")).To(Equal(http.StatusNoContent))
	status, _, _ := rawPost(t, url, "", initialize+strings.Repeat(" ", 1024))
	g.Expect(status).To(Equal(http.StatusRequestEntityTooLarge))
	status, _, _ = rawPost(t, other, "", initialize+strings.Repeat(" ", 1024))
	g.Expect(status).To(Equal(http.StatusOK))
}

func TestSessionsOutliveAChangeOfParameters(t *testing.T) {
	g := NewWithT(t)
	port := servertest.FreePort("127.0.0.1")
	directory := t.TempDir()
	write(t, directory, "all.yaml", withParameters(gatewayOn("gw", port))+"---"+toolsBackend+"---"+
		serviceAt("one", "enabled", mcpServer(t, "one")))
	write(t, directory, "p.yaml", parametersOf("allowedOrigins: [https://a.example.com]"))
	i := start(t, directory)
	url := fmt.Sprintf("http://127.0.0.1:%d/mcp", port)
	_, header, _ := rawPost(t, url, "", initialize)
	call := func() (int, string) {
		status, _, body := rawPost(t, url, header.Get("Mcp-Session-Id"), callOne)
		return status, body
	}

	write(t, directory, "p.yaml", parametersOf("allowedOrigins: [https://b.example.com]"))
	g.Eventually(func() int { return originStatus(t, url, "https://b.example.com") }).WithTimeout(patience).Should(Equal(http.StatusNoContent))
	g.Expect(originStatus(t, url, "https://a.example.com")).To(Equal(http.StatusForbidden))
	status, body := call()
	g.Expect(status).To(Equal(http.StatusOK), body)

	// References that lead nowhere leave what is served as it is.
	write(t, directory, "p.yaml", strings.Replace(parametersOf("allowedOrigins: [https://c.example.com]"), "name: p", "name: q", 1))
	i.eventually(t, "GatewayParameters default/p do not exist")
	g.Expect(originStatus(t, url, "https://b.example.com")).To(Equal(http.StatusNoContent))
	status, body = call()
	g.Expect(status).To(Equal(http.StatusOK), body)
}
