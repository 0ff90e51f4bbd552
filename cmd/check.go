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
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dynamic-mcp/dynamic-mcp/internal/check"
)

type checkFlags struct {
	kubeconfig string
	options    check.Options
}

func newCheckCommand() *cobra.Command {
	flags := &checkFlags{}
	command := &cobra.Command{
		Use:   "check",
		Short: "Check whether the installation in a cluster works",
		Long: "Asks a cluster whether Dynamic MCP works there: is the GatewayClass accepted, does the webhook refuse a Backend that " +
			"can't work, and does a new Backend, which is deleted at once, get its status? The chart's `helm test` runs it.\n\n" +
			"Exit status: 0 if all of it works, else 1.",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return flags.run(ctx, command.OutOrStdout())
		},
	}
	s := command.Flags()
	s.StringVar(&flags.kubeconfig, "kubeconfig", "",
		"path of a kubeconfig; default: $KUBECONFIG, the cluster that this runs in, or ~/.kube/config")
	s.StringVarP(&flags.options.Namespace, "namespace", "n", "default",
		"where the Backend is made: one of --watch-namespaces, if the manager has any")
	s.BoolVar(&flags.options.Webhooks, "webhooks", true, "check the admission webhooks too")
	s.DurationVar(&flags.options.Timeout, "timeout", time.Minute, "how long each check is made again until it succeeds")
	return command
}

func (f *checkFlags) run(ctx context.Context, out io.Writer) error {
	if f.options.Timeout <= 0 {
		return fmt.Errorf("--timeout must be a time, like 1m, not %s", f.options.Timeout)
	}
	config, err := loadRESTConfig(f.kubeconfig)
	if err != nil {
		return err
	}
	ctrl.SetLogger(logr.Discard()) // what there is to say is in the output
	c, err := client.New(config, client.Options{Scheme: newManagerScheme()})
	if err != nil {
		return fmt.Errorf("ask the API server at %s: %w", config.Host, err)
	}
	return check.Run(ctx, c, f.options, out)
}
