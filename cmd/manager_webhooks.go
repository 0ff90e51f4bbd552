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

package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/dynamic-mcp/dynamic-mcp/internal/certs"
	"github.com/dynamic-mcp/dynamic-mcp/internal/provision"
	"github.com/dynamic-mcp/dynamic-mcp/internal/validate"
	webhookv1alpha1 "github.com/dynamic-mcp/dynamic-mcp/internal/webhook/v1alpha1"
)

// Values of --webhook-cert-source.
const (
	certSourceFiles = "files"
	certSourceSelf  = "self"
)

// What config/default calls them.
const (
	defaultWebhookSecret        = "dynamic-mcp-webhook-certificate"
	defaultWebhookConfiguration = "dynamic-mcp-validating-webhook-configuration"
)

func (f *managerFlags) registerWebhooks(s *pflag.FlagSet) {
	s.BoolVar(&f.enableWebhooks, flagEnableWebhooks, false,
		"serve the admission webhooks (default: on if there is a certificate: with --webhook-cert-dir or --webhook-cert-source=self)")
	s.StringVar(&f.webhookCertSource, flagWebhookCertSource, "",
		"where the certificate of the webhooks is from: files (in --webhook-cert-dir; default) or self (the manager makes and "+
			"replaces it, and tells the API server to trust it; every replica does)")
	s.StringVar(&f.webhookCertDir, flagWebhookCertDir, "",
		"directory with tls.crt and tls.key for the webhooks; read again when they change")
	s.StringVar(&f.webhookSecret, flagWebhookSecret, defaultWebhookSecret,
		"[NAMESPACE/]NAME of the Secret for the certificate with --webhook-cert-source=self; default namespace: the one that this "+
			"runs in, by $POD_NAMESPACE")
	s.StringVar(&f.webhookConfiguration, "webhook-configuration", defaultWebhookConfiguration,
		"name of the ValidatingWebhookConfiguration that gets the certificate with --webhook-cert-source=self")
	s.StringVar(&f.webhookHost, "webhook-host", "", "host name or IP address that the webhooks bind (default: all)")
	s.IntVar(&f.webhookPort, "webhook-port", 9443, "port that the webhooks bind")
}

func (f *managerFlags) completeWebhooks(changed func(flag string) bool) {
	if f.webhookCertSource == "" {
		f.webhookCertSource = certSourceFiles
	}
	if !changed(flagEnableWebhooks) {
		f.enableWebhooks = f.webhookCertDir != "" || f.webhookCertSource == certSourceSelf
	}
}

func (f *managerFlags) checkWebhooks() error {
	var errs []error
	switch f.webhookCertSource {
	case certSourceFiles:
		if f.enableWebhooks && f.webhookCertDir == "" {
			errs = append(errs, fmt.Errorf("--%s needs --%s: a directory with the certificate tls.crt and its key tls.key, "+
				"because the API server calls webhooks with TLS only; or --%s=%s",
				flagEnableWebhooks, flagWebhookCertDir, flagWebhookCertSource, certSourceSelf))
		}
	case certSourceSelf:
		if f.webhookCertDir != "" {
			errs = append(errs, fmt.Errorf("--%s=%s and --%s exclude each other",
				flagWebhookCertSource, certSourceSelf, flagWebhookCertDir))
		}
		if f.enableWebhooks {
			_, err := f.webhookSecretKey()
			errs = append(errs, err)
		}
	default:
		errs = append(errs, fmt.Errorf("--%s must be %s or %s, not %q",
			flagWebhookCertSource, certSourceFiles, certSourceSelf, f.webhookCertSource))
	}
	if len(validation.IsDNS1123Subdomain(f.webhookConfiguration)) > 0 {
		errs = append(errs, fmt.Errorf("--webhook-configuration must be the name of a ValidatingWebhookConfiguration, not %q",
			f.webhookConfiguration))
	}
	if f.webhookPort < 1 || f.webhookPort > 65535 {
		errs = append(errs, fmt.Errorf("--webhook-port must be 1 to 65535, not %d", f.webhookPort))
	}
	if host := f.webhookHost; host != "" && !isHost(host) {
		errs = append(errs, fmt.Errorf("--webhook-host must be a host name or an IP address, not %q", host))
	}
	return errors.Join(errs...)
}

// webhookSecretKey returns where the Secret with the certificate is.
func (f *managerFlags) webhookSecretKey() (types.NamespacedName, error) {
	namespace, name, found := strings.Cut(f.webhookSecret, "/")
	if !found {
		namespace, name = os.Getenv(envPodNamespace), f.webhookSecret
	}
	if namespace == "" && !found {
		return types.NamespacedName{}, fmt.Errorf("--%s must be NAMESPACE/NAME where $%s does not say the namespace, not %q",
			flagWebhookSecret, envPodNamespace, f.webhookSecret)
	}
	if len(validation.IsDNS1123Label(namespace)) > 0 || len(validation.IsDNS1123Subdomain(name)) > 0 {
		return types.NamespacedName{}, fmt.Errorf("--%s must be NAME or NAMESPACE/NAME of a Secret, not %q",
			flagWebhookSecret, f.webhookSecret)
	}
	return types.NamespacedName{Namespace: namespace, Name: name}, nil
}

// webhooks is what serves the webhooks.
type webhooks struct {
	server webhook.Server
	// rotator keeps the certificate; nil if it is in files.
	rotator *certs.Rotator
}

// newWebhooks returns what serves the webhooks; nil if they are off.
func (f *managerFlags) newWebhooks() (*webhooks, error) {
	if !f.enableWebhooks {
		return nil, nil
	}
	options := webhook.Options{Host: f.webhookHost, Port: f.webhookPort}
	if f.webhookCertSource == certSourceSelf {
		secret, err := f.webhookSecretKey()
		if err != nil {
			return nil, err
		}
		rotator := certs.New(certs.Options{
			Secret:        secret,
			Labels:        map[string]string{provision.LabelManagedBy: provision.ManagedBy},
			Configuration: f.webhookConfiguration,
		})
		options.TLSOpts = []func(*tls.Config){rotator.ServeTLS}
		return &webhooks{server: webhook.NewServer(options), rotator: rotator}, nil
	}
	for _, name := range []string{"tls.crt", "tls.key"} {
		if _, err := os.Stat(filepath.Join(f.webhookCertDir, name)); err != nil {
			return nil, fmt.Errorf("--%s must have the files tls.crt and tls.key: %w", flagWebhookCertDir, err)
		}
	}
	options.CertDir = f.webhookCertDir
	return &webhooks{server: webhook.NewServer(options)}, nil
}

// ready tells /readyz whether the webhooks can be called.
func (w *webhooks) ready(request *http.Request) error {
	if w.rotator != nil {
		if err := w.rotator.Ready(request); err != nil {
			return err
		}
	}
	return w.server.StartedChecker()(request)
}

// setUpWebhooks adds the webhooks, what keeps their certificate, and their probe to the manager, which has their server.
func (f *managerFlags) setUpWebhooks(mgr ctrl.Manager, hooks *webhooks, log logr.Logger) error {
	if hooks == nil {
		log.Info("Webhooks are off; controllers report in status what webhooks would refuse",
			"toTurnThemOn", "--"+flagWebhookCertDir+" or --"+flagWebhookCertSource+"="+certSourceSelf)
		return nil
	}
	options := validate.Options{AllowLoopback: f.subprocess(), ClusterDomain: f.clusterDomain}
	errs := []error{
		webhookv1alpha1.SetupBackendWebhookWithManager(mgr, options),
		webhookv1alpha1.SetupGatewayParametersWebhookWithManager(mgr),
		mgr.AddReadyzCheck("webhooks", hooks.ready),
	}
	if hooks.rotator != nil {
		errs = append(errs, hooks.rotator.SetupWithManager(mgr))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("set up webhooks: %w", err)
	}
	return nil
}
