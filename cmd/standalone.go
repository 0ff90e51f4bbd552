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
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/standalone"
	"github.com/dynamic-mcp/dynamic-mcp/internal/version"
)

// standaloneFlags are the flags of the command standalone.
type standaloneFlags struct {
	logLevel  string
	logFormat string
	telemetry telemetryFlags
	options   standalone.Options
}

func newStandaloneCommand() *cobra.Command {
	flags := &standaloneFlags{options: standalone.Options{Limits: config.DefaultLimits(), Version: version.String()}}
	command := &cobra.Command{
		Use:   "standalone -f FILE-OR-DIR...",
		Short: "Serve Gateways from manifests in files, without a cluster",
		Long: "Serves Gateways from manifests in files, without a cluster: Gateways, HTTPRoutes, Backends, Services, " +
			"EndpointSlices, Namespaces, ReferenceGrants, BackendTLSPolicies, ConfigMaps and Secrets, checked, resolved and " +
			"served as in a cluster. Other kinds are passed over with a note.\n\n" +
			"Of GatewayParameters, allowedOrigins, requestBodyLimit, sessionLifetime and drainTimeout hold in place of the flags; " +
			"the rest is about pods, and only checked.\n\n" +
			"Files are read again whenever they change. A change with errors is reported, and what was served before goes on " +
			"being served.\n\n" +
			"There are no pods without a cluster: a Service needs an EndpointSlice with the address of its MCP server, or is " +
			"of type ExternalName (externalName: localhost for a server on this machine).\n\n" +
			"What is served is printed to standard output whenever it changes, with what is not ready or not used, and why.",
		Example: "  dynamic-mcp standalone -f config/samples/walkthrough",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return flags.run(command.Context(), command.OutOrStdout(), command.ErrOrStderr())
		},
	}
	f, o := command.Flags(), &flags.options
	addSourceFlags(f, &o.Source)
	f.StringVar(&o.BindAddress, "bind-address", "127.0.0.1",
		"IP address that the Gateways' listeners bind; empty for all. Clients are not authenticated: whoever reaches the "+
			"address can use the MCP servers")
	f.StringVar(&o.AdminAddress, "admin-address", "",
		"HOST:PORT of the admin endpoint: /metrics, /healthz, /readyz, /config (default: none)")
	addProfilingFlag(f, &o.Profiling)
	f.StringVar(&o.SessionKeyFile, "session-key-file", "",
		"file with the keys that seal sessions, made if it is not there; processes that share it serve each other's sessions "+
			"(default: keys that last as long as the process)")
	addServingFlags(f, &o.AllowedOrigins, &o.DrainTimeout, 5*time.Second, &o.Limits)
	addTelemetryFlags(f, &flags.telemetry)
	addLogFlags(f, &flags.logLevel, &flags.logFormat, "text")
	return command
}

func (f *standaloneFlags) run(ctx context.Context, stdout, stderr io.Writer) error {
	if err := f.complete(stdout, stderr); err != nil {
		return err
	}
	observed, flush, err := f.telemetry.start(ctx, stdout, f.options.Log)
	if err != nil {
		return err
	}
	defer flush()
	f.options.Telemetry = observed
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	return standalone.Run(ctx, f.options)
}

// complete checks the flags and derives options from them.
func (f *standaloneFlags) complete(stdout, stderr io.Writer) error {
	o := &f.options
	switch {
	case len(o.Source.Paths) == 0:
		return errors.New("--filename (-f) is required: name files or directories with manifests")
	case slices.Contains(o.Source.Paths, "-"):
		return errors.New("--filename: standard input can't be read again when it changes: name files or directories")
	}
	if err := checkServingFlags(o.BindAddress, o.AllowedOrigins, o.DrainTimeout, &o.Limits); err != nil {
		return err
	}
	if err := f.telemetry.check(); err != nil {
		return err
	}
	if o.Profiling && o.AdminAddress == "" {
		return errors.New("--pprof needs --admin-address: profiles are served there")
	}
	if o.AdminAddress != "" {
		if err := checkAdminAddress(o.AdminAddress); err != nil {
			return err
		}
	}
	log, err := newLogger(stderr, f.logLevel, f.logFormat)
	if err != nil {
		return err
	}
	if address, err := netip.ParseAddr(o.BindAddress); err != nil || !address.IsLoopback() {
		log.Warn("Listening beyond this machine: clients are not authenticated", "bindAddress", fmt.Sprintf("%q", o.BindAddress))
	}
	redirectStandardLog(log)
	o.Log, o.Out, o.Err = log, stdout, stderr
	return nil
}
