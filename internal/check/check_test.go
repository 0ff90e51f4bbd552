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

package check

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

// cluster is what a check finds. Its zero value has nothing.
type cluster struct {
	class *gatewayv1.GatewayClass
	// refusal is what creating what can't work is answered; admitted if nil.
	refusal error
	// condition is what a manager writes of a new Backend.
	condition *metav1.Condition
}

var (
	working   = metav1.Condition{Type: "Accepted", Status: metav1.ConditionTrue, Reason: "Accepted", Message: "fine"}
	errDenied = errors.New(`admission webhook "backends.gateway.kgateway.dev" denied the request: spec: Unsupported value: "SSE"`)
)

func class(controller string, conditions ...metav1.Condition) *gatewayv1.GatewayClass {
	return &gatewayv1.GatewayClass{
		ObjectMeta: metav1.ObjectMeta{Name: "agentgateway"},
		Spec:       gatewayv1.GatewayClassSpec{ControllerName: gatewayv1.GatewayController(controller)},
		Status:     gatewayv1.GatewayClassStatus{Conditions: conditions},
	}
}

func (c cluster) client(t *testing.T) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	NewWithT(t).Expect(errors.Join(gatewayv1.Install(scheme), v1alpha1.AddToScheme(scheme))).To(Succeed())
	builder := fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, w client.WithWatch, o client.Object, options ...client.CreateOption) error {
			backend := o.(*v1alpha1.Backend)
			if target := backend.Spec.MCP.Targets[0]; target.Selector != nil {
				if len((&client.CreateOptions{}).ApplyOptions(options).DryRun) == 0 {
					return errors.New("stored what must not be stored")
				}
				return c.refusal
			}
			if c.condition != nil {
				backend.Status.Conditions = []metav1.Condition{*c.condition}
			}
			return w.Create(ctx, backend, options...)
		},
	})
	if c.class != nil {
		builder = builder.WithObjects(c.class)
	}
	return builder.Build()
}

func TestRun(t *testing.T) {
	const ours = "dynamic-mcp.dev/gateway"
	stale := working
	stale.ObservedGeneration = 7
	broken := metav1.Condition{Type: "Accepted", Status: metav1.ConditionFalse, Reason: "Invalid", Message: "the parameters are missing"}
	for name, test := range map[string]struct {
		cluster   cluster
		noWebhook bool
		want      []string
		fails     string
	}{
		"all of it works": {
			cluster: cluster{class: class(ours, working), refusal: errDenied, condition: &working},
			want:    []string{"ok      the GatewayClass", "ok      the webhook", "ok      a new Backend"},
		},
		"an installation without webhooks": {
			cluster: cluster{class: class(ours, working), condition: &working}, noWebhook: true,
			want: []string{"ok      the GatewayClass", "ok      a new Backend"},
		},
		"nothing runs": {
			cluster: cluster{},
			want: []string{
				"FAILED  there is no GatewayClass agentgateway", "FAILED  a Backend that can't work is not refused",
				"FAILED  a new Backend in the namespace team-a is not accepted: no manager has seen it",
			},
			fails: "3 of 3 checks failed",
		},
		"another implementation's class": {
			cluster: cluster{class: class("example.com/gateway", working), refusal: errDenied, condition: &working},
			want:    []string{"FAILED  the GatewayClass agentgateway belongs to example.com/gateway"},
			fails:   "1 of 3 checks failed",
		},
		"a class that is not accepted": {
			cluster: cluster{class: class(ours, broken), refusal: errDenied, condition: &working},
			want:    []string{"FAILED  the GatewayClass agentgateway is not accepted: the parameters are missing"},
			fails:   "1 of 3 checks failed",
		},
		"statuses of before": {
			cluster: cluster{class: class(ours, stale), refusal: errDenied, condition: &stale},
			want:    []string{"is not accepted: no manager has seen its last change", "is not accepted: no manager has seen its last change"},
			fails:   "2 of 3 checks failed",
		},
		"a webhook that does not answer": {
			cluster: cluster{class: class(ours, working), refusal: errors.New("failed calling webhook: no endpoints"), condition: &working},
			want:    []string{"FAILED  ask the webhook about a Backend: failed calling webhook: no endpoints"},
			fails:   "1 of 3 checks failed",
		},
		"somebody else's webhook": {
			cluster: cluster{class: class(ours, working), refusal: errors.New(`webhook "x" denied the request: no`), condition: &working},
			want:    []string{`FAILED  ask the webhook about a Backend: webhook "x" denied the request: no`},
			fails:   "1 of 3 checks failed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			c := test.cluster.client(t)
			var out bytes.Buffer
			err := Run(t.Context(), c, Options{Namespace: "team-a", Webhooks: !test.noWebhook, Timeout: time.Nanosecond}, &out)
			if test.fails == "" {
				g.Expect(err).NotTo(HaveOccurred(), out.String())
			} else {
				g.Expect(err).To(MatchError(test.fails), out.String())
			}
			for _, want := range test.want {
				g.Expect(out.String()).To(ContainSubstring(want))
			}
			var left v1alpha1.BackendList
			g.Expect(c.List(t.Context(), &left)).To(Succeed())
			g.Expect(left.Items).To(BeEmpty(), "what is made is deleted, also where a check fails")
		})
	}
}

func TestAgainTriesUntilItSucceeds(t *testing.T) {
	calls := 0
	said, err := again(t.Context(), func(context.Context) (string, error) {
		if calls++; calls == 1 {
			return "", errors.New("not yet")
		}
		return "done", nil
	})
	g := NewWithT(t)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(said).To(Equal("done"))
}

func TestAgainSaysWhatWasWrongAndNotThatTimeRanOut(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	_, err := again(ctx, func(ctx context.Context) (string, error) {
		if calls++; calls == 1 {
			return "", errors.New("the manager does not run")
		}
		cancel()
		return "", ctx.Err()
	})
	NewWithT(t).Expect(err).To(MatchError("the manager does not run"))
}
