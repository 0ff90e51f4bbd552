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
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/peer"
	"github.com/dynamic-mcp/dynamic-mcp/internal/proxy"
	"github.com/dynamic-mcp/dynamic-mcp/internal/version"
)

// proxyFlags are the flags of the command proxy.
type proxyFlags struct {
	gateway        string
	kubeconfig     string
	exitWithParent bool
	logLevel       string
	logFormat      string
	telemetry      telemetryFlags
	options        proxy.Options
}

func newProxyCommand() *cobra.Command {
	flags := &proxyFlags{options: proxy.Options{Limits: config.DefaultLimits(), Version: version.String()}}
	command := &cobra.Command{
		Use:   "proxy --gateway NAMESPACE/NAME",
		Short: "Serve the MCP traffic of one Gateway",
		Long: "Serves the MCP traffic of one Gateway: reads the Gateway, its HTTPRoutes and their Backends, status included, " +
			"from the API server, and goes on serving while that is away. The manager starts it by itself.",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return flags.run(command.Context(), command.InOrStdin(), command.OutOrStdout(), command.ErrOrStderr())
		},
	}
	f, o := command.Flags(), &flags.options
	f.StringVar(&flags.gateway, "gateway", "", "the Gateway to serve, as NAMESPACE/NAME (required)")
	f.StringVar(&flags.kubeconfig, "kubeconfig", "",
		"path of a kubeconfig; default: $KUBECONFIG, the cluster that this runs in, or ~/.kube/config")
	f.StringSliceVar(&o.WatchNamespaces, flagWatchNamespaces, nil,
		"namespaces that objects are read from, the Gateway's among them (default: all)")
	f.StringVar(&o.BindAddress, "bind-address", "", "IP address that the Gateway's listeners bind (default: all)")
	f.StringVar(&o.AdminAddress, "admin-address", "127.0.0.1:19000",
		"HOST:PORT of the admin endpoint: /metrics, /healthz, /readyz, /config; port 0 for any free one")
	f.StringVar(&o.AdminAddressFile, "admin-address-file", "", "file to write the admin endpoint's address to once it is bound")
	f.StringVar(&o.PeerBindAddress, "peer-bind-address", "",
		"HOST:PORT, like :15022, at which the other replicas of this proxy reach this one, to hand over requests that it alone "+
			"can serve (default: none, for a proxy of one replica)")
	f.StringVar(&o.PeerAddress, "peer-address", "",
		"IP:PORT at which the other replicas reach this one (default: $POD_IP and the port of --peer-bind-address)")
	f.StringSliceVar(&o.Peers, "peers", nil,
		"HOST:PORT of a name that resolves to the addresses of all replicas, like that of a headless Service, or the HOST:PORT of "+
			"each; required with --peer-bind-address")
	addProfilingFlag(f, &o.Profiling)
	f.BoolVar(&flags.exitWithParent, "exit-with-parent", false,
		"end when standard input does, so that this process never outlives the one that started it")
	f.BoolVar(&o.AllowLoopbackUpstreams, "allow-loopback-upstreams", false, "permit MCP servers on loopback addresses; for development")
	f.DurationVar(&o.ShutdownDelay, "shutdown-delay", 0,
		"how long to serve on once the program has been asked to end, before it drains: the time that load balancers need to notice; "+
			"meanwhile it is not ready, and answers ask clients to connect anew")
	addServingFlags(f, &o.AllowedOrigins, &o.DrainTimeout, 20*time.Second, &o.Limits)
	addTelemetryFlags(f, &flags.telemetry)
	addLogFlags(f, &flags.logLevel, &flags.logFormat, "json")
	return command
}

func (f *proxyFlags) run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	if err := f.complete(stderr); err != nil {
		return err
	}
	restConfig, err := loadRESTConfig(f.kubeconfig)
	if err != nil {
		return err
	}
	f.options.RestConfig = restConfig
	observed, flush, err := f.telemetry.start(ctx, stdout, f.options.Log)
	if err != nil {
		return err
	}
	defer flush()
	f.options.Telemetry = observed
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if f.exitWithParent {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		go func() {
			// The parent never writes. The read ends when the parent does, or with this process.
			_, _ = io.Copy(io.Discard, stdin)
			cancel()
		}()
	}
	return proxy.Run(ctx, f.options)
}

// complete checks the flags and derives options from them.
func (f *proxyFlags) complete(stderr io.Writer) error {
	namespace, name, ok := strings.Cut(f.gateway, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return fmt.Errorf("--gateway must be NAMESPACE/NAME, like default/agentgateway, not %q", f.gateway)
	}
	f.options.Gateway = types.NamespacedName{Namespace: namespace, Name: name}
	o := &f.options
	if err := checkServingFlags(o.BindAddress, o.AllowedOrigins, o.DrainTimeout, &o.Limits); err != nil {
		return err
	}
	if o.ShutdownDelay < 0 {
		return errors.New("--shutdown-delay must not be negative")
	}
	if err := checkNamespaces(o.WatchNamespaces); err != nil {
		return err
	}
	if len(o.WatchNamespaces) > 0 && !slices.Contains(o.WatchNamespaces, namespace) {
		return fmt.Errorf("--%s must have the namespace of the Gateway, %s, among them", flagWatchNamespaces, namespace)
	}
	if err := checkAdminAddress(o.AdminAddress); err != nil {
		return err
	}
	if err := completePeers(o, os.Getenv("POD_IP")); err != nil {
		return err
	}
	if err := f.telemetry.check(); err != nil {
		return err
	}
	log, err := newLogger(stderr, f.logLevel, f.logFormat)
	if err != nil {
		return err
	}
	redirectStandardLog(log)
	f.options.Log = log.With("gateway", f.gateway)
	return nil
}

// completePeers checks the flags about other replicas, and derives the own address.
func completePeers(o *proxy.Options, podIP string) error {
	if o.PeerBindAddress == "" {
		if o.PeerAddress != "" || len(o.Peers) > 0 {
			return errors.New("--peer-bind-address is required with --peer-address and --peers")
		}
		return nil
	}
	host, port, err := net.SplitHostPort(o.PeerBindAddress)
	if _, valid := peer.Canonical(net.JoinHostPort("127.0.0.1", port)); err != nil || !valid || host != "" && !isIP(host) {
		return fmt.Errorf("--peer-bind-address must be HOST:PORT, like :15022, the host empty or an IP address, not %q", o.PeerBindAddress)
	}
	if len(o.Peers) == 0 {
		return errors.New("--peers is required with --peer-bind-address")
	}
	for _, address := range o.Peers {
		if _, ok := peer.Canonical(address); !ok {
			return fmt.Errorf("--peers must be HOST:PORT, like agentgateway-peers:15022, not %q", address)
		}
	}
	if o.PeerAddress == "" {
		if podIP == "" {
			return errors.New("--peer-address is required with --peer-bind-address where $POD_IP is not set")
		}
		o.PeerAddress = net.JoinHostPort(podIP, port)
	}
	address, ok := peer.Canonical(o.PeerAddress)
	if own, _, err := net.SplitHostPort(o.PeerAddress); !ok || err != nil || !isIP(own) {
		return fmt.Errorf("--peer-address must be IP:PORT, like 10.0.0.1:15022, not %q", o.PeerAddress)
	}
	o.PeerAddress = address
	return nil
}

func isIP(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}
