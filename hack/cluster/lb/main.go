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

// Command lb plays the cloud's part for Services of type LoadBalancer: it writes an address from -range into
// status.loadBalancer.ingress, and kube-proxy does the rest. Addresses in use are read back from the Services
// themselves, so a restarted lb goes on where the last one stopped.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// retryAfter is the time until the next attempt when the API server is away.
const retryAfter = time.Second

func main() {
	kubeconfig := flag.String("kubeconfig", "", "the kubeconfig file")
	cidr := flag.String("range", "10.97.0.0/16", "the addresses to hand out")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *kubeconfig, *cidr)
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

// run assigns addresses until the context ends.
func run(ctx context.Context, kubeconfig, cidr string) error {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return fmt.Errorf("-range: %w", err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("read the kubeconfig: %w", err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := assignUntilWatchEnds(ctx, client, prefix); err != nil && ctx.Err() == nil {
			log.Print(err)
			select {
			case <-ctx.Done():
			case <-time.After(retryAfter):
			}
		}
	}
	return nil
}

// assignUntilWatchEnds looks at all Services again each time one of them changes. That is quadratic, and fine for the
// handful of a test cluster.
func assignUntilWatchEnds(ctx context.Context, client kubernetes.Interface, prefix netip.Prefix) error {
	version, err := assign(ctx, client, prefix)
	if err != nil {
		return err
	}
	watch, err := client.CoreV1().Services("").Watch(ctx, metav1.ListOptions{ResourceVersion: version})
	if err != nil {
		return err
	}
	defer watch.Stop()
	for event := range watch.ResultChan() {
		if _, ok := event.Object.(*corev1.Service); !ok {
			return apierrors.FromObject(event.Object) // For example: too old a resource version.
		}
		if _, err := assign(ctx, client, prefix); err != nil {
			return err
		}
	}
	return nil
}

// assign gives every Service that wants an address and has none the lowest free one, and returns the resource version
// of the list that it worked from.
func assign(ctx context.Context, client kubernetes.Interface, prefix netip.Prefix) (string, error) {
	list, err := client.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	used := map[string]bool{}
	for _, service := range list.Items {
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			used[ingress.IP] = true
		}
	}
	next := prefix.Masked().Addr().Next() // The first one is the network's own.
	for i := range list.Items {
		service := &list.Items[i]
		if !wantsAddress(service) {
			continue
		}
		for used[next.String()] {
			next = next.Next()
		}
		if !prefix.Contains(next) {
			return "", errors.New("no address is left in the range")
		}
		service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: next.String()}}
		_, err := client.CoreV1().Services(service.Namespace).UpdateStatus(ctx, service, metav1.UpdateOptions{})
		switch {
		case apierrors.IsConflict(err) || apierrors.IsNotFound(err):
			continue // It has changed meanwhile: its own event brings us back.
		case err != nil:
			return "", err
		}
		used[next.String()] = true
		log.Printf("%s/%s: %s", service.Namespace, service.Name, next)
	}
	return list.ResourceVersion, nil
}

// wantsAddress tells whether a Service waits for an address. One with a class belongs to another load balancer.
func wantsAddress(service *corev1.Service) bool {
	return service.Spec.Type == corev1.ServiceTypeLoadBalancer && service.Spec.LoadBalancerClass == nil &&
		service.DeletionTimestamp == nil && len(service.Status.LoadBalancer.Ingress) == 0
}
