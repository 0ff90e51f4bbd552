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

package e2e

import (
	"context"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gstruct"
	gomegatypes "github.com/onsi/gomega/types"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/provision"
)

func key(namespace, name string) client.ObjectKey {
	return client.ObjectKey{Namespace: namespace, Name: name}
}

func getBackend(ctx context.Context, namespace, name string) *v1alpha1.Backend {
	GinkgoHelper()
	backend := &v1alpha1.Backend{}
	Expect(api.Get(ctx, key(namespace, name), backend)).To(Succeed())
	return backend
}

func getGateway(ctx context.Context, namespace, name string) *gatewayv1.Gateway {
	GinkgoHelper()
	gateway := &gatewayv1.Gateway{}
	Expect(api.Get(ctx, key(namespace, name), gateway)).To(Succeed())
	return gateway
}

func getRoute(ctx context.Context, namespace, name string) *gatewayv1.HTTPRoute {
	GinkgoHelper()
	route := &gatewayv1.HTTPRoute{}
	Expect(api.Get(ctx, key(namespace, name), route)).To(Succeed())
	return route
}

// backendSummary is for Eventually: the number of ready targets and of all.
func backendSummary(ctx context.Context, namespace, name string) (string, error) {
	backend := &v1alpha1.Backend{}
	err := api.Get(ctx, key(namespace, name), backend)
	return backend.Status.Summary, err
}

// backendStatus is for Eventually.
func backendStatus(ctx context.Context, namespace, name string) (v1alpha1.BackendStatus, error) {
	backend := &v1alpha1.Backend{}
	err := api.Get(ctx, key(namespace, name), backend)
	return backend.Status, err
}

// routeConditions is for Eventually: the conditions of a route's only parent.
func routeConditions(ctx context.Context, namespace, name string) ([]metav1.Condition, error) {
	route := &gatewayv1.HTTPRoute{}
	if err := api.Get(ctx, key(namespace, name), route); err != nil || len(route.Status.Parents) != 1 {
		return nil, err
	}
	return route.Status.Parents[0].Conditions, nil
}

// programmed is for Eventually: the status of a Gateway's condition for its current generation.
func programmed(ctx context.Context, namespace, name string) (string, error) {
	gateway := &gatewayv1.Gateway{}
	if err := api.Get(ctx, key(namespace, name), gateway); err != nil {
		return "", err
	}
	condition := apimeta.FindStatusCondition(gateway.Status.Conditions, string(gatewayv1.GatewayConditionProgrammed))
	if condition == nil || condition.ObservedGeneration != gateway.Generation {
		return "", nil
	}
	return string(condition.Status), nil
}

func expectProgrammed(ctx context.Context, namespace, name string) {
	GinkgoHelper()
	Eventually(programmed).WithArguments(ctx, namespace, name).Should(Equal("True"))
}

// isCondition matches a condition by type, status and reason; it must have a message and a generation.
func isCondition(conditionType, status, reason string) gomegatypes.GomegaMatcher {
	return gstruct.MatchFields(gstruct.IgnoreExtras, gstruct.Fields{
		"Type":               Equal(conditionType),
		"Status":             BeEquivalentTo(status),
		"Reason":             Equal(reason),
		"ObservedGeneration": BeNumerically(">", 0),
	})
}

// isSkipped matches an entry of status.skipped.
func isSkipped(service, reason string, message gomegatypes.GomegaMatcher) gomegatypes.GomegaMatcher {
	return gstruct.MatchFields(gstruct.IgnoreExtras, gstruct.Fields{
		"Service": gstruct.PointTo(gstruct.MatchFields(gstruct.IgnoreExtras, gstruct.Fields{"Name": Equal(service)})),
		"Reason":  Equal(reason),
		"Message": message,
	})
}

// expectNoSecretOfGateway passes when the Gateway's Secret is gone, or is marked for the garbage collector, which does
// not run here.
func expectNoSecretOfGateway(ctx context.Context, namespace, gateway string) {
	GinkgoHelper()
	secret := &corev1.Secret{}
	err := api.Get(ctx, key(namespace, provision.SecretName(gateway)), secret)
	if apierrors.IsNotFound(err) {
		return
	}
	Expect(err).NotTo(HaveOccurred())
	Expect(secret.OwnerReferences).To(ConsistOf(gstruct.MatchFields(gstruct.IgnoreExtras, gstruct.Fields{
		"Kind": Equal("Gateway"),
		"Name": Equal(gateway),
		"UID":  Not(BeEmpty()),
	})))
}

// fields splits a line of kubectl's table.
func fields(line string) []string { return strings.Fields(line) }

func toNumber(port string) int64 {
	GinkgoHelper()
	number, err := strconv.ParseInt(port, 10, 32)
	Expect(err).NotTo(HaveOccurred())
	return number
}
