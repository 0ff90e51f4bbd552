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

// Command dynamic-mcp is every part of Dynamic MCP: the manager with the controllers, and the proxy of a Gateway.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/dynamic-mcp/dynamic-mcp/internal/version"
)

func main() {
	if err := newRootCommand().Execute(); err != nil {
		// cobra has printed it, unless there is nothing more to say.
		if exit, ok := errors.AsType[exitError](err); ok {
			os.Exit(exit.status)
		}
		os.Exit(1)
	}
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "dynamic-mcp",
		Short: "MCP servers behind the Kubernetes Gateway API",
		Long: "Dynamic MCP presents MCP servers, picked by label selectors over Services, to MCP clients as one server.\n" +
			"It implements the Kubernetes Gateway API.",
		Version: version.String(),
		// The usage text would bury the message about what went wrong.
		SilenceUsage: true,
	}
	root.AddCommand(newManagerCommand(), newProxyCommand(), newStandaloneCommand(), newValidateCommand(), newCheckCommand(),
		newVersionCommand())
	return root
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(command.OutOrStdout(), version.Long())
			return err
		},
	}
}
