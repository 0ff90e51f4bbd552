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

package install

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files")

// elsewhere are the kinds that other projects bring: the API server of the tests doesn't know them.
var elsewhere = []string{"ServiceMonitor", "PodMonitor", "Certificate", "Issuer"}

var _ = Describe("The chart", func() {
	It("installs with its defaults what dist/install.yaml does", func(ctx SpecContext) {
		rendered, err := chart(ctx, "--set", "image.repository=dynamic-mcp", "--skip-tests")
		Expect(err).NotTo(HaveOccurred())
		ofChart, ofInstaller := normalized(parse(rendered)), normalized(installer())
		// Helm has its own way to make the namespace.
		delete(ofInstaller, "Namespace/"+systemNamespace)
		for key, want := range ofInstaller {
			Expect(ofChart).To(HaveKeyWithValue(key, want), key)
		}
		Expect(ofChart).To(HaveLen(len(ofInstaller)))
	})

	values, err := filepath.Glob("testdata/chart/*.yaml")
	if err != nil {
		panic(err)
	}
	for _, file := range values {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		if strings.HasSuffix(name, ".golden") {
			continue
		}
		It("renders what it did and the API server takes, with the values "+name, func(ctx SpecContext) {
			rendered, err := chart(ctx, "--values", file)
			Expect(err).NotTo(HaveOccurred())
			golden := filepath.Join("testdata", "chart", name+".golden.yaml")
			if *update {
				Expect(os.WriteFile(golden, rendered, 0o600)).To(Succeed())
			}
			want, err := os.ReadFile(golden)
			Expect(err).NotTo(HaveOccurred())
			Expect(string(rendered)).To(Equal(string(want)), "if this is as it should be: make test PKG=./test/install TESTFLAGS=-update")

			for _, object := range parse(rendered) {
				if slices.Contains(elsewhere, object.GetKind()) {
					continue
				}
				if object.GetNamespace() != "" {
					namespace := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
					namespace.SetName(object.GetNamespace())
					Expect(client.IgnoreAlreadyExists(admin.Create(ctx, namespace))).To(Succeed())
				}
				// Selectors and roleRefs never change: what is there already under the same name is taken away in thought.
				if existing := object.DeepCopy(); admin.Get(ctx, client.ObjectKeyFromObject(object), existing) == nil {
					object.SetName(object.GetName() + "-again")
				}
				Expect(apply(ctx, admin, object, client.DryRunAll)).To(Succeed(), "%s %s", object.GetKind(), object.GetName())
			}
		})
	}

	It("gives the manager in some namespaces the rights there that it has everywhere else", func(ctx SpecContext) {
		everywhere := as[rbacv1.ClusterRole](installer().find("ClusterRole", "dynamic-mcp-manager-role"))
		rendered, err := chart(ctx, "--set", "watchNamespaces={team-a,team-b}")
		Expect(err).NotTo(HaveOccurred())
		all := parse(rendered)
		cluster := as[rbacv1.ClusterRole](all.find("ClusterRole", "dynamic-mcp-manager-role"))
		role := as[rbacv1.Role](all.find("Role", "dynamic-mcp-manager-role"))
		Expect(slices.Sorted(slices.Values(append(permissions(cluster.Rules), permissions(role.Rules)...)))).
			To(Equal(slices.Sorted(slices.Values(permissions(everywhere.Rules)))))
		for _, permission := range permissions(cluster.Rules) {
			Expect(permission).NotTo(MatchRegexp("secrets|deployments|services|gateways|backends|configmaps"))
		}
		Expect(all.find("ClusterRoleBinding", "dynamic-mcp-proxy")).To(BeNil())
		Expect(all.find("RoleBinding", "dynamic-mcp-proxy").Object).NotTo(HaveKey("subjects"))
	})

	It("keeps the CRDs, and with them the Backends, when it is uninstalled, unless told otherwise", func(ctx SpecContext) {
		for values, kept := range map[string]bool{"crds.keep=true": true, "crds.keep=false": false} {
			rendered, err := chart(ctx, "--set", values)
			Expect(err).NotTo(HaveOccurred())
			crds := 0
			for _, object := range parse(rendered) {
				if object.GetKind() != "CustomResourceDefinition" {
					Expect(object.GetAnnotations()).NotTo(HaveKey("helm.sh/resource-policy"), object.GetName())
					continue
				}
				crds++
				policy, found := object.GetAnnotations()["helm.sh/resource-policy"]
				Expect(found).To(Equal(kept), policy)
			}
			Expect(crds).To(Equal(2))
		}
	})

	It("tests itself with rights that the API server gives, and that last as long as the test", func(ctx SpecContext) {
		for _, values := range []string{"webhook.enabled=true", "watchNamespaces={team-a,team-b}"} {
			rendered, err := chart(ctx, "--set", values)
			Expect(err).NotTo(HaveOccurred())
			all := parse(rendered)
			pod := as[corev1.Pod](all.find("Pod", "dynamic-mcp-check"))
			Expect(pod.Annotations).To(HaveKeyWithValue("helm.sh/hook", "test"))
			for _, kind := range []string{"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"} {
				Expect(all.find(kind, "dynamic-mcp-check").GetAnnotations()).To(And(
					HaveKeyWithValue("helm.sh/hook", "test"), HaveKeyWithValue("helm.sh/hook-weight", "-1"),
					HaveKeyWithValue("helm.sh/hook-delete-policy", "before-hook-creation,hook-succeeded,hook-failed")), kind)
			}
			// The Backend is made where the right to make it is given, and where the manager works.
			role := all.find("Role", "dynamic-mcp-check")
			Expect(pod.Spec.Containers[0].Args).To(ContainElement("--namespace=" + role.GetNamespace()))
			Expect(all.find("RoleBinding", "dynamic-mcp-check").GetNamespace()).To(Equal(role.GetNamespace()))
			if strings.HasPrefix(values, "watchNamespaces") {
				Expect(role.GetNamespace()).To(Equal("team-a"))
			}
			// No Service and no budget takes it for the manager.
			Expect(pod.Labels).NotTo(HaveKey("control-plane"))
		}
		rendered, err := chart(ctx, "--set", "webhook.enabled=false")
		Expect(err).NotTo(HaveOccurred())
		Expect(as[corev1.Pod](parse(rendered).find("Pod", "dynamic-mcp-check")).Spec.Containers[0].Args).To(ContainElement("--webhooks=false"))
	})

	DescribeTable("refuses values that make no sense", func(ctx SpecContext, message string, values ...string) {
		var args []string
		for _, value := range values {
			args = append(args, "--set", value)
		}
		_, err := chart(ctx, args...)
		Expect(err).To(MatchError(ContainSubstring(message)))
	},
		Entry("a misspelt one", "additional properties 'replicas' not allowed", "replicas=2"),
		Entry("a misspelt one inside", "additional properties 'sorce' not allowed", "webhook.certificate.sorce=self"),
		Entry("none where one is needed", "missing property 'image'", "image=null"),
		Entry("no replica", "minimum: got 0, want 1", "replicaCount=0"),
		Entry("an unknown source", "/webhook/certificate/source", "webhook.certificate.source=vault"),
		Entry("an issuer without a name", "properties 'name' required, if 'kind' exists",
			"webhook.certificate.source=cert-manager", "webhook.certificate.issuerRef.kind=ClusterIssuer"),
		Entry("an issuer that is not asked", "only with webhook.certificate.source=cert-manager", "webhook.certificate.issuerRef.name=internal"),
		Entry("a policy of failure", "/webhook/failurePolicy", "webhook.failurePolicy=Maybe"),
		Entry("a digest that is a tag", "/image/digest", "image.digest=v1"),
		Entry("a repository with a tag", "/image/repository", "image.repository=mirror.example.com/dynamic-mcp:v1"),
		Entry("a namespace with a slash", "/watchNamespaces/0", "watchNamespaces={a/b}"),
		Entry("a domain with a space", "/clusterDomain", "clusterDomain=cluster local"),
		Entry("rotation in words", "/sessionKeyRotation", "sessionKeyRotation=daily"),
		Entry("rotation that would end sessions", "sessionKeyRotation is 1h: it must be a number of hours, at least 24h", "sessionKeyRotation=1h"),
		Entry("rotation without a unit", "sessionKeyRotation is 48: it must be a number of hours, at least 24h", "sessionKeyRotation=48"),
		Entry("a budget in words", "/podDisruptionBudget/maxUnavailable", "podDisruptionBudget.maxUnavailable=one"),
		Entry("resources that are no quantities", "/resources/limits/memory", "resources.limits.memory=1GB"),
		Entry("a label of the chart's own", "commonLabels has control-plane, which the chart sets itself", "commonLabels.control-plane=mine"),
		Entry("metrics that are scraped and not served", "metrics.serviceMonitor.enabled needs metrics.enabled",
			"metrics.enabled=false", "metrics.serviceMonitor.enabled=true"),
	)

	It("describes every value, and has a type for it", func() {
		text, err := os.ReadFile(filepath.Join(root, "charts/dynamic-mcp/values.yaml"))
		Expect(err).NotTo(HaveOccurred())
		schema, err := os.ReadFile(filepath.Join(root, "charts/dynamic-mcp/values.schema.json"))
		Expect(err).NotTo(HaveOccurred())
		var values, types map[string]any
		Expect(yaml.UnmarshalStrict(text, &values)).To(Succeed())
		Expect(yaml.Unmarshal(schema, &types)).To(Succeed())
		leaves := typedLeaves(values, types, "")
		Expect(leaves).To(BeNumerically(">", 35))
		described := regexp.MustCompile(`(?m)^( *)# -- .+\n(?: *# .+\n)* *[a-zA-Z]+:`).FindAllString(string(text), -1)
		Expect(described).To(HaveLen(leaves), "each value has a comment that begins with # --")
	})
})

// typedLeaves counts values, and checks that the schema has each of them.
func typedLeaves(values, schema map[string]any, path string) int {
	count := 0
	properties, _ := schema["properties"].(map[string]any)
	for name, value := range values {
		property, found := properties[name].(map[string]any)
		Expect(found).To(BeTrue(), "values.schema.json lacks %s", path+name)
		inner, isMap := value.(map[string]any)
		_, typed := property["properties"]
		if isMap && typed && len(inner) > 0 && name != "resources" {
			Expect(property).To(HaveKeyWithValue("additionalProperties", false), path+name)
			count += typedLeaves(inner, property, path+name+".")
			continue
		}
		count++
	}
	return count
}

// permissions has one line for each resource and verb of rules.
func permissions(rules []rbacv1.PolicyRule) []string {
	var all []string
	for _, rule := range rules {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				all = append(all, strings.Join([]string{strings.Join(rule.APIGroups, ","), resource, strings.Join(rule.ResourceNames, ","), verb}, " "))
			}
		}
	}
	return all
}

// normalized returns objects by kind and name, without what the two ways to install do each in their own way: labels, by
// which the manager's pods are found too, and values that are the defaults.
func normalized(all objects) map[string]any {
	found := map[string]any{}
	for _, object := range all {
		if object.GetKind() == "CustomResourceDefinition" {
			annotations := object.GetAnnotations()
			delete(annotations, "helm.sh/resource-policy")
			object.SetAnnotations(annotations)
		}
		aggregation := map[string]string{}
		for key, value := range object.GetLabels() {
			if strings.HasPrefix(key, "rbac.authorization.k8s.io/") {
				aggregation[key] = value
			}
		}
		object.SetLabels(nil)
		var rules []string
		if role := object.Object["rules"]; role != nil {
			rules = slices.Sorted(slices.Values(permissions(as[rbacv1.ClusterRole](object).Rules)))
			delete(object.Object, "rules")
		}
		found[object.GetKind()+"/"+object.GetName()] = map[string]any{
			"object": withoutOwnLabels(object.Object), "rules": rules, "aggregation": aggregation,
		}
	}
	return found
}

func withoutOwnLabels(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, inner := range value {
			switch {
			case strings.HasPrefix(key, "app.kubernetes.io/"), key == "helm.sh/chart":
				delete(value, key)
			case key == "timeoutSeconds" && value["admissionReviewVersions"] != nil:
				delete(value, key)
			case key == "type" && value["maxSurge"] == nil && value["rollingUpdate"] != nil:
				delete(value, key)
			default:
				value[key] = withoutOwnLabels(inner)
			}
		}
	case []any:
		for i := range value {
			value[i] = withoutOwnLabels(value[i])
		}
	}
	return value
}
