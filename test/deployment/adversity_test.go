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

package deployment

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/provision"
)

// everyField of GatewayParameters, written in ways that the API server stores in other ones.
const everyField = `
image: {tag: v2, pullPolicy: Always, pullSecrets: [{name: b}, {name: a}]}
autoscaling: {minReplicas: 1, maxReplicas: 3}
podDisruptionBudget: {maxUnavailable: 25%}
resources:
  requests: {cpu: "0.5", memory: 0.5Gi, ephemeral-storage: 1000Mi}
  limits: {cpu: 2000m, memory: "1073741824"}
scheduling:
  nodeSelector: {pool: a}
  tolerations: [{key: a, operator: Exists}, {key: b, value: c, effect: NoExecute, tolerationSeconds: 60}]
  affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [
    {weight: 1, podAffinityTerm: {topologyKey: a, labelSelector: {matchLabels: {a: b}}}}]}}
  topologySpreadConstraints: [{maxSkew: 2, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]
  priorityClassName: high
pod: {labels: {a: b}, annotations: {c: d}}
service: {type: LoadBalancer, loadBalancerClass: example.com/a, externalTrafficPolicy: Local, labels: {a: b}, annotations: {c: d}}
env:
- {name: Z, value: ""}
- {name: A, value: $(Z)}
- {name: S, valueFrom: {secretKeyRef: {name: s, key: k}}}
- {name: F, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
log: {level: Debug, format: Text, accessLog: {format: JSON, clientAddresses: true}}
requestBodyLimit: 1024Ki
allowedOrigins: [https://b.example, https://a.example]
drainTimeout: 90s
sessionLifetime: 1h30m
overlays:
  deployment:
    metadata: {annotations: {x: z}, finalizers: [example.com/f]}
    spec:
      minReadySeconds: 0
      revisionHistoryLimit: 3
      paused: false
      template:
        spec:
          hostNetwork: false
          dnsConfig: {options: [{name: ndots, value: "2"}]}
          containers:
          - name: tunnel
            image: tunnel
            ports: [{containerPort: 1}, {containerPort: 2, protocol: UDP}]
            resources: {limits: {cpu: "1.0"}}
          - name: proxy
            volumeMounts: [{name: v, mountPath: /v}]
            lifecycle: {preStop: {sleep: {seconds: 20}}}
          volumes:
          - {name: v, configMap: {name: c}}
          - {name: w, emptyDir: {}}
          - {name: p, projected: {sources: [{serviceAccountToken: {path: t}}]}}
  service: {spec: {loadBalancerSourceRanges: [10.0.0.0/8], sessionAffinity: ClientIP, ports: [{port: 8080, appProtocol: http}]}}
  serviceAccount: {imagePullSecrets: [{name: x}], metadata: {annotations: {r: s}}}
  podDisruptionBudget: {spec: {unhealthyPodEvictionPolicy: IfHealthyBudget}}
  horizontalPodAutoscaler: {spec: {behavior: {scaleDown: {policies: [{type: Pods, value: 1, periodSeconds: 60}]}}, metrics: [
    {type: Resource, resource: {name: memory, target: {type: AverageValue, averageValue: 0.5Gi}}}]}}
`

var _ = Describe("The objects of a Gateway, all the same,", func() {
	var gateway *gatewayv1.Gateway
	var deployment *appsv1.Deployment

	BeforeEach(func() {
		gateway = gatewayOf(newNamespace(), "tools")
		deployment = &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: gateway.Namespace, Name: "tools"}}
	})

	// unwritten has the manager look at the Gateway, and expects that it finds nothing to do.
	unwritten := func(name string) {
		GinkgoHelper()
		mark(gateway, name+"-before")
		before := writes.count.Load()
		mark(gateway, name)
		Expect(writes.count.Load()).To(Equal(before), name)
	}

	It("are not written again because the API server writes values in its own way", func() {
		var spec v1alpha1.GatewayParametersSpec
		Expect(yaml.UnmarshalStrict([]byte(everyField), &spec)).To(Succeed())
		parameters := withParameters(gateway, spec)
		create(parameters)
		create(gateway)
		DeferCleanup(func() { change(deployment, func(d *appsv1.Deployment) { d.Finalizers = nil }) })
		condition(gateway, accepted, metav1.ConditionTrue, "")
		exist(append(objectsOf(gateway), optionalObjectsOf(gateway)...))
		unwritten("every-field")
	})

	It("are not written again because others have written to them", func() {
		create(gateway)
		exist(objectsOf(gateway))
		change(deployment, func(d *appsv1.Deployment) {
			d.OwnerReferences = append(d.OwnerReferences, metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "x", UID: "x"})
			c := &d.Spec.Template.Spec.Containers[0]
			c.Env = append(c.Env, corev1.EnvVar{Name: "MINE", Value: "x"})
			d.Spec.Template.Spec.Containers = append(d.Spec.Template.Spec.Containers, corev1.Container{Name: "mine", Image: "i"})
		})
		unwritten("others")
		eventually(deployment, func(g Gomega, d *appsv1.Deployment) {
			g.Expect(d.Spec.Template.Spec.Containers).To(HaveLen(2))
		})
	})

	It("recover when their owner is put back", func() {
		create(gateway)
		serve(gateway, 1)
		condition(gateway, programmed, metav1.ConditionTrue, "")
		var owners []metav1.OwnerReference
		change(deployment, func(d *appsv1.Deployment) { owners, d.OwnerReferences = d.OwnerReferences, nil })
		condition(gateway, programmed, metav1.ConditionFalse, "ObjectConflict: the Deployment")
		change(deployment, func(d *appsv1.Deployment) { d.OwnerReferences = owners })
		rollout(gateway, allUp(1))
		condition(gateway, programmed, metav1.ConditionTrue, "")
	})

	It("are made anew when somebody deletes one that is slow to go", func() {
		create(gateway)
		serve(gateway, 1)
		condition(gateway, programmed, metav1.ConditionTrue, "")
		service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: gateway.Namespace, Name: "tools"}}
		change(service, func(s *corev1.Service) { s.Finalizers = append(s.Finalizers, "example.com/load-balancer") })
		Expect(api.Delete(ctx, service)).To(Succeed())
		condition(gateway, programmed, metav1.ConditionFalse, "Pending: the Service "+gateway.Namespace+"/tools is being deleted, and is "+
			"made anew after that")
		change(service, func(s *corev1.Service) { s.Finalizers = nil })
		condition(gateway, programmed, metav1.ConditionTrue, "")
		eventually(service, func(g Gomega, s *corev1.Service) { g.Expect(s.DeletionTimestamp).To(BeNil()) })
	})

	It("keep labels by which they are found, whatever the Gateway asks for", func() {
		gateway.Spec.Infrastructure = &gatewayv1.GatewayInfrastructure{
			Labels: map[gatewayv1.LabelKey]gatewayv1.LabelValue{
				provision.LabelManagedBy: "me", gatewayv1.GatewayNameLabelKey: "other", "app.kubernetes.io/name": "x", "a": "b",
			},
			Annotations: map[gatewayv1.AnnotationKey]gatewayv1.AnnotationValue{
				"dynamic-mcp.dev/applied": "x", "deployment.kubernetes.io/revision": "9", "a": "b",
			},
		}
		create(gateway)
		exist(objectsOf(gateway))
		eventually(deployment, func(g Gomega, d *appsv1.Deployment) {
			g.Expect(d.Labels).To(And(HaveKeyWithValue(provision.LabelManagedBy, provision.ManagedBy), HaveKeyWithValue("a", "b")))
			g.Expect(d.Spec.Template.Labels).To(HaveKeyWithValue(gatewayv1.GatewayNameLabelKey, "tools"))
		})
		change(deployment, func(d *appsv1.Deployment) { d.Annotations["deployment.kubernetes.io/revision"] = "1" })
		unwritten("labels")
		eventually(deployment, func(g Gomega, d *appsv1.Deployment) {
			g.Expect(d.Annotations).To(HaveKeyWithValue("deployment.kubernetes.io/revision", "1"), "the Deployment controller's")
		})
	})

	It("follow the parameters that the class names", func() {
		parametersOf := func(name string, replicas int32, service *v1alpha1.ProxyService) *v1alpha1.GatewayParameters {
			return &v1alpha1.GatewayParameters{
				ObjectMeta: metav1.ObjectMeta{Namespace: gateway.Namespace, Name: name},
				Spec:       v1alpha1.GatewayParametersSpec{Replicas: new(replicas), Service: service},
			}
		}
		near := parametersOf("near", 2, &v1alpha1.ProxyService{
			LoadBalancerClass: "example.com/a", ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal,
		})
		far := parametersOf("far", 4, &v1alpha1.ProxyService{LoadBalancerClass: "example.com/b"})
		named := func(parameters string) *gatewayv1.ParametersReference {
			return &gatewayv1.ParametersReference{
				Group: gatewayv1.Group(v1alpha1.GroupVersion.Group), Kind: v1alpha1.KindGatewayParameters,
				Name: parameters, Namespace: new(gatewayv1.Namespace(gateway.Namespace)),
			}
		}
		class := &gatewayv1.GatewayClass{
			ObjectMeta: metav1.ObjectMeta{Name: "of-" + gateway.Namespace},
			Spec:       gatewayv1.GatewayClassSpec{ControllerName: v1alpha1.ControllerName, ParametersRef: named("near")},
		}
		gateway.Spec.GatewayClassName = gatewayv1.ObjectName(class.Name)
		for _, object := range []client.Object{near, far, class, gateway} {
			create(object)
		}
		follow := func(parameters string) {
			GinkgoHelper()
			change(class, func(c *gatewayv1.GatewayClass) { c.Spec.ParametersRef = named(parameters) })
		}
		replicas := func(want int32) {
			GinkgoHelper()
			eventually(deployment, func(g Gomega, d *appsv1.Deployment) { g.Expect(d.Spec.Replicas).To(HaveValue(Equal(want))) })
		}
		replicas(2)
		follow("missing")
		condition(gateway, accepted, metav1.ConditionFalse, "InvalidParameters: GatewayClass")
		replicas(2)

		By("the class of a load balancer, which Kubernetes lets nobody change, until the Service is gone")
		follow("far")
		condition(gateway, accepted, metav1.ConditionFalse, "InvalidParameters: the API server does not take the Service")
		service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: gateway.Namespace, Name: "tools"}}
		replicas(2)
		Expect(api.Delete(ctx, service)).To(Succeed())
		condition(gateway, accepted, metav1.ConditionTrue, "")
		replicas(4)
		eventually(service, func(g Gomega, s *corev1.Service) {
			g.Expect(s.Spec.LoadBalancerClass).To(HaveValue(Equal("example.com/b")))
		})

		By("another type of Service")
		change(far, func(p *v1alpha1.GatewayParameters) {
			p.Spec.Service = &v1alpha1.ProxyService{ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal, LoadBalancerClass: "example.com/b"}
		})
		eventually(service, func(g Gomega, s *corev1.Service) {
			g.Expect(s.Spec.ExternalTrafficPolicy).To(Equal(corev1.ServiceExternalTrafficPolicyLocal))
		})
		change(far, func(p *v1alpha1.GatewayParameters) {
			p.Spec.Service = &v1alpha1.ProxyService{Type: corev1.ServiceTypeClusterIP}
		})
		eventually(service, func(g Gomega, s *corev1.Service) {
			g.Expect(s.Spec.Type).To(Equal(corev1.ServiceTypeClusterIP))
			g.Expect(s.Spec.LoadBalancerClass).To(BeNil())
			g.Expect(s.Spec.ExternalTrafficPolicy).To(BeEmpty())
		})
		unwritten("class")
	})
})
