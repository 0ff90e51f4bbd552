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

// Package check finds out whether an installation works, by asking a cluster for what its users would notice: is the class
// accepted, does the webhook refuse what can't work, and does a Backend get its status?
package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

const (
	// pause is how long a check that failed waits before it is made again.
	pause = 500 * time.Millisecond
	// cleanupTimeout bounds the deletion of what a check has made, also after its time has run out.
	cleanupTimeout = 10 * time.Second
)

// Options say what is checked.
type Options struct {
	// Namespace is where a Backend is made for the time of the check. The manager must watch it.
	Namespace string
	// Webhooks tells whether the admission webhooks are a part of the installation.
	Webhooks bool
	// Timeout is how long each check is made again until it succeeds.
	Timeout time.Duration
}

// Run makes every check, all at once, and writes a line about each to out. Its error says only how many failed.
func Run(ctx context.Context, c client.Client, options Options, out io.Writer) error {
	r := runner{Client: c, namespace: options.Namespace}
	checks := []func(context.Context) (string, error){r.gatewayClass}
	if options.Webhooks {
		checks = append(checks, r.webhook)
	}
	checks = append(checks, r.status)
	results := make([]result, len(checks))
	var done sync.WaitGroup
	for i, check := range checks {
		done.Go(func() { results[i].said, results[i].err = within(ctx, options.Timeout, check) })
	}
	done.Wait()
	failed := 0
	for _, result := range results {
		if result.err != nil {
			failed++
			fmt.Fprintf(out, "FAILED  %v\n", result.err)
			continue
		}
		fmt.Fprintf(out, "ok      %s\n", result.said)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d checks failed", failed, len(checks))
	}
	return nil
}

type result struct {
	said string
	err  error
}

func within(ctx context.Context, limit time.Duration, check func(context.Context) (string, error)) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return again(ctx, check)
}

// again makes a check until it succeeds or ctx ends, at least once, and returns what it said last about the installation,
// rather than that the time ran out.
func again(ctx context.Context, check func(context.Context) (string, error)) (string, error) {
	var last error
	for {
		said, err := check(ctx)
		if err == nil {
			return said, nil
		}
		if last == nil || !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
			last = err
		}
		select {
		case <-ctx.Done():
			return "", last
		case <-time.After(pause):
		}
	}
}

type runner struct {
	client.Client
	namespace string
}

// gatewayClass: is the class there, and ours, and has a manager accepted it as it is now?
func (r runner) gatewayClass(ctx context.Context) (string, error) {
	var class gatewayv1.GatewayClass
	err := r.Get(ctx, client.ObjectKey{Name: v1alpha1.GatewayClassName}, &class)
	switch {
	case apimeta.IsNoMatchError(err):
		return "", errors.New("the Gateway API's CRDs are not installed: install its standard channel, v1.6")
	case apierrors.IsNotFound(err):
		return "", fmt.Errorf("there is no GatewayClass %s, which the manager makes when it starts: look at its pods, and their logs",
			v1alpha1.GatewayClassName)
	case err != nil:
		return "", fmt.Errorf("get the GatewayClass %s: %w", v1alpha1.GatewayClassName, err)
	case class.Spec.ControllerName != v1alpha1.ControllerName:
		return "", fmt.Errorf("the GatewayClass %s belongs to %s: use a class of another name with controllerName: %s",
			class.Name, class.Spec.ControllerName, v1alpha1.ControllerName)
	}
	accepted := apimeta.FindStatusCondition(class.Status.Conditions, string(gatewayv1.GatewayClassConditionStatusAccepted))
	if accepted == nil || accepted.Status != metav1.ConditionTrue || accepted.ObservedGeneration != class.Generation {
		return "", fmt.Errorf("the GatewayClass %s is not accepted: %s", class.Name, messageOf(accepted, class.Generation))
	}
	return fmt.Sprintf("the GatewayClass %s is accepted", class.Name), nil
}

// webhook: is a Backend refused that only the webhook can tell to be wrong? Nothing is stored.
func (r runner) webhook(ctx context.Context) (string, error) {
	refused := r.backend(v1alpha1.MCPTarget{Name: "check", Selector: &v1alpha1.MCPTargetSelector{
		Service:  &metav1.LabelSelector{MatchLabels: map[string]string{"app": "check"}},
		Protocol: v1alpha1.MCPProtocolSSE,
	}})
	err := r.Create(ctx, refused, client.DryRunAll)
	switch {
	case err == nil:
		return "", errors.New("a Backend that can't work is not refused: there is no webhook, " +
			"or none that answers and failurePolicy is Ignore")
	case apimeta.IsNoMatchError(err):
		return "", errors.New("the CRD of Backends is not installed")
	case !strings.Contains(err.Error(), "denied the request") || !strings.Contains(err.Error(), `Unsupported value: "SSE"`):
		return "", fmt.Errorf("ask the webhook about a Backend: %w", err)
	}
	return "the webhook refuses a Backend that can't work", nil
}

// status: does a new Backend get its status? That takes a manager that leads and has its rights, which the status of the
// GatewayClass, written some time ago, does not prove.
func (r runner) status(ctx context.Context) (_ string, err error) {
	backend := r.backend(v1alpha1.MCPTarget{Name: "check", Static: &v1alpha1.MCPStaticTarget{Host: "mcp.invalid", Port: 80}})
	begin := time.Now()
	if err := r.Create(ctx, backend); apimeta.IsNoMatchError(err) {
		return "", errors.New("the CRD of Backends is not installed")
	} else if err != nil {
		return "", fmt.Errorf("create a Backend in the namespace %s: %w", r.namespace, err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
		defer cancel()
		if failure := client.IgnoreNotFound(r.Delete(ctx, backend)); failure != nil {
			err = errors.Join(err, fmt.Errorf("delete the Backend %s/%s again: %w", r.namespace, backend.Name, failure))
		}
	}()
	if _, err := again(ctx, func(ctx context.Context) (string, error) { return "", r.accepted(ctx, backend) }); err != nil {
		return "", err
	}
	return fmt.Sprintf("a new Backend got its status after %s", time.Since(begin).Round(time.Millisecond)), nil
}

func (r runner) accepted(ctx context.Context, backend *v1alpha1.Backend) error {
	if err := r.Get(ctx, client.ObjectKeyFromObject(backend), backend); err != nil {
		return fmt.Errorf("get the Backend: %w", err)
	}
	accepted := apimeta.FindStatusCondition(backend.Status.Conditions, v1alpha1.BackendConditionAccepted)
	if accepted == nil || accepted.Status != metav1.ConditionTrue || accepted.ObservedGeneration != backend.Generation {
		return fmt.Errorf("a new Backend in the namespace %s is not accepted: %s; does a manager lead that watches the namespace?",
			r.namespace, messageOf(accepted, backend.Generation))
	}
	return nil
}

func (r runner) backend(target v1alpha1.MCPTarget) *v1alpha1.Backend {
	return &v1alpha1.Backend{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, GenerateName: "dynamic-mcp-check-"},
		Spec:       v1alpha1.BackendSpec{Type: v1alpha1.BackendTypeMCP, MCP: &v1alpha1.MCPBackend{Targets: []v1alpha1.MCPTarget{target}}},
	}
}

func messageOf(condition *metav1.Condition, generation int64) string {
	switch {
	case condition == nil:
		return "no manager has seen it"
	case condition.ObservedGeneration != generation:
		return "no manager has seen its last change"
	}
	return condition.Message
}
