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
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// managerOwner is under which name the manager applies.
const managerOwner = client.FieldOwner("dynamic-mcp")

const ours = "app.kubernetes.io/managed-by=dynamic-mcp"

// object makes an object of YAML. OURS in it is the label and the owner of what the manager makes.
func object(text string) *unstructured.Unstructured {
	text = strings.ReplaceAll(text, "OURS", "namespace: default, labels: {app.kubernetes.io/managed-by: dynamic-mcp}, ownerReferences: "+
		"[{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, name: g, uid: c3c2aaf8-7d61-4f53-9d5c-aab4e3a4f4a1, controller: true}]")
	made := &unstructured.Unstructured{}
	Expect(yaml.UnmarshalStrict([]byte(text), &made.Object)).To(Succeed())
	return made
}

const (
	pods = "selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {serviceAccountName: NAME, containers: [{name: c, image: i}]}}"
	role = "rules: [{apiGroups: [''], resources: [secrets], resourceNames: [g-dynamic-mcp], verbs: [get]}]"
	bind = "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: g-dynamic-mcp}, " +
		"subjects: [{kind: ServiceAccount, namespace: default, name: g-dynamic-mcp}]"
)

// podsAs is the spec of a Deployment whose pods have that ServiceAccount.
func podsAs(account string) string {
	return "spec: {" + strings.Replace(pods, "NAME", account, 1) + "}"
}

var _ = Describe("The policies on the manager", Ordered, ContinueOnFailure, func() {
	var asManager client.Client

	BeforeAll(func(ctx SpecContext) {
		// Only the policies stand between the manager and everything.
		Expect(admin.Create(ctx, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "manager-may-everything"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: managerUser}},
		})).To(Succeed())
		DeferCleanup(func(ctx SpecContext) {
			Expect(admin.Delete(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "manager-may-everything"}})).To(Succeed())
		})
		asManager = manager()
		// Others' objects, and ours.
		for _, existing := range []string{
			"{apiVersion: v1, kind: Secret, metadata: {namespace: default, name: others}}",
			"{apiVersion: v1, kind: Service, metadata: {namespace: default, name: others}, spec: {ports: [{port: 1}]}}",
			"{apiVersion: apps/v1, kind: Deployment, metadata: {namespace: default, name: others}, " + podsAs("default") + "}",
			"{apiVersion: v1, kind: Secret, metadata: {OURS, name: ours}, type: Opaque}",
			"{apiVersion: apps/v1, kind: Deployment, metadata: {OURS, name: ours}, " + podsAs("g-dynamic-mcp") + "}",
			"{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {namespace: default, name: dynamic-mcp-proxy}, " +
				"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: dynamic-mcp-proxy}}",
			"{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {namespace: default, name: others}, " +
				"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: dynamic-mcp-proxy}}",
		} {
			Expect(apply(ctx, admin, object(existing))).To(Succeed())
		}
		for _, namespace := range []string{
			"{apiVersion: v1, kind: Namespace, metadata: {name: privileged, labels: {pod-security.kubernetes.io/enforce: privileged}}}",
			"{apiVersion: v1, kind: Namespace, metadata: {name: restricted, labels: {pod-security.kubernetes.io/enforce: restricted}}}",
		} {
			Expect(apply(ctx, admin, object(namespace))).To(Succeed())
		}
		// Policies take effect a moment after they were applied.
		Eventually(func() error {
			return asManager.Create(ctx, object("{apiVersion: v1, kind: Secret, metadata: {namespace: default, name: probe}}"), client.DryRunAll)
		}).Should(MatchError(ContainSubstring("ValidatingAdmissionPolicy")))
	})

	DescribeTable("permit to write", func(ctx SpecContext, text string) {
		Expect(apply(ctx, asManager, object(text), managerOwner, client.DryRunAll)).To(Succeed())
	},
		Entry("a Deployment of a Gateway", "{apiVersion: apps/v1, kind: Deployment, metadata: {OURS, name: g}, "+podsAs("g-dynamic-mcp")+"}"),
		Entry("its own Deployment again", "{apiVersion: apps/v1, kind: Deployment, metadata: {OURS, name: ours}, "+podsAs("g-dynamic-mcp")+"}"),
		Entry("one with containers, volumes and ports of an overlay", "{apiVersion: apps/v1, kind: Deployment, metadata: {OURS, name: g}, "+
			"spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {serviceAccountName: g-dynamic-mcp, "+
			"initContainers: [{name: i, image: i}], containers: [{name: c, image: i, ports: [{containerPort: 1}], securityContext: "+
			"{privileged: false, procMount: Default, capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}}}], "+
			"volumes: [{name: v, configMap: {name: c}}]}}}}"),
		Entry("a Service", "{apiVersion: v1, kind: Service, metadata: {OURS, name: g}, spec: {ports: [{port: 1}]}}"),
		Entry("a ServiceAccount", "{apiVersion: v1, kind: ServiceAccount, metadata: {OURS, name: g-dynamic-mcp}}"),
		Entry("a Secret", "{apiVersion: v1, kind: Secret, metadata: {OURS, name: g-dynamic-mcp}, type: Opaque}"),
		Entry("the certificate of its webhooks", "{apiVersion: v1, kind: Secret, type: kubernetes.io/tls, data: {tls.crt: '', tls.key: ''}, "+
			"metadata: {namespace: dynamic-mcp-system, name: dynamic-mcp-webhook-certificate, labels: {app.kubernetes.io/managed-by: dynamic-mcp}}}"),
		Entry("the Role for its Secret", "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {OURS, name: g-dynamic-mcp}, "+role+"}"),
		Entry("its RoleBinding", "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {OURS, name: g-dynamic-mcp}, "+bind+"}"),
		Entry("the subjects of the binding for proxies", "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, "+
			"metadata: {name: dynamic-mcp-proxy}, subjects: [{kind: ServiceAccount, namespace: default, name: g-dynamic-mcp}]}"),
		Entry("the subjects of that of a namespace", "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, "+
			"metadata: {namespace: default, name: dynamic-mcp-proxy}, subjects: [{kind: ServiceAccount, namespace: default, name: g-dynamic-mcp}]}"),
		Entry("a budget", "{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {OURS, name: g}, spec: {maxUnavailable: 1}}"),
		Entry("an autoscaler", "{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {OURS, name: g}, "+
			"spec: {maxReplicas: 2, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: g}}}"),
	)

	DescribeTable("refuse to write", func(ctx SpecContext, text, message string) {
		err := apply(ctx, asManager, object(text), managerOwner, client.DryRunAll)
		Expect(err).To(MatchError(And(ContainSubstring("ValidatingAdmissionPolicy"), ContainSubstring(message))))
	},
		Entry("a Deployment without its label",
			"{apiVersion: apps/v1, kind: Deployment, metadata: {namespace: default, name: g}, "+podsAs("g-dynamic-mcp")+"}", "only objects that carry the label "+ours),
		Entry("a Service without its label", "{apiVersion: v1, kind: Service, metadata: {namespace: default, name: g}, spec: {ports: [{port: 1}]}}", ours),
		Entry("a ServiceAccount without its label", "{apiVersion: v1, kind: ServiceAccount, metadata: {namespace: default, name: g}}", ours),
		Entry("a Secret without its label", "{apiVersion: v1, kind: Secret, metadata: {namespace: default, name: g}}", ours),
		Entry("a budget without its label",
			"{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {namespace: default, name: g}, spec: {maxUnavailable: 1}}", ours),
		Entry("an autoscaler without its label", "{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {namespace: default, name: g}, "+
			"spec: {maxReplicas: 2, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: g}}}", ours),
		Entry("a Role without its label",
			"{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {namespace: default, name: g-dynamic-mcp}, "+role+"}", ours),
		Entry("a RoleBinding without its label",
			"{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {namespace: default, name: g-dynamic-mcp}, "+bind+"}", ours),
		Entry("its label on others' Secret", "{apiVersion: v1, kind: Secret, metadata: {OURS, name: others}, type: Opaque}", "may change and delete only objects that carry"),
		Entry("its label on others' Deployment",
			"{apiVersion: apps/v1, kind: Deployment, metadata: {OURS, name: others}, "+podsAs("g-dynamic-mcp")+"}", "may change and delete only objects that carry"),
		Entry("what no Gateway controls", "{apiVersion: v1, kind: ServiceAccount, metadata: "+
			"{namespace: default, name: g-dynamic-mcp, labels: {app.kubernetes.io/managed-by: dynamic-mcp}}}", "that a Gateway controls"),
		Entry("a Secret that would be the token of any account", "{apiVersion: v1, kind: Secret, type: kubernetes.io/service-account-token, "+
			"metadata: {OURS, name: t, annotations: {kubernetes.io/service-account.name: default}}}",
			"only Secrets of the types Opaque and kubernetes.io/tls"),
		Entry("pods that run as another account", "{apiVersion: apps/v1, kind: Deployment, metadata: {OURS, name: g}, "+podsAs("default")+"}",
			"only as the ServiceAccount of a Gateway"),
		Entry("a Role for all Secrets", "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {OURS, name: g-dynamic-mcp}, "+
			"rules: [{apiGroups: [''], resources: [secrets], verbs: [get]}]}", "may permit only to get the Gateway's own Secret"),
		Entry("a Role for another Secret", "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {OURS, name: g-dynamic-mcp}, "+
			"rules: [{apiGroups: [''], resources: [secrets], resourceNames: [others], verbs: [get]}]}", "may permit only to get the Gateway's own Secret"),
		Entry("a Role to change its Secret", "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {OURS, name: g-dynamic-mcp}, "+
			"rules: [{apiGroups: [''], resources: [secrets], resourceNames: [g-dynamic-mcp], verbs: [get, update]}]}", "may permit only to get"),
		Entry("a RoleBinding of a ClusterRole", "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {OURS, name: g-dynamic-mcp}, "+
			"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}", "may bind only a Gateway's own Role"),
		Entry("a RoleBinding of another Role", "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {OURS, name: g-dynamic-mcp}, "+
			"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: others}}", "may bind only a Gateway's own Role"),
		Entry("a RoleBinding of its ClusterRole in a new place", "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, "+
			"metadata: {namespace: kube-system, name: dynamic-mcp-proxy}, "+
			"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: dynamic-mcp-proxy}}", "may neither create nor delete the bindings"),
		Entry("rights for somebody else", "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, "+
			"metadata: {name: dynamic-mcp-proxy}, subjects: [{kind: ServiceAccount, namespace: default, name: default}]}", "only to the ServiceAccounts of Gateways"),
		Entry("rights for a group", "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: dynamic-mcp-proxy}, "+
			"subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: x-dynamic-mcp}]}", "only to the ServiceAccounts of Gateways"),
		Entry("another ClusterRoleBinding", "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: mine}, "+
			"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}", "nor write other ClusterRoleBindings"),
	)

	DescribeTable("keep pods off their node", func(ctx SpecContext, changes string) {
		pod := "selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {serviceAccountName: g-dynamic-mcp, " + changes + "}}"
		deployment := object("{apiVersion: apps/v1, kind: Deployment, metadata: {OURS, name: g}, spec: {" + pod + "}}")
		for _, namespace := range []string{"default", "restricted"} {
			deployment.SetNamespace(namespace)
			Expect(apply(ctx, asManager, deployment, managerOwner, client.DryRunAll)).To(MatchError(And(
				ContainSubstring("ValidatingAdmissionPolicy"), ContainSubstring("pod-security.kubernetes.io/enforce=privileged"))), namespace)
		}
		deployment.SetNamespace("privileged")
		Expect(apply(ctx, asManager, deployment, managerOwner, client.DryRunAll)).To(Succeed(), "where its owner permits it")
	},
		Entry("hostNetwork", "hostNetwork: true, containers: [{name: c, image: i}]"),
		Entry("hostPID", "hostPID: true, containers: [{name: c, image: i}]"),
		Entry("hostIPC", "hostIPC: true, containers: [{name: c, image: i}]"),
		Entry("hostPath", "containers: [{name: c, image: i}], volumes: [{name: a, emptyDir: {}}, {name: v, hostPath: {path: /}}]"),
		Entry("hostPort", "containers: [{name: c, image: i, ports: [{containerPort: 1, hostPort: 1}]}]"),
		Entry("privileged", "containers: [{name: p, image: i}, {name: c, image: i, securityContext: {privileged: true}}]"),
		Entry("privileged before", "containers: [{name: p, image: i}], initContainers: [{name: c, image: i, securityContext: {privileged: true}}]"),
		Entry("a capability", "containers: [{name: p, image: i, securityContext: {capabilities: {add: [NET_BIND_SERVICE, SYS_ADMIN]}}}]"),
		Entry("all of /proc", "hostUsers: false, containers: [{name: p, image: i, securityContext: {procMount: Unmasked}}]"),
		Entry("a process of the host", "securityContext: {windowsOptions: {hostProcess: true, runAsUserName: x}}, hostNetwork: true, "+
			"containers: [{name: p, image: i}]"),
		Entry("a container of the host", "hostNetwork: true, "+
			"containers: [{name: p, image: i, securityContext: {windowsOptions: {hostProcess: true, runAsUserName: x}}}]"),
	)

	DescribeTable("of deletions", func(ctx SpecContext, text string, permitted bool) {
		err := asManager.Delete(ctx, object(text), client.DryRunAll)
		if permitted {
			Expect(err).NotTo(HaveOccurred())
			return
		}
		Expect(err).To(MatchError(ContainSubstring("ValidatingAdmissionPolicy")))
	},
		Entry("permit its Secrets", "{apiVersion: v1, kind: Secret, metadata: {namespace: default, name: ours}}", true),
		Entry("permit its Deployments", "{apiVersion: apps/v1, kind: Deployment, metadata: {namespace: default, name: ours}}", true),
		Entry("refuse others' Secrets", "{apiVersion: v1, kind: Secret, metadata: {namespace: default, name: others}}", false),
		Entry("refuse others' Services", "{apiVersion: v1, kind: Service, metadata: {namespace: default, name: others}}", false),
		Entry("refuse others' Deployments", "{apiVersion: apps/v1, kind: Deployment, metadata: {namespace: default, name: others}}", false),
		Entry("refuse others' RoleBindings",
			"{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {namespace: default, name: others}}", false),
		Entry("refuse the installed binding",
			"{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: dynamic-mcp-proxy}}", false),
		Entry("refuse that of a namespace",
			"{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {namespace: default, name: dynamic-mcp-proxy}}", false),
		Entry("refuse its own installation",
			"{apiVersion: apps/v1, kind: Deployment, metadata: {namespace: dynamic-mcp-system, name: dynamic-mcp-controller-manager}}", false),
	)

	It("permit all that Gateways' proxies are made of", func(ctx SpecContext) {
		files, err := filepath.Glob(filepath.Join(root, "internal/provision/testdata/objects/*.out.yaml"))
		Expect(err).NotTo(HaveOccurred())
		tried := 0
		for _, file := range files {
			text, err := os.ReadFile(file)
			Expect(err).NotTo(HaveOccurred())
			for _, made := range parse(text) {
				if made.GetKind() == "" {
					continue // an error in place of objects
				}
				namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: made.GetNamespace()}}
				Expect(client.IgnoreAlreadyExists(admin.Create(ctx, namespace))).To(Succeed())
				if made.GetKind() == "Role" {
					// What a RoleBinding refers to has to be there.
					Expect(apply(ctx, asManager, made, managerOwner)).To(Succeed(), "%s: %s", file, made.GetKind())
				}
				Expect(apply(ctx, asManager, made, managerOwner, client.DryRunAll)).To(Succeed(), "%s: %s", file, made.GetKind())
				tried++
			}
		}
		Expect(tried).To(BeNumerically(">", 20))
	})

	It("let everybody else be", func(ctx SpecContext) {
		Expect(apply(ctx, admin, object("{apiVersion: v1, kind: Secret, metadata: {namespace: default, name: g}}"), client.DryRunAll)).To(Succeed())
	})
})
