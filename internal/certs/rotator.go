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

// Package certs gives the admission webhooks their certificate, in a cluster that has nothing else for that: it keeps one
// in a Secret, tells the API servers to trust it, serves it, and replaces it long before it ends.
//
// Every replica of the manager does all of it, whoever leads, because every replica serves the webhooks. They agree by
// the Secret: whoever writes first wins, and the others read what it wrote. Nothing fails while certificates change: a
// certificate is trusted before it is served, and for a while after.
package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/cluster"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/dynamic-mcp/dynamic-mcp/internal/apiserver"
)

const (
	commonName   = "dynamic-mcp webhooks"
	organization = "dynamic-mcp"

	controllerName = "webhook-certificate"
	// reconcileTimeout bounds one round of requests to the API server.
	reconcileTimeout = 30 * time.Second
)

// Options say where everything is.
type Options struct {
	// Secret holds the certificate. It is made if it is missing, and belongs to the Configuration: it goes with it.
	Secret types.NamespacedName
	// Labels that the Secret gets. A Secret of that name that lacks them is somebody else's and stays as it is.
	Labels map[string]string
	// Configuration is the name of the ValidatingWebhookConfiguration, all of whose webhooks we serve. The certificate is
	// for the names by which it calls them.
	Configuration string
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Rotator keeps the certificate of the webhooks.
type Rotator struct {
	options Options
	client  client.Client
	reader  client.Reader
	serving atomic.Pointer[pair]
}

// New returns a Rotator without a certificate; SetupWithManager makes it work.
func New(options Options) *Rotator {
	if options.Now == nil {
		options.Now = time.Now
	}
	return &Rotator{options: options}
}

// SetupWithManager adds the Rotator to the manager. It has a cache of its own, which holds these two objects alone,
// because nobody needs the right to read others for that.
func (r *Rotator) SetupWithManager(mgr ctrl.Manager) error {
	secret, configuration := metadata(corev1.SchemeGroupVersion.WithKind("Secret")), metadata(
		admissionregistrationv1.SchemeGroupVersion.WithKind("ValidatingWebhookConfiguration"))
	own, err := cluster.New(mgr.GetConfig(), func(o *cluster.Options) {
		o.Scheme = mgr.GetScheme()
		o.HTTPClient = mgr.GetHTTPClient()
		o.Cache = cache.Options{NewInformer: apiserver.Informers(), ByObject: map[client.Object]cache.ByObject{
			secret: {Namespaces: map[string]cache.Config{
				r.options.Secret.Namespace: {FieldSelector: named(r.options.Secret.Name)},
			}},
			configuration: {Field: named(r.options.Configuration)},
		}}
	})
	if err != nil {
		return fmt.Errorf("set up a cache: %w", err)
	}
	if err := mgr.Add(own); err != nil {
		return fmt.Errorf("set up a cache: %w", err)
	}
	r.client, r.reader = own.GetClient(), own.GetAPIReader()

	// Every replica serves the webhooks, so every replica does this.
	work, err := controller.New(controllerName, mgr, controller.Options{
		Reconciler: r, NeedLeaderElection: new(false), ReconciliationTimeout: reconcileTimeout, RateLimiter: apiserver.RateLimiter(),
	})
	if err != nil {
		return fmt.Errorf("set up the controller: %w", err)
	}
	all := handler.TypedEnqueueRequestsFromMapFunc(func(context.Context, *metav1.PartialObjectMetadata) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: r.options.Configuration}}}
	})
	for _, object := range []*metav1.PartialObjectMetadata{secret, configuration} {
		if err := work.Watch(source.Kind(own.GetCache(), object, all)); err != nil {
			return fmt.Errorf("watch %s: %w", object.Kind, err)
		}
	}
	return nil
}

// ServeTLS makes a server serve the certificate: for the TLSOpts of webhook.Options.
func (r *Rotator) ServeTLS(config *tls.Config) {
	config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		serving := r.serving.Load()
		if serving == nil {
			return nil, errNoCertificate
		}
		return serving.tls, nil
	}
}

var errNoCertificate = errors.New("there is no webhook certificate yet")

// Ready tells /readyz whether there is a certificate that the API servers have been told to trust.
func (r *Rotator) Ready(*http.Request) error {
	if r.serving.Load() == nil {
		return fmt.Errorf("%w: is the ValidatingWebhookConfiguration %s installed? The log says more",
			errNoCertificate, r.options.Configuration)
	}
	return nil
}

// Reconcile does one step: state in the Secret, trust in the configuration, certificate in this process, in this order. It
// reads both objects anew, since a decision by old ones would be undone by the API server.
func (r *Rotator) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	configuration := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	switch err := r.reader.Get(ctx, client.ObjectKey{Name: r.options.Configuration}, configuration); {
	case apierrors.IsNotFound(err):
		log.FromContext(ctx).Info("The ValidatingWebhookConfiguration is not installed, so nobody calls the webhooks",
			"name", r.options.Configuration)
		return reconcile.Result{RequeueAfter: recheck}, nil
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("read the ValidatingWebhookConfiguration: %w", err)
	case configuration.DeletionTimestamp != nil:
		return reconcile.Result{RequeueAfter: recheck}, nil
	}
	names, err := serverNames(configuration)
	if err != nil {
		return reconcile.Result{}, reconcile.TerminalError(err)
	}
	now := r.options.Now()
	state, err := r.ensureSecret(ctx, configuration, names, now)
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		// Another replica was faster: see what it did.
		return reconcile.Result{RequeueAfter: time.Millisecond}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	if err := r.ensureTrust(ctx, configuration, state); err != nil {
		if apierrors.IsConflict(err) {
			return reconcile.Result{RequeueAfter: time.Millisecond}, nil
		}
		return reconcile.Result{}, err
	}

	wait := state.wait(now)
	serving := r.serving.Load()
	serve, handover := state.serve(serving, names, now)
	if handover > 0 {
		wait = min(wait, handover)
	}
	if !serve.same(serving) {
		r.serving.Store(serve)
		log.FromContext(ctx).Info("Serving the webhook certificate", "names", names, "notAfter", serve.certificate.NotAfter)
	}
	return reconcile.Result{RequeueAfter: wait}, nil
}

// ensureSecret takes the state in the Secret one step on.
func (r *Rotator) ensureSecret(
	ctx context.Context, owner *admissionregistrationv1.ValidatingWebhookConfiguration, names []string, now time.Time,
) (rotation, error) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: r.options.Secret.Namespace, Name: r.options.Secret.Name}}
	err := r.reader.Get(ctx, r.options.Secret, secret)
	missing := apierrors.IsNotFound(err)
	switch {
	case err != nil && !missing:
		return rotation{}, fmt.Errorf("read the Secret %s: %w", r.options.Secret, err)
	case !missing && secret.DeletionTimestamp != nil:
		return rotation{}, fmt.Errorf("the Secret %s is being deleted; there will be a new one after that", r.options.Secret)
	case !missing && !r.owns(secret):
		return rotation{}, reconcile.TerminalError(fmt.Errorf("the Secret %s is not ours, because it lacks the labels %v: "+
			"delete it, or name another one", r.options.Secret, r.options.Labels))
	}
	state, changed, err := decode(secret).step(names, r.serving.Load(), now)
	if err != nil {
		return rotation{}, err
	}
	owners := []metav1.OwnerReference{*metav1.NewControllerRef(owner,
		admissionregistrationv1.SchemeGroupVersion.WithKind("ValidatingWebhookConfiguration"))}
	owners[0].BlockOwnerDeletion = nil
	if !changed && equality.Semantic.DeepEqual(secret.OwnerReferences, owners) {
		return state, nil
	}
	encode(state, secret, r.options.Labels)
	secret.OwnerReferences = owners
	if missing {
		if err := r.client.Create(ctx, secret); err != nil {
			return rotation{}, fmt.Errorf("create the Secret %s: %w", r.options.Secret, err)
		}
		log.FromContext(ctx).Info("Created the Secret with the webhook certificate", "secret", r.options.Secret)
		return state, nil
	}
	if err := r.client.Update(ctx, secret); err != nil {
		return rotation{}, fmt.Errorf("update the Secret %s: %w", r.options.Secret, err)
	}
	return state, nil
}

func (r *Rotator) owns(secret *corev1.Secret) bool {
	for key, value := range r.options.Labels {
		if secret.Labels[key] != value {
			return false
		}
	}
	return true
}

// ensureTrust makes every webhook of the configuration trust what the state trusts, and nothing else.
func (r *Rotator) ensureTrust(
	ctx context.Context, configuration *admissionregistrationv1.ValidatingWebhookConfiguration, state rotation,
) error {
	bundle := encodeCertificates(state.trusted())
	before := configuration.DeepCopy()
	for i := range configuration.Webhooks {
		configuration.Webhooks[i].ClientConfig.CABundle = bundle
	}
	if equality.Semantic.DeepEqual(before, configuration) {
		return nil
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.client.Patch(ctx, configuration, patch); err != nil {
		return fmt.Errorf("write the CA bundle of the ValidatingWebhookConfiguration: %w", err)
	}
	return nil
}

func named(name string) fields.Selector {
	return fields.OneTermEqualSelector(metav1.ObjectNameField, name)
}

func metadata(kind schema.GroupVersionKind) *metav1.PartialObjectMetadata {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(kind)
	return object
}
