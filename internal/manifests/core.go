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

package manifests

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// coreKind is a built-in kind that is looked at.
type coreKind struct {
	goType     reflect.Type
	namespaced bool
	// validate and warnings look at the object that was stored last.
	validate func(*Set, *Document, Options) field.ErrorList
	warnings func(*Set, *Document) []string
}

var coreKinds = map[schema.GroupVersionKind]*coreKind{
	corev1.SchemeGroupVersion.WithKind("Service"): newCoreKind(true, apivalidation.NameIsDNSLabel,
		func(s *Set) []corev1.Service { return s.Services }, validateService, noWarnings),
	corev1.SchemeGroupVersion.WithKind("Namespace"): newCoreKind(false, apivalidation.NameIsDNSLabel,
		func(s *Set) []corev1.Namespace { return s.Namespaces }, valid, noWarnings),
	corev1.SchemeGroupVersion.WithKind("ConfigMap"): newCoreKind(true, apivalidation.NameIsDNSSubdomain,
		func(s *Set) []corev1.ConfigMap { return s.ConfigMaps }, validateConfigMap, noWarnings),
	corev1.SchemeGroupVersion.WithKind("Secret"): newCoreKind(true, apivalidation.NameIsDNSSubdomain,
		func(s *Set) []corev1.Secret { return s.Secrets }, validateSecret, noWarnings),
	discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice"): newCoreKind(true, apivalidation.NameIsDNSSubdomain,
		func(s *Set) []discoveryv1.EndpointSlice { return s.EndpointSlices }, validateEndpointSlice, endpointSliceWarnings),
}

func newCoreKind[T any, P object[T]](
	namespaced bool, names apivalidation.ValidateNameFunc, list func(*Set) []T,
	check func(P, Options) field.ErrorList, warn func(P) []string,
) *coreKind {
	// Objects are appended, but for a namespace that takes the place of one that was assumed.
	find := func(s *Set, d *Document) P {
		objects := list(s)
		if !namespaced {
			i := slices.IndexFunc(objects, func(o T) bool { return P(&o).GetName() == d.Name })
			return P(&objects[i])
		}
		return P(&objects[len(objects)-1])
	}
	return &coreKind{
		goType: reflect.TypeFor[T](), namespaced: namespaced,
		validate: func(s *Set, d *Document, o Options) field.ErrorList {
			errs := apivalidation.ValidateObjectMetaAccessor(find(s, d), namespaced, names, field.NewPath("metadata"))
			return append(errs, check(find(s, d), o)...)
		},
		warnings: func(s *Set, d *Document) []string { return warn(find(s, d)) },
	}
}

func coreVersion(kind string) string {
	for gvk := range coreKinds {
		if gvk.Kind == kind {
			return gvk.GroupVersion().String()
		}
	}
	return ""
}

func valid[P any](P, Options) field.ErrorList { return nil }

func noWarnings[P any](P) []string { return nil }

var (
	protocols    = []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}
	serviceTypes = []corev1.ServiceType{corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort,
		corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeExternalName}
	addressTypes = []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6, discoveryv1.AddressTypeFQDN}
)

func validateService(s *corev1.Service, _ Options) field.ErrorList {
	var errs field.ErrorList
	spec := field.NewPath("spec")
	if s.Spec.Type != "" && !slices.Contains(serviceTypes, s.Spec.Type) {
		errs = append(errs, field.NotSupported(spec.Child("type"), s.Spec.Type, serviceTypes))
	}
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		name := strings.TrimSuffix(s.Spec.ExternalName, ".")
		if name == "" {
			errs = append(errs, field.Required(spec.Child("externalName"), "write the host that the Service stands for"))
		} else {
			errs = append(errs, invalid(spec.Child("externalName"), name, validation.IsDNS1123Subdomain(name))...)
		}
	} else if len(s.Spec.Ports) == 0 && s.Spec.ClusterIP != corev1.ClusterIPNone {
		errs = append(errs, field.Required(spec.Child("ports"), ""))
	}
	names, numbers := map[string]bool{}, map[string]bool{}
	for i := range s.Spec.Ports {
		errs = append(errs, validateServicePort(&s.Spec.Ports[i], len(s.Spec.Ports) > 1, names, numbers, spec.Child("ports").Index(i))...)
	}
	for key, value := range s.Spec.Selector {
		errs = append(errs, invalid(spec.Child("selector").Key(key), value, validation.IsValidLabelValue(value))...)
		errs = append(errs, invalid(spec.Child("selector").Key(key), key, validation.IsQualifiedName(key))...)
	}
	return errs
}

func validateServicePort(p *corev1.ServicePort, named bool, names, numbers map[string]bool, path *field.Path) field.ErrorList {
	errs := validatePortNumber(p.Port, path.Child("port"))
	switch {
	case p.Name == "" && named:
		errs = append(errs, field.Required(path.Child("name"), "a Service with several ports needs a name for each"))
	case p.Name != "":
		errs = append(errs, invalid(path.Child("name"), p.Name, validation.IsDNS1123Label(p.Name))...)
		if names[p.Name] {
			errs = append(errs, field.Duplicate(path.Child("name"), p.Name))
		}
		names[p.Name] = true
	}
	protocol := p.Protocol
	if protocol == "" {
		protocol = corev1.ProtocolTCP
	}
	if !slices.Contains(protocols, protocol) {
		errs = append(errs, field.NotSupported(path.Child("protocol"), protocol, protocols))
	}
	number := fmt.Sprintf("%d/%s", p.Port, protocol)
	if numbers[number] {
		errs = append(errs, field.Duplicate(path, number))
	}
	numbers[number] = true
	if p.AppProtocol != nil {
		errs = append(errs, invalid(path.Child("appProtocol"), *p.AppProtocol, validation.IsQualifiedName(*p.AppProtocol))...)
	}
	switch target := path.Child("targetPort"); {
	case p.TargetPort.Type == intstr.String:
		errs = append(errs, invalid(target, p.TargetPort.StrVal, validation.IsValidPortName(p.TargetPort.StrVal))...)
	case p.TargetPort.IntVal != 0:
		errs = append(errs, validatePortNumber(p.TargetPort.IntVal, target)...)
	}
	return errs
}

func validatePortNumber(port int32, path *field.Path) field.ErrorList {
	return invalid(path, port, validation.IsValidPortNum(int(port)))
}

func invalid(path *field.Path, value any, details []string) field.ErrorList {
	var errs field.ErrorList
	for _, detail := range details {
		errs = append(errs, field.Invalid(path, value, detail))
	}
	return errs
}

func validateEndpointSlice(s *discoveryv1.EndpointSlice, o Options) field.ErrorList {
	var errs field.ErrorList
	if !slices.Contains(addressTypes, s.AddressType) {
		errs = append(errs, field.NotSupported(field.NewPath("addressType"), s.AddressType, addressTypes))
	}
	for i := range s.Endpoints {
		path := field.NewPath("endpoints").Index(i).Child("addresses")
		if len(s.Endpoints[i].Addresses) == 0 {
			errs = append(errs, field.Required(path, "must contain at least 1 address"))
		}
		for j, address := range s.Endpoints[i].Addresses {
			errs = append(errs, validateEndpointAddress(address, s.AddressType, o, path.Index(j))...)
		}
	}
	names := map[string]bool{}
	for i, p := range s.Ports {
		path := field.NewPath("ports").Index(i)
		name := ""
		if p.Name != nil {
			name = *p.Name
		}
		if names[name] {
			errs = append(errs, field.Duplicate(path.Child("name"), name))
		}
		names[name] = true
		if p.Port != nil {
			errs = append(errs, validatePortNumber(*p.Port, path.Child("port"))...)
		}
		if p.Protocol != nil && !slices.Contains(protocols, *p.Protocol) {
			errs = append(errs, field.NotSupported(path.Child("protocol"), *p.Protocol, protocols))
		}
	}
	return errs
}

func validateEndpointAddress(address string, kind discoveryv1.AddressType, o Options, path *field.Path) field.ErrorList {
	if kind == discoveryv1.AddressTypeFQDN {
		return invalid(path, address, validation.IsDNS1123Subdomain(address))
	}
	ip, err := netip.ParseAddr(address)
	switch {
	case err != nil || ip.Zone() != "":
		return field.ErrorList{field.Invalid(path, address, "must be an IP address")}
	case kind == discoveryv1.AddressTypeIPv4 && !ip.Is4():
		return field.ErrorList{field.Invalid(path, address, "must be an IPv4 address, as addressType says")}
	case kind == discoveryv1.AddressTypeIPv6 && !ip.Is6():
		return field.ErrorList{field.Invalid(path, address, "must be an IPv6 address, as addressType says")}
	case ip.IsUnspecified(), ip.IsMulticast(), ip.IsLinkLocalUnicast():
		return field.ErrorList{field.Invalid(path, address, "must not be an unspecified, multicast or link-local address")}
	case ip.IsLoopback() && !o.AllowLoopback:
		return field.ErrorList{field.Invalid(path, address, "must not be a loopback address: no API server takes one "+
			"(standalone does)")}
	}
	return nil
}

// endpointSliceWarnings tells of a slice that is no Service's.
func endpointSliceWarnings(s *discoveryv1.EndpointSlice) []string {
	if s.Labels[discoveryv1.LabelServiceName] != "" {
		return nil
	}
	return []string{"metadata.labels: no Service uses this EndpointSlice: add the label " + discoveryv1.LabelServiceName +
		" with the name of its Service"}
}

func validateConfigMap(c *corev1.ConfigMap, _ Options) field.ErrorList {
	errs := validateDataKeys(c.Data, field.NewPath("data"))
	errs = append(errs, validateDataKeys(c.BinaryData, field.NewPath("binaryData"))...)
	for key := range c.BinaryData {
		if _, found := c.Data[key]; found {
			errs = append(errs, field.Invalid(field.NewPath("data").Key(key), field.OmitValueType{}, "is in binaryData too"))
		}
	}
	return errs
}

func validateSecret(s *corev1.Secret, _ Options) field.ErrorList {
	errs := validateDataKeys(s.Data, field.NewPath("data"))
	return append(errs, validateDataKeys(s.StringData, field.NewPath("stringData"))...)
}

func validateDataKeys[V any](data map[string]V, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for key := range data {
		errs = append(errs, invalid(path.Key(key), key, validation.IsConfigMapKey(key))...)
	}
	slices.SortFunc(errs, func(a, b *field.Error) int { return strings.Compare(a.Field, b.Field) })
	return errs
}
