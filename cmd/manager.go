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
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/provision"
	"github.com/dynamic-mcp/dynamic-mcp/internal/validate"
)

// Values of --proxy-runtime.
const (
	runtimeDeployment = "deployment"
	runtimeSubprocess = "subprocess"
)

// Names of flags whose default depends on other flags, or which messages of other flags name.
const (
	flagProxyRuntime      = "proxy-runtime"
	flagAllowExternalName = "allow-external-name"
	flagHealthProbe       = "health-probe-bind-address"
	flagEnableWebhooks    = "enable-webhooks"
	flagWebhookCertDir    = "webhook-cert-dir"
	flagWebhookCertSource = "webhook-cert-source"
	flagWebhookSecret     = "webhook-cert-secret"
	flagLogFormat         = "log-format"
	flagKeyRotation       = "session-key-rotation"
	flagProxyImage        = "proxy-image"
	flagProxyClusterRole  = "proxy-cluster-role"
)

// addressOff turns an endpoint off, as in other managers.
const addressOff = "0"

// managerFlags are the flags of the command manager.
type managerFlags struct {
	kubeconfig string

	proxyRuntime       string
	proxyBindAddress   string
	proxyImage         string
	proxyClusterRole   string
	watchNamespaces    []string
	allowExternalName  bool
	clusterDomain      string
	sessionKeyRotation time.Duration

	metricsAddress          string
	probeAddress            string
	leaderElect             bool
	leaderElectionNamespace string

	enableWebhooks       bool
	webhookCertSource    string
	webhookCertDir       string
	webhookSecret        string
	webhookConfiguration string
	webhookHost          string
	webhookPort          int

	logLevel  string
	logFormat string
}

func newManagerCommand() *cobra.Command {
	flags := &managerFlags{}
	command := &cobra.Command{
		Use:   "manager",
		Short: "Run the controllers and webhooks, and a proxy for each Gateway",
		Long: "Runs the controllers and webhooks against an API server, and a proxy for each Gateway of the class agentgateway.\n\n" +
			"With --proxy-runtime=deployment each Gateway gets a Deployment in its namespace, with a Service and all that it takes.\n" +
			"With --proxy-runtime=subprocess the proxies are child processes of the manager on this machine. They have the\n" +
			"manager's own credentials: it is for development.",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := flags.complete(command.Flags().Changed); err != nil {
				return err
			}
			return flags.run(ctrl.SetupSignalHandler(), command.ErrOrStderr())
		},
	}
	flags.register(command)
	return command
}

func (f *managerFlags) register(command *cobra.Command) {
	s := command.Flags()
	s.StringVar(&f.kubeconfig, "kubeconfig", "",
		"path of a kubeconfig; default: $KUBECONFIG, the cluster that this runs in, or ~/.kube/config")

	s.StringVar(&f.proxyRuntime, flagProxyRuntime, "",
		"where proxies run: deployment (a Deployment for each Gateway; default in a cluster) or subprocess (child processes of "+
			"the manager, with its credentials, for development; default elsewhere)")
	s.StringVar(&f.proxyImage, flagProxyImage, "",
		"image of proxies that are Deployments, unless GatewayParameters say another (default: that of the manager's own pod)")
	s.StringVar(&f.proxyClusterRole, flagProxyClusterRole, provision.DefaultProxyClusterRole,
		"name of the ClusterRole with what proxies that are Deployments may read, and of its ClusterRoleBinding, or with "+
			"--watch-namespaces its RoleBinding in each of them, whose subjects the manager sets")
	s.StringSliceVar(&f.watchNamespaces, flagWatchNamespaces, nil,
		"namespaces that the manager and its proxies read objects from and work in (default: all)")
	s.StringVar(&f.proxyBindAddress, "proxy-bind-address", "127.0.0.1",
		"IP address that the listeners of subprocess proxies bind; 0.0.0.0 or :: for all")
	s.BoolVar(&f.allowExternalName, flagAllowExternalName, false,
		"let selectors pick Services of type ExternalName; they name any host, so keep it off where users don't trust "+
			"each other (default: on with --proxy-runtime=subprocess, else off)")
	s.StringVar(&f.clusterDomain, "cluster-domain", validate.DefaultClusterDomain, "DNS domain of the cluster's Services")

	s.DurationVar(&f.sessionKeyRotation, flagKeyRotation, sessionLifetime(),
		"how often the keys that seal sessions rotate, which ends no session; at least the lifetime of sessions, or 0 for never")

	s.StringVar(&f.metricsAddress, "metrics-bind-address", addressOff,
		"HOST:PORT for /metrics of the manager, over plain HTTP and for anyone who can reach it, so prefer 127.0.0.1:8080 "+
			"or a NetworkPolicy; 0: off")
	s.StringVar(&f.probeAddress, flagHealthProbe, ":8081",
		"HOST:PORT for /healthz and /readyz; 0: off (default with --proxy-runtime=subprocess: 127.0.0.1:8081)")
	s.BoolVar(&f.leaderElect, "leader-elect", false,
		"work only while holding a lease, so that of several managers one is active")
	s.StringVar(&f.leaderElectionNamespace, "leader-election-namespace", "",
		"namespace of the lease; default: the namespace that this runs in, so it is needed outside a cluster")

	f.registerWebhooks(s)

	s.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error; for subprocess proxies too")
	s.StringVar(&f.logFormat, flagLogFormat, "json",
		"json or text; for subprocess proxies too (default with --proxy-runtime=subprocess: text)")
}

// complete sets the defaults that depend on other flags and returns every error there is. changed says whether a flag
// was given.
func (f *managerFlags) complete(changed func(flag string) bool) error {
	if f.proxyRuntime == "" {
		f.proxyRuntime = runtimeSubprocess
		if inCluster() {
			f.proxyRuntime = runtimeDeployment
		}
	}
	if f.subprocess() {
		f.allowExternalName = f.allowExternalName || !changed(flagAllowExternalName)
		if !changed(flagHealthProbe) {
			f.probeAddress = "127.0.0.1:8081"
		}
		if !changed(flagLogFormat) {
			f.logFormat = "text"
		}
	}
	f.completeWebhooks(changed)
	_, logErr := newManagerLogger(io.Discard, f.logLevel, f.logFormat)
	return errors.Join(
		f.checkProxyRuntime(),
		checkNamespaces(f.watchNamespaces),
		f.checkWebhooks(),
		checkKeyRotation(f.sessionKeyRotation),
		checkBindAddress("metrics-bind-address", f.metricsAddress),
		checkBindAddress(flagHealthProbe, f.probeAddress),
		checkClusterDomain(f.clusterDomain),
		logErr,
	)
}

func (f *managerFlags) subprocess() bool { return f.proxyRuntime == runtimeSubprocess }

func (f *managerFlags) checkProxyRuntime() error {
	switch f.proxyRuntime {
	case runtimeDeployment:
		if len(validation.IsDNS1123Subdomain(f.proxyClusterRole)) > 0 {
			return fmt.Errorf("--%s must be the name of a ClusterRole, not %q", flagProxyClusterRole, f.proxyClusterRole)
		}
		return nil
	case runtimeSubprocess:
	default:
		return fmt.Errorf("--%s must be %s or %s, not %q", flagProxyRuntime, runtimeDeployment, runtimeSubprocess, f.proxyRuntime)
	}
	if address, err := netip.ParseAddr(f.proxyBindAddress); err != nil || address.Zone() != "" {
		return fmt.Errorf("--proxy-bind-address must be an IP address, like 127.0.0.1 or 0.0.0.0, not %q", f.proxyBindAddress)
	}
	return nil
}

func checkBindAddress(flag, address string) error {
	if address == addressOff || address == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || (host != "" && !isHost(host)) {
		return fmt.Errorf("--%s must be HOST:PORT, like 127.0.0.1:8081 or :8081, or 0 for off, not %q", flag, address)
	}
	return nil
}

// sessionLifetime is how long the sessions of the proxies that the manager runs last.
func sessionLifetime() time.Duration { return config.DefaultLimits().SessionLifetime }

func checkKeyRotation(every time.Duration) error {
	if every != 0 && every < sessionLifetime() {
		return fmt.Errorf("--%s must be at least %s, the lifetime of sessions, or 0 for never, not %s: keys that rotate faster "+
			"would end sessions", flagKeyRotation, sessionLifetime(), every)
	}
	return nil
}

func checkClusterDomain(domain string) error {
	if problems := validation.IsDNS1123Subdomain(strings.TrimSuffix(domain, ".")); len(problems) > 0 {
		return fmt.Errorf("--cluster-domain must be a DNS domain, like %s, not %q", validate.DefaultClusterDomain, domain)
	}
	return nil
}

func isHost(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil || len(validation.IsDNS1123Subdomain(strings.ToLower(host))) == 0
}
