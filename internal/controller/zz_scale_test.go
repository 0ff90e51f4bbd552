package controller_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

var _ = Describe("Scale", func() {
	It("scale", func() {
		ns := newNamespace()
		b := backendOf(ns, "b", "app=mcp")
		var last *corev1.Service
		for i := range 1000 {
			s := serviceOf(ns, fmt.Sprintf("s%04d", i), "app=mcp"); s.Spec.ClusterIP = "None"
			Expect(api.Create(ctx, s)).To(Succeed())
			Expect(api.Create(ctx, endpointsOf(s, "10.0.0.1"))).To(Succeed())
			last = s
		}
		t := time.Now()
		create(b)
		eventually(b, func(g Gomega, b *v1alpha1.Backend) { g.Expect(b.Status.Summary).To(Equal("1000/1000")) })
		fmt.Println("first", time.Since(t))
		for range 5 {
			t = time.Now()
			change(last, func(s *corev1.Service) { s.Labels["app"] = "no" })
			eventually(b, func(g Gomega, b *v1alpha1.Backend) { g.Expect(b.Status.Summary).To(Equal("999/999")) })
			fmt.Println("away", time.Since(t))
			t = time.Now()
			change(last, func(s *corev1.Service) { s.Labels["app"] = "mcp" })
			eventually(b, func(g Gomega, b *v1alpha1.Backend) { g.Expect(b.Status.Summary).To(Equal("1000/1000")) })
			fmt.Println("back", time.Since(t))
		}
		slice := endpointsOf(last)
		t = time.Now()
		change(slice, func(s *discoveryv1.EndpointSlice) { s.Endpoints = nil })
		eventually(b, func(g Gomega, b *v1alpha1.Backend) { g.Expect(b.Status.Summary).To(Equal("999/1000")) })
		fmt.Println("endpoint", time.Since(t))
	})
})
