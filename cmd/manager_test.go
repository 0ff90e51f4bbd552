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

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

// parseManager returns the flags as the command would use them.
func parseManager(args ...string) (*managerFlags, error) {
	flags, command := &managerFlags{}, &cobra.Command{}
	flags.register(command)
	if err := command.ParseFlags(args); err != nil {
		return nil, err
	}
	return flags, flags.complete(command.Flags().Changed)
}

func TestManagerFlagErrors(t *testing.T) {
	const subprocess = "--proxy-runtime=subprocess"
	for name, test := range map[string]struct {
		args []string
		want []string // what the error names; none: no error
	}{
		"subprocess": {args: []string{subprocess}},
		"everything set": {args: []string{
			subprocess, "--kubeconfig=x", "--proxy-bind-address=::", "--allow-external-name=false", "--cluster-domain=corp.example.",
			"--metrics-bind-address=127.0.0.1:8080", "--health-probe-bind-address=[::1]:0", "--leader-elect",
			"--leader-election-namespace=default", "--webhook-cert-dir=certs", "--webhook-host=localhost", "--webhook-port=9444",
			"--session-key-rotation=24h", "--log-level=debug", "--log-format=json",
		}},
		"everything off":         {args: []string{subprocess, "--metrics-bind-address=", "--health-probe-bind-address=0", "--enable-webhooks=false"}},
		"the default runtime":    {},
		"deployment":             {args: []string{"--proxy-runtime=deployment", "--proxy-image=x", "--watch-namespaces=a,b"}},
		"no name for a role":     {args: []string{"--proxy-runtime=deployment", "--proxy-cluster-role="}, want: []string{"--proxy-cluster-role must be the name of a ClusterRole"}},
		"no namespace":           {args: []string{subprocess, "--watch-namespaces=a,B"}, want: []string{`--watch-namespaces must be names of namespaces, not "B"`}},
		"an unknown runtime":     {args: []string{"--proxy-runtime=vm"}, want: []string{`--proxy-runtime must be deployment or subprocess, not "vm"`}},
		"a name to bind":         {args: []string{subprocess, "--proxy-bind-address=localhost"}, want: []string{"--proxy-bind-address must be an IP address", `"localhost"`}},
		"an address with a port": {args: []string{subprocess, "--proxy-bind-address=127.0.0.1:80"}, want: []string{"--proxy-bind-address"}},
		"an address with a zone": {args: []string{subprocess, "--proxy-bind-address=fe80::1%eth0"}, want: []string{"--proxy-bind-address"}},
		"a probe port alone":     {args: []string{subprocess, "--health-probe-bind-address=8081"}, want: []string{`--health-probe-bind-address must be HOST:PORT`, `not "8081"`}},
		"a named port":           {args: []string{subprocess, "--metrics-bind-address=:http"}, want: []string{"--metrics-bind-address must be HOST:PORT"}},
		"a port out of range":    {args: []string{subprocess, "--metrics-bind-address=:65536"}, want: []string{"--metrics-bind-address must be HOST:PORT"}},
		"a URL for metrics":      {args: []string{subprocess, "--metrics-bind-address=http://x:80"}, want: []string{"--metrics-bind-address must be HOST:PORT"}},
		"a bad cluster domain":   {args: []string{subprocess, "--cluster-domain=.local"}, want: []string{`--cluster-domain must be a DNS domain, like cluster.local, not ".local"`}},
		"no cluster domain":      {args: []string{subprocess, "--cluster-domain="}, want: []string{"--cluster-domain must be a DNS domain"}},
		"webhooks without keys":  {args: []string{subprocess, "--enable-webhooks"}, want: []string{"--enable-webhooks needs --webhook-cert-dir"}},
		"webhooks with their own keys": {args: []string{
			subprocess, "--webhook-cert-source=self", "--webhook-cert-secret=system/certificate", "--webhook-configuration=mine",
		}},
		"keys of two sources": {
			args: []string{subprocess, "--webhook-cert-source=self", "--webhook-cert-secret=a/b", "--webhook-cert-dir=x"},
			want: []string{"--webhook-cert-source=self and --webhook-cert-dir exclude each other"},
		},
		"an unknown source of keys": {
			args: []string{subprocess, "--webhook-cert-source=vault"},
			want: []string{`--webhook-cert-source must be files or self, not "vault"`},
		},
		"a Secret in no namespace": {
			args: []string{subprocess, "--webhook-cert-source=self"},
			want: []string{"--webhook-cert-secret must be NAMESPACE/NAME where $POD_NAMESPACE does not say the namespace"},
		},
		"a bad name of a Secret": {
			args: []string{subprocess, "--webhook-cert-source=self", "--webhook-cert-secret=a/b/c"},
			want: []string{`--webhook-cert-secret must be NAME or NAMESPACE/NAME of a Secret, not "a/b/c"`},
		},
		"a bad webhook configuration": {
			args: []string{subprocess, "--webhook-configuration=A"},
			want: []string{`--webhook-configuration must be the name of a ValidatingWebhookConfiguration, not "A"`},
		},
		"a webhook port of 0":     {args: []string{subprocess, "--webhook-port=0"}, want: []string{"--webhook-port must be 1 to 65535, not 0"}},
		"a bad webhook host":      {args: []string{subprocess, "--webhook-host=a b"}, want: []string{"--webhook-host must be a host name or an IP address"}},
		"an unknown log level":    {args: []string{subprocess, "--log-level=loud"}, want: []string{`--log-level must be debug, info, warn or error, not "loud"`}},
		"an unknown log format":   {args: []string{subprocess, "--log-format=xml"}, want: []string{`--log-format must be json or text, not "xml"`}},
		"keys that never rotate":  {args: []string{subprocess, "--session-key-rotation=0"}},
		"keys that rotate weekly": {args: []string{subprocess, "--session-key-rotation=168h"}},
		"keys that rotate too fast": {
			args: []string{subprocess, "--session-key-rotation=23h59m"},
			want: []string{"--session-key-rotation must be at least 24h0m0s, the lifetime of sessions, or 0 for never, not 23h59m0s"},
		},
		"keys that rotate backwards": {args: []string{subprocess, "--session-key-rotation=-48h"}, want: []string{"--session-key-rotation"}},
		"a port that is no number":   {args: []string{subprocess, "--webhook-port=x"}, want: []string{"--webhook-port"}},
		"all mistakes at once": {
			args: []string{
				"--proxy-runtime=vm", "--cluster-domain=_", "--webhook-port=-1", "--log-level=x", "--metrics-bind-address=x",
				"--session-key-rotation=1h",
			},
			want: []string{
				"--proxy-runtime", "--cluster-domain", "--webhook-port", "--log-level", "--metrics-bind-address", "--session-key-rotation",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			_, err := parseManager(test.args...)
			if len(test.want) == 0 {
				g.Expect(err).NotTo(HaveOccurred())
				return
			}
			for _, want := range test.want {
				g.Expect(err).To(MatchError(ContainSubstring(want)))
			}
		})
	}
}

func TestManagerDefaultsThatDependOnOtherFlags(t *testing.T) {
	type derived struct {
		externalName, webhooks bool
		probe, logFormat       string
	}
	const deployment = "--proxy-runtime=deployment"
	for name, test := range map[string]struct {
		args []string
		want derived
	}{
		"deployment": {[]string{deployment}, derived{false, false, ":8081", "json"}},
		"deployment with a certificate and external names": {
			[]string{deployment, "--webhook-cert-dir=x", "--allow-external-name"}, derived{true, true, ":8081", "json"},
		},
		"subprocess": {[]string{"--proxy-runtime=subprocess"}, derived{true, false, "127.0.0.1:8081", "text"}},
		"subprocess, overridden": {
			[]string{
				"--proxy-runtime=subprocess", "--allow-external-name=false", "--health-probe-bind-address=:8081",
				"--log-format=json", "--webhook-cert-dir=x", "--enable-webhooks=false",
			},
			derived{false, false, ":8081", "json"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := parseManager(test.args...)
			got := derived{f.allowExternalName, f.enableWebhooks, f.probeAddress, f.logFormat}
			NewWithT(t).Expect(got).To(Equal(test.want))
		})
	}
}

func TestProxiesRunWhereTheManagerDoes(t *testing.T) {
	for name, test := range map[string]struct{ host, want string }{
		"in a cluster": {"10.96.0.1", runtimeDeployment},
		"elsewhere":    {"", runtimeSubprocess},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KUBERNETES_SERVICE_HOST", test.host)
			g := NewWithT(t)
			f, err := parseManager()
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(f.proxyRuntime).To(Equal(test.want))
		})
	}
}

func TestAwait(t *testing.T) {
	for name, test := range map[string]struct {
		limit, upAfter, cancelAfter, took time.Duration
		fails                             bool
	}{
		"up":                   {limit: time.Minute},
		"up after a while":     {limit: time.Minute, upAfter: 30 * time.Second, took: 30 * time.Second},
		"never up":             {limit: time.Minute, upAfter: time.Hour, took: 59 * time.Second, fails: true},
		"no time to wait":      {upAfter: time.Hour, fails: true},
		"ended meanwhile":      {limit: time.Minute, upAfter: time.Hour, cancelAfter: 5500 * time.Millisecond, took: 5500 * time.Millisecond, fails: true},
		"up before it can end": {limit: 2 * time.Second, upAfter: time.Second, took: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.cancelAfter > 0 {
					time.AfterFunc(test.cancelAfter, cancel)
				}
				begun := time.Now()
				err := await(ctx, test.limit, logr.Discard(), func() error {
					if time.Since(begun) < test.upAfter {
						return errors.New("connection refused")
					}
					return nil
				})
				g.Expect(err != nil).To(Equal(test.fails))
				g.Expect(time.Since(begun)).To(Equal(test.took))
			})
		})
	}
}

func TestImageOfProxies(t *testing.T) {
	pod := func(names ...string) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "system", Name: "manager-1"}}
		for _, name := range names {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: name, Image: "image-of-" + name})
		}
		return p
	}
	for name, test := range map[string]struct {
		flag, podName string
		pod           *corev1.Pod
		want, err     string
	}{
		"the flag's":          {flag: "x:v1", podName: "manager-1", pod: pod("manager"), want: "x:v1"},
		"the manager's":       {podName: "manager-1", pod: pod("sidecar", "manager"), want: "image-of-manager"},
		"the only one":        {podName: "manager-1", pod: pod("main"), want: "image-of-main"},
		"one of several":      {podName: "manager-1", pod: pod("a", "b"), err: "several containers, and none is called manager"},
		"a pod that is gone":  {podName: "manager-2", pod: pod("manager"), err: "the manager's own pod system/manager-2"},
		"outside of a pod":    {err: "--proxy-image is required where $POD_NAMESPACE and $POD_NAME"},
		"outside, and a flag": {flag: "x", want: "x"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			t.Setenv(envPodName, test.podName)
			t.Setenv(envPodNamespace, "system")
			b := fake.NewClientBuilder()
			if test.pod != nil {
				b = b.WithObjects(test.pod)
			}
			image, err := (&managerFlags{proxyImage: test.flag}).imageOfProxies(t.Context(), b.Build())
			g.Expect(image).To(Equal(test.want))
			if test.err == "" {
				g.Expect(err).NotTo(HaveOccurred())
			} else {
				g.Expect(err).To(MatchError(ContainSubstring(test.err)))
			}
		})
	}
}

func TestManagerSaysWhatItCantReach(t *testing.T) {
	dir := t.TempDir()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	// Nothing listens on port 1.
	NewWithT(t).Expect(os.WriteFile(kubeconfig, []byte(`
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
users: [{name: u, user: {}}]
current-context: c
`), 0o600)).To(Succeed())

	for name, test := range map[string]struct {
		args []string
		want []string
	}{
		"a kubeconfig that is not there": {
			[]string{"--kubeconfig", filepath.Join(dir, "missing")}, []string{"--kubeconfig", "missing: no such file"},
		},
		"an API server that does not answer": {
			[]string{"--kubeconfig", kubeconfig}, []string{"the API server at http://127.0.0.1:1", "connection refused"},
		},
		"a certificate that is not there": {
			[]string{"--kubeconfig", kubeconfig, "--webhook-cert-dir", dir}, []string{"--webhook-cert-dir", "tls.crt"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			f, err := parseManager(append(test.args, "--proxy-runtime=subprocess")...)
			g.Expect(err).NotTo(HaveOccurred())
			err = f.run(t.Context(), &bytes.Buffer{})
			for _, want := range test.want {
				g.Expect(err).To(MatchError(ContainSubstring(want)))
			}
		})
	}
}

func TestManagerLogger(t *testing.T) {
	for name, test := range map[string]struct {
		level, format string
		want          []string
	}{
		"json":       {"info", "json", []string{`"msg":"Told"`, `"gateway":{"name":"n","namespace":"ns"}`, `"msg":"Failed"`}},
		"json debug": {"debug", "json", []string{`"msg":"Detailed"`, `"msg":"Told"`, `"msg":"Failed"`}},
		"text":       {"info", "text", []string{"Told", "ns", "Failed"}},
		"text error": {"error", "text", []string{"Failed", "broken"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			var out bytes.Buffer
			log, err := newManagerLogger(&out, test.level, test.format)
			g.Expect(err).NotTo(HaveOccurred())
			log.V(1).Info("Detailed")
			log.Info("Told", "gateway", types.NamespacedName{Namespace: "ns", Name: "n"})
			log.Error(errors.New("broken"), "Failed")
			for _, want := range test.want {
				g.Expect(out.String()).To(ContainSubstring(want))
			}
			g.Expect(strings.Contains(out.String(), "Detailed")).To(Equal(test.level == "debug"))
			g.Expect(strings.Contains(out.String(), "Told")).To(Equal(test.level != "error"))
			g.Expect(out.String()).NotTo(ContainSubstring(".go:"), "no stack trace")
		})
	}
}

func TestProxyOutput(t *testing.T) {
	gateway := types.NamespacedName{Namespace: "ns", Name: "n"}
	for name, test := range map[string]struct{ format, line, want string }{
		"text":               {"text", "hello", "[ns/n] hello\n"},
		"json stays":         {"json", `{"msg":"hello"}`, `{"msg":"hello"}` + "\n"},
		"text between json":  {"json", "panic: oh", `"line":"panic: oh"`},
		"a number is no log": {"json", "42", `"line":"42"`},
		"braces are no json": {"json", "{", `"line":"{"`},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			var out bytes.Buffer
			log, err := newManagerLogger(&out, "info", test.format)
			g.Expect(err).NotTo(HaveOccurred())
			proxyOutput(&out, test.format, log)(gateway, test.line)
			g.Expect(out.String()).To(ContainSubstring(test.want))
		})
	}
}

func TestRootCommand(t *testing.T) {
	run := func(args ...string) (string, error) {
		var out bytes.Buffer
		root := newRootCommand()
		root.SetOut(&out)
		root.SetErr(&out)
		root.SetArgs(args)
		err := root.Execute()
		return out.String(), err
	}
	t.Run("version", func(t *testing.T) {
		g := NewWithT(t)
		out, err := run("version")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(out).To(HavePrefix("dynamic-mcp "))
	})
	t.Run("help lists the commands", func(t *testing.T) {
		g := NewWithT(t)
		out, err := run("--help")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(out).To(And(ContainSubstring("manager"), ContainSubstring("proxy"), ContainSubstring("version")))
	})
	t.Run("an error comes without the usage text", func(t *testing.T) {
		g := NewWithT(t)
		out, err := run("manager", "--proxy-runtime=vm")
		g.Expect(err).To(HaveOccurred())
		g.Expect(out).To(HavePrefix("Error: --proxy-runtime must be deployment or subprocess"))
		g.Expect(out).NotTo(ContainSubstring("Usage:"))
	})
	t.Run("an argument that no command takes", func(t *testing.T) {
		_, err := run("manager", "subprocess")
		NewWithT(t).Expect(err).To(MatchError(ContainSubstring(`"subprocess"`)))
	})
}

func TestAnotherReplicaLeadsWithinSeconds(t *testing.T) {
	g := NewWithT(t)
	flags, err := parseManager("--leader-elect")
	g.Expect(err).NotTo(HaveOccurred())
	options := flags.managerOptions(nil)
	// A replica looks at the lease every RetryPeriod and up to 1.2 more of it: once to see that it was renewed, and again when
	// it has expired.
	longest := *options.LeaseDuration + 2*time.Duration(2.2*float64(*options.RetryPeriod))
	g.Expect(longest).To(BeNumerically("<", 15*time.Second))
	g.Expect(*options.RenewDeadline).To(BeNumerically("<", *options.LeaseDuration))
}
