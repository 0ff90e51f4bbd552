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

package parameters

import (
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

const (
	ourGroup = gatewayv1.Group("gateway.kgateway.dev")
	ourKind  = gatewayv1.Kind("GatewayParameters")
)

func classTo(name, namespace string) *gatewayv1.GatewayClass {
	class := &gatewayv1.GatewayClass{}
	class.Name = "c"
	class.Spec.ParametersRef = &gatewayv1.ParametersReference{Group: ourGroup, Kind: ourKind, Name: name, Namespace: new(gatewayv1.Namespace(namespace))}
	return class
}

func gatewayTo(name string) *gatewayv1.Gateway {
	gateway := &gatewayv1.Gateway{}
	gateway.Namespace, gateway.Name = "default", "gw"
	gateway.Spec.Infrastructure = &gatewayv1.GatewayInfrastructure{
		ParametersRef: &gatewayv1.LocalParametersReference{Group: ourGroup, Kind: ourKind, Name: name},
	}
	return gateway
}

// stored are the GatewayParameters that there are.
func stored(specs map[string]v1alpha1.GatewayParametersSpec) Find {
	return func(key types.NamespacedName) *v1alpha1.GatewayParameters {
		spec, found := specs[key.String()]
		if !found {
			return nil
		}
		return &v1alpha1.GatewayParameters{Spec: spec}
	}
}

func TestParametersOfBothAreFound(t *testing.T) {
	g := NewWithT(t)
	find := stored(map[string]v1alpha1.GatewayParametersSpec{
		"system/far":   {Replicas: new(int32(2)), AllowedOrigins: []string{"https://far.example.com"}},
		"default/near": {Replicas: new(int32(3))},
	})
	merged, err := OfGateway(classTo("far", "system"), gatewayTo("near"), find)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(merged.Spec).To(Equal(v1alpha1.GatewayParametersSpec{Replicas: new(int32(3)), AllowedOrigins: []string{"https://far.example.com"}}))

	spec, err := OfClass(classTo("far", "system"), find)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(spec.Replicas).To(HaveValue(Equal(int32(2))))
}

func TestNobodyNeedsParameters(t *testing.T) {
	g := NewWithT(t)
	none := stored(nil)
	for name, class := range map[string]*gatewayv1.GatewayClass{"no class": nil, "a class without": {}} {
		for _, gateway := range []*gatewayv1.Gateway{{}, {Spec: gatewayv1.GatewaySpec{Infrastructure: &gatewayv1.GatewayInfrastructure{}}}} {
			merged, err := OfGateway(class, gateway, none)
			g.Expect(err).NotTo(HaveOccurred(), name)
			g.Expect(merged).To(Equal(Parameters{}), name)
		}
		spec, err := OfClass(class, none)
		g.Expect(err).NotTo(HaveOccurred(), name)
		g.Expect(spec).To(BeNil(), name)
	}
}

func TestReferencesThatCantBeFollowed(t *testing.T) {
	otherKind, otherGroup, noNamespace := classTo("far", "system"), classTo("far", "system"), classTo("far", "")
	otherKind.Spec.ParametersRef.Kind = "ConfigMap"
	otherGroup.Spec.ParametersRef.Group = "example.com"
	none := gatewayTo("near")
	none.Spec.Infrastructure = nil
	gatewayOtherKind := gatewayTo("near")
	gatewayOtherKind.Spec.Infrastructure.ParametersRef.Group = ""
	find := stored(map[string]v1alpha1.GatewayParametersSpec{
		"system/far": {}, "system/near": {}, "default/invalid": {AllowedOrigins: []string{"*"}}, "system/invalid": {AllowedOrigins: []string{"*"}},
	})
	for name, test := range map[string]struct {
		class   *gatewayv1.GatewayClass
		gateway *gatewayv1.Gateway
		want    string
	}{
		"another kind of a class":    {otherKind, none, `GatewayClass c is not accepted: spec.parametersRef: parameters of kind "ConfigMap"`},
		"another group of a class":   {otherGroup, none, `GatewayClass c is not accepted: spec.parametersRef: parameters of kind "GatewayParameters" in group "example.com"`},
		"no namespace":               {noNamespace, none, "GatewayClass c is not accepted: spec.parametersRef.namespace: is required"},
		"nobody, of a class":         {classTo("nobody", "system"), none, "GatewayClass c is not accepted: spec.parametersRef: GatewayParameters system/nobody do not exist"},
		"invalid, of a class":        {classTo("invalid", "system"), none, `GatewayClass c is not accepted: spec.parametersRef: GatewayParameters system/invalid are not valid: spec.allowedOrigins[0]: Invalid value: "*"`},
		"another group of a Gateway": {nil, gatewayOtherKind, `spec.infrastructure.parametersRef: parameters of kind "GatewayParameters" in group ""`},
		"another namespace":          {nil, gatewayTo("near"), "spec.infrastructure.parametersRef: GatewayParameters default/near do not exist"},
		"invalid, of a Gateway":      {nil, gatewayTo("invalid"), "spec.infrastructure.parametersRef: GatewayParameters default/invalid are not valid: "},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			merged, err := OfGateway(test.class, test.gateway, find)
			g.Expect(err).To(MatchError(HavePrefix(test.want)))
			g.Expect(merged).To(Equal(Parameters{}))
		})
	}
}
