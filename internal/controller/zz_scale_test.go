package controller_test

import (
	"encoding/json"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"sigs.k8s.io/controller-runtime/pkg/client"

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
		seen0(b)
		until(b, "1000/1000")
		fmt.Println("first", time.Since(t))
		for range 5 {
			t = time.Now()
			change(last, func(s *corev1.Service) { s.Labels["app"] = "no" })
			until(b, "999/999")
			fmt.Println("away", time.Since(t))
			t = time.Now()
			change(last, func(s *corev1.Service) { s.Labels["app"] = "mcp" })
			until(b, "1000/1000")
			fmt.Println("back", time.Since(t))
		}
		slice := endpointsOf(last)
		t = time.Now()
		change(slice, func(s *discoveryv1.EndpointSlice) { s.Endpoints = nil })
		until(b, "999/1000")
		fmt.Println("endpoint", time.Since(t))
	})
})

func until(b *v1alpha1.Backend, summary string) {
	for {
		var fresh v1alpha1.Backend
		Expect(cached.Get(ctx, client.ObjectKeyFromObject(b), &fresh, client.UnsafeDisableDeepCopy)).To(Succeed())
		if fresh.Status.Summary == summary {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func seen0(b *v1alpha1.Backend) {
	for cached.Get(ctx, client.ObjectKeyFromObject(b), &v1alpha1.Backend{}, client.UnsafeDisableDeepCopy) != nil {
	}
}

var _ = AfterEach(func() {
	var l v1alpha1.BackendList
	Expect(api.List(ctx, &l)).To(Succeed())
	for _, b := range l.Items {
		m, _ := json.Marshal(b.ManagedFields)
		b.ManagedFields = nil
		r, _ := json.Marshal(b)
		fmt.Println("size", len(m), len(r))
	}
})
