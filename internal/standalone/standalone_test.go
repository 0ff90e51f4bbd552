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
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
)

func TestAnEditReachesConnectedClients(t *testing.T) {
	g := NewWithT(t)
	one, two := mcpServer(t, "one", "same"), mcpServer(t, "same", "two")
	port := servertest.FreePort("127.0.0.1")
	directory := t.TempDir()
	write(t, directory, "gateway.yaml", gatewayOn("gw", port)+"---"+toolsBackend)
	write(t, directory, "one.yaml", serviceAt("one", "enabled", one))
	write(t, directory, "two.yaml", serviceAt("two", "disabled", two))
	i := start(t, directory)
	g.Expect(i.out.String()).To(And(
		ContainSubstring(fmt.Sprintf("default/gw   http://127.0.0.1:%d/mcp   default/gw   default/tools", port)),
		ContainSubstring("http://"+strings.Replace(one, "127.0.0.1", "localhost", 1)+"/mcp   yes")))

	c := connect(t, fmt.Sprintf("http://127.0.0.1:%d/mcp", port))
	g.Expect(c.tools(t)).To(Equal([]string{"one", "same"}))

	begun := time.Now()
	write(t, directory, "two.yaml", serviceAt("two", "enabled", two))
	g.Eventually(c.changed).WithTimeout(patience).Should(Receive())
	t.Logf("the client was told of the edit after %v", time.Since(begun))
	g.Eventually(func() []string { return c.tools(t) }).WithTimeout(patience).Should(ConsistOf("one", "same", "two_same", "two"))
	g.Expect(c.call(t, "two_same")).To(Equal("same"))
	g.Expect(c.call(t, "one")).To(Equal("one"))

	// The elder Service goes, in the same file as a newcomer comes: the file is shorter, and the names stay.
	g.Expect(os.Remove(filepath.Join(directory, "two.yaml"))).To(Succeed())
	g.Eventually(func() []string { return c.tools(t) }).WithTimeout(patience).Should(ConsistOf("one", "same"))
	g.Expect(c.call(t, "one")).To(Equal("one"))
}

func TestABadEditChangesNothing(t *testing.T) {
	g := NewWithT(t)
	port := servertest.FreePort("127.0.0.1")
	directory := t.TempDir()
	write(t, directory, "gateway.yaml", gatewayOn("gw", port)+"---"+toolsBackend)
	write(t, directory, "one.yaml", serviceAt("one", "enabled", mcpServer(t, "one")))
	i := start(t, directory)
	c := connect(t, fmt.Sprintf("http://127.0.0.1:%d/mcp", port))
	printed := i.out.String()

	for name, edit := range map[string]struct{ content, told string }{
		"an unknown field":   {strings.Replace(toolsBackend, "selector:", "selektor:", 1), `did you mean "selector"?`},
		"no YAML":            {"a: [", "not valid YAML"},
		"a rule of webhooks": {strings.Replace(toolsBackend, "mcp: enabled}}", "mcp: enabled}}, protocol: SSE", 1), "label selectors support only StreamableHTTP"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			write(t, directory, "bad.yaml", strings.Replace(edit.content, "name: tools}\n", "name: bad}\n", 1))
			g.Eventually(i.err.String).WithTimeout(patience).Should(And(ContainSubstring("bad.yaml:"), ContainSubstring(edit.told)))
			g.Eventually(i.log.String).WithTimeout(patience).Should(ContainSubstring("what was served before goes on being served"))
			g.Expect(c.call(t, "one")).To(Equal("one"))
			g.Expect(i.out.String()).To(Equal(printed))
		})
	}
	write(t, directory, "bad.yaml", serviceAt("good", "enabled", mcpServer(t, "good")))
	g.Eventually(func() []string { return c.tools(t) }).WithTimeout(patience).Should(ConsistOf("one", "good"))
}

func TestFilesWithErrorsAreNotServedAtAll(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		err   string
		told  []string
	}{
		"every error of every file": {
			files: map[string]string{
				"a.yaml": strings.Replace(toolsBackend, "selector:", "selektor:", 1),
				"b.yaml": "kind: [\n",
			},
			err: "errors in the files: 2", told: []string{"a.yaml:", "b.yaml:"},
		},
		"two Gateways on one port": {
			files: map[string]string{"a.yaml": gatewayOn("a", 8080), "b.yaml": gatewayOn("b", 8080)},
			err:   "errors in the files: 1",
			told:  []string{"b.yaml:5:81: error: Gateway default/b: spec.listeners[0].port: Invalid value: 8080: Gateway default/a has this port already", "a.yaml:5:81"},
		},
		"no files": {files: nil, err: "there are no files *.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			directory := t.TempDir()
			for name, content := range test.files {
				write(t, directory, name, content)
			}
			i, o := newInstance(directory)
			g.Expect(Run(t.Context(), o)).To(MatchError(ContainSubstring(test.err)))
			for _, text := range test.told {
				g.Expect(i.err.String()).To(ContainSubstring(text))
			}
			g.Expect(i.out.String()).To(BeEmpty())
		})
	}
}

func TestAPortThatIsTaken(t *testing.T) {
	g := NewWithT(t)
	ports := servertest.FreePorts(2)
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", ports[0]))
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { _ = taken.Close() }()
	directory := t.TempDir()
	write(t, directory, "gateway.yaml", gatewayOn("gw", ports[0])+"---"+toolsBackend)
	_, o := newInstance(directory)
	g.Expect(Run(t.Context(), o)).To(MatchError(And(
		ContainSubstring("Gateway default/gw: bind port %d", ports[0]), ContainSubstring("give the listener another one"))))

	// Later it is only reported, and tried again.
	write(t, directory, "gateway.yaml", gatewayOn("gw", ports[1])+"---"+toolsBackend)
	i := start(t, directory)
	write(t, directory, "gateway.yaml", gatewayOn("gw", ports[0])+"---"+toolsBackend)
	g.Eventually(i.log.String).WithTimeout(patience).Should(ContainSubstring("Not everything is served; trying again"))
	g.Expect(taken.Close()).To(Succeed())
	g.Eventually(i.log.String).WithTimeout(patience).Should(ContainSubstring("Everything is served"))
	connect(t, fmt.Sprintf("http://127.0.0.1:%d/mcp", ports[0]))
}

func TestSeveralGateways(t *testing.T) {
	g := NewWithT(t)
	ports := servertest.FreePorts(3)
	url := func(i int) string { return fmt.Sprintf("http://127.0.0.1:%d/mcp", ports[i]) }
	directory := t.TempDir()
	write(t, directory, "a.yaml", gatewayOn("a", ports[0]))
	write(t, directory, "b.yaml", gatewayOn("b", ports[1]))
	write(t, directory, "tools.yaml", toolsBackend+"---"+serviceAt("one", "enabled", mcpServer(t, "one")))
	i := start(t, directory, func(o *Options) { o.AdminAddress = fmt.Sprintf("127.0.0.1:%d", ports[2]) })
	admin := fmt.Sprintf("http://127.0.0.1:%d", ports[2])
	for _, n := range []int{0, 1} {
		g.Expect(connect(t, url(n)).tools(t)).To(Equal([]string{"one"}))
	}
	status, metrics := get(t, admin+"/metrics")
	g.Expect(status).To(Equal(200))
	g.Expect(metrics).To(And(ContainSubstring(`gateway="default/a"`), ContainSubstring(`gateway="default/b"`), ContainSubstring("go_goroutines")))

	// They change ports with each other.
	write(t, directory, "all.yaml", gatewayOn("a", ports[1])+"---"+gatewayOn("b", ports[0]))
	g.Expect(os.Remove(filepath.Join(directory, "a.yaml"))).To(Succeed())
	g.Expect(os.Remove(filepath.Join(directory, "b.yaml"))).To(Succeed())
	i.eventually(t, fmt.Sprintf("default/a   %s", url(1)))
	i.eventually(t, fmt.Sprintf("default/b   %s", url(0)))
	everythingIsServed := func() {
		g.Eventually(func() int { status, _ := get(t, admin+"/readyz"); return status }).WithTimeout(patience).Should(Equal(200))
	}
	everythingIsServed()
	for _, n := range []int{0, 1} {
		g.Expect(connect(t, url(n)).tools(t)).To(Equal([]string{"one"}))
	}

	// One goes, and comes back under its old name.
	for range 3 {
		write(t, directory, "all.yaml", gatewayOn("a", ports[1]))
		g.Eventually(func() string { _, body := get(t, admin+"/config"); return body }).WithTimeout(patience).ShouldNot(ContainSubstring("default/b"))
		_, metrics = get(t, admin+"/metrics")
		g.Expect(metrics).NotTo(ContainSubstring(`gateway="default/b"`))
		write(t, directory, "all.yaml", gatewayOn("a", ports[1])+"---"+gatewayOn("b", ports[0]))
		g.Eventually(func() string { _, body := get(t, admin+"/config"); return body }).WithTimeout(patience).Should(ContainSubstring("default/b"))
		everythingIsServed()
	}
	g.Expect(connect(t, url(0)).tools(t)).To(Equal([]string{"one"}))
}

const (
	initialize = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},` +
		`"clientInfo":{"name":"test","version":"1"}}}`
	callOne = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one","arguments":{}}}`
)

func TestInstancesWithOneKeyFileServeEachOthersSessions(t *testing.T) {
	g := NewWithT(t)
	server := mcpServer(t, "one")
	ports := servertest.FreePorts(2)
	keys := filepath.Join(t.TempDir(), "keys.json")
	var urls []string
	for _, port := range ports {
		directory := t.TempDir()
		write(t, directory, "all.yaml", gatewayOn("gw", port)+"---"+toolsBackend+"---"+serviceAt("one", "enabled", server))
		start(t, directory, func(o *Options) { o.SessionKeyFile = keys })
		urls = append(urls, fmt.Sprintf("http://127.0.0.1:%d/mcp", port))
	}
	info, err := os.Stat(keys)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(info.Mode().Perm()).To(Equal(os.FileMode(0o600)))

	status, header, body := rawPost(t, urls[0], "", initialize)
	g.Expect(status).To(Equal(200), body)
	id := header.Get("Mcp-Session-Id")
	for _, url := range []string{urls[1], urls[0], urls[1]} {
		status, _, body = rawPost(t, url, id, callOne)
		g.Expect(status).To(Equal(200), body)
		g.Expect(body).To(ContainSubstring(`"text":"one"`))
	}

	// With other keys the session is not known any more.
	fresh, err := session.NewKeyRing()
	g.Expect(err).NotTo(HaveOccurred())
	content, err := fresh.Marshal()
	g.Expect(err).NotTo(HaveOccurred())
	write(t, filepath.Dir(keys), filepath.Base(keys), string(content))
	g.Eventually(func() int { status, _, _ := rawPost(t, urls[1], id, callOne); return status }).WithTimeout(patience).Should(Equal(404))
}

func TestSessionsOutliveKeysThatRotateByHand(t *testing.T) {
	g := NewWithT(t)
	ports := servertest.FreePorts(2)
	directory, keys := t.TempDir(), filepath.Join(t.TempDir(), "keys.json")
	ring, err := session.NewKeyRing()
	g.Expect(err).NotTo(HaveOccurred())
	store := func() {
		t.Helper()
		content, err := ring.Marshal()
		g.Expect(err).NotTo(HaveOccurred())
		write(t, filepath.Dir(keys), filepath.Base(keys), string(content))
	}
	store()
	write(t, directory, "all.yaml", gatewayOn("gw", ports[0])+"---"+toolsBackend+"---"+serviceAt("one", "enabled", mcpServer(t, "one")))
	start(t, directory, func(o *Options) {
		o.SessionKeyFile, o.AdminAddress = keys, fmt.Sprintf("127.0.0.1:%d", ports[1])
	})
	used := func() string {
		_, header, _ := getAll(t, fmt.Sprintf("http://127.0.0.1:%d/readyz", ports[1]))
		return header.Get("Dynamic-Mcp-Key-Ring")
	}
	g.Expect(used()).To(Equal(ring.ID()))
	url := fmt.Sprintf("http://127.0.0.1:%d/mcp", ports[0])
	_, header, _ := rawPost(t, url, "", initialize)

	ring, err = ring.Promote()
	g.Expect(err).NotTo(HaveOccurred())
	store()
	g.Eventually(used).WithTimeout(patience).Should(Equal(ring.ID()))
	status, _, body := rawPost(t, url, header.Get("Mcp-Session-Id"), callOne)
	g.Expect(status).To(Equal(200), body)
}

func TestKeysThatCantBeReadStay(t *testing.T) {
	g := NewWithT(t)
	port := servertest.FreePort("127.0.0.1")
	directory, keys := t.TempDir(), filepath.Join(t.TempDir(), "keys.json")
	write(t, directory, "all.yaml", gatewayOn("gw", port)+"---"+toolsBackend+"---"+serviceAt("one", "enabled", mcpServer(t, "one")))
	i := start(t, directory, func(o *Options) { o.SessionKeyFile = keys })
	url := fmt.Sprintf("http://127.0.0.1:%d/mcp", port)
	_, header, _ := rawPost(t, url, "", initialize)
	secret, err := os.ReadFile(keys)
	g.Expect(err).NotTo(HaveOccurred())

	write(t, filepath.Dir(keys), filepath.Base(keys), strings.Replace(string(secret), `"version":1`, `"version":2`, 1))
	g.Eventually(i.log.String).WithTimeout(patience).Should(ContainSubstring("The session keys can't be read; those before stay"))
	g.Expect(i.log.String()).NotTo(ContainSubstring(string(secret[20:40])))
	status, _, body := rawPost(t, url, header.Get("Mcp-Session-Id"), callOne)
	g.Expect(status).To(Equal(200), body)

	// At the start they are an error.
	_, o := newInstance(directory)
	o.SessionKeyFile = keys
	g.Expect(Run(t.Context(), o)).To(MatchError(And(ContainSubstring("--session-key-file"), ContainSubstring(`field "version"`))))
}
