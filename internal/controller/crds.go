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

package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/pkg/consts"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

// +kubebuilder:rbac:groups=apiextensions.k8s.io,resources=customresourcedefinitions,verbs=get;list;watch

const (
	// labelPartOf and partOfValue are on the CRDs that we ship. The group gateway.kgateway.dev is shared with the
	// kgateway project, whose own Backend and GatewayParameters are other kinds with the same names.
	labelPartOf = "app.kubernetes.io/part-of"
	partOfValue = "dynamic-mcp"
)

// ownCRDs are the CRDs that we ship.
var ownCRDs = []string{"backends.gateway.kgateway.dev", "gatewayparameters.gateway.kgateway.dev"}

// gatewayAPICRDs are the CRDs of the Gateway API that the controllers watch, all in version v1.
var gatewayAPICRDs = []string{
	"gatewayclasses.gateway.networking.k8s.io",
	"gateways.gateway.networking.k8s.io",
	"httproutes.gateway.networking.k8s.io",
	"referencegrants.gateway.networking.k8s.io",
	"backendtlspolicies.gateway.networking.k8s.io",
}

var crdKind = schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}

// crdMetadata returns an object to read a CRD's metadata into.
func crdMetadata() *metav1.PartialObjectMetadata {
	crd := &metav1.PartialObjectMetadata{}
	crd.SetGroupVersionKind(crdKind)
	return crd
}

// CheckCRDs returns what is wrong with the CRDs that the controllers need, each with what to do about it: not there,
// without the version that we read, or somebody else's. It is called before the manager starts, because controllers
// on another project's Backends would write a status that its owner doesn't understand. The reader must not be the
// manager's cache, which is not running then.
func CheckCRDs(ctx context.Context, reader client.Reader) error {
	var problems []error
	for _, name := range ownCRDs {
		problems = append(problems, checkOwnCRD(ctx, reader, name))
	}
	for _, name := range gatewayAPICRDs {
		problems = append(problems, checkGatewayAPICRD(ctx, reader, name))
	}
	return errors.Join(problems...)
}

func checkOwnCRD(ctx context.Context, reader client.Reader, name string) error {
	crd, err := readCRD(ctx, reader, name)
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("the CRD %s is not installed: install it with 'make install' or the Helm chart", name)
	case err != nil:
		return err
	case crd.GetLabels()[labelPartOf] != partOfValue:
		return fmt.Errorf("the CRD %s belongs to another project, probably kgateway: it lacks the label %s=%s. "+
			"Objects of two projects can't live in one cluster: uninstall the other one and its CRD, which deletes its "+
			"objects, or use another cluster. If the CRD is ours and lost its label, install it again",
			name, labelPartOf, partOfValue)
	case !serves(crd, v1alpha1.GroupVersion.Version):
		return fmt.Errorf("the CRD %s does not serve the version %s: install the CRD that came with this version",
			name, v1alpha1.GroupVersion.Version)
	}
	return nil
}

func checkGatewayAPICRD(ctx context.Context, reader client.Reader, name string) error {
	install := fmt.Sprintf("install the standard channel of the Gateway API %s", consts.BundleVersion)
	crd, err := readCRD(ctx, reader, name)
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("the CRD %s is not installed: %s", name, install)
	case err != nil:
		return err
	case !serves(crd, gatewayv1.GroupVersion.Version):
		return fmt.Errorf("the CRD %s (Gateway API %s) does not serve the version %s: %s", name,
			orUnknown(crd.GetAnnotations()[consts.BundleVersionAnnotation]), gatewayv1.GroupVersion.Version, install)
	}
	return nil
}

func readCRD(ctx context.Context, reader client.Reader, name string) (*unstructured.Unstructured, error) {
	crd := &unstructured.Unstructured{}
	crd.SetGroupVersionKind(crdKind)
	if err := reader.Get(ctx, client.ObjectKey{Name: name}, crd); err != nil {
		return nil, fmt.Errorf("read the CRD %s: %w", name, err)
	}
	return crd, nil
}

func serves(crd *unstructured.Unstructured, version string) bool {
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	return slices.ContainsFunc(versions, func(v any) bool {
		m, _ := v.(map[string]any)
		served, _ := m["served"].(bool)
		return served && m["name"] == version
	})
}

// supportedBundle is the release of the Gateway API whose CRDs we are built and tested against, in any patch version.
const supportedBundle = "v1.6."

// unsupportedBundles returns the versions, sorted, of those Gateway API CRDs in the cluster that are of another
// release than supportedBundle. A CRD that does not tell its version counts as unknown.
// https://gateway-api.sigs.k8s.io/reference/spec/#gatewayclassconditiontype, SupportedVersion
func unsupportedBundles(crds []metav1.PartialObjectMetadata) []string {
	var found []string
	for i := range crds {
		if !isGatewayAPICRD(&crds[i]) {
			continue
		}
		version := orUnknown(crds[i].Annotations[consts.BundleVersionAnnotation])
		if !strings.HasPrefix(version, supportedBundle) && !slices.Contains(found, version) {
			found = append(found, version)
		}
	}
	slices.Sort(found)
	return found
}

func isGatewayAPICRD(crd client.Object) bool {
	return strings.HasSuffix(crd.GetName(), "."+gatewayv1.GroupName)
}

func orUnknown(version string) string {
	if version == "" {
		return "of unknown version"
	}
	return version
}
