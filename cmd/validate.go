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
	"slices"

	"github.com/spf13/cobra"

	"github.com/dynamic-mcp/dynamic-mcp/internal/evaluate"
	"github.com/dynamic-mcp/dynamic-mcp/internal/manifests"
	"github.com/dynamic-mcp/dynamic-mcp/internal/resolve"
	"github.com/dynamic-mcp/dynamic-mcp/internal/validate"
)

// Exit statuses of the command validate.
const (
	exitFindings = 1
	exitNotRun   = 2
)

// validateFlags are the flags of the command validate.
type validateFlags struct {
	source  manifests.Source
	output  string
	strict  bool
	resolve resolve.Options
}

func newValidateCommand() *cobra.Command {
	flags := &validateFlags{}
	command := &cobra.Command{
		Use:   "validate -f FILE-OR-DIR...",
		Short: "Check manifests as an API server and the webhooks would, without a cluster",
		Long: "Checks manifests without a cluster: every error that the API server would give for Backends and for the " +
			"Gateway API's kinds (unknown fields, schemas, CEL rules) and that the webhooks would give, with file and line; " +
			"Services, EndpointSlices, Namespaces, ConfigMaps and Secrets are decoded strictly and checked for what is most " +
			"often wrong; other kinds are passed over with a note.\n\n" +
			"What would be accepted and still not work is a warning: references to what is not in the files, selectors that " +
			"match nothing, Services that would not be used, routes that would not be accepted.\n\n" +
			"Exit status: 0 without errors, 1 with errors (with --strict also with warnings), 2 if the files can't be read.",
		Example: "  dynamic-mcp validate -f config/samples/walkthrough\n" +
			"  kustomize build deploy | dynamic-mcp validate -f -\n" +
			"  dynamic-mcp validate -R -f deploy -o github --strict",
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			flags.source.Stdin = command.InOrStdin()
			err := flags.run(command.OutOrStdout(), command.ErrOrStderr())
			if exit, ok := errors.AsType[exitError](err); ok && exit.err == nil {
				command.SilenceErrors = true // The findings say it all.
			}
			return err
		},
	}
	command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exitError{exitNotRun, err} })
	f := command.Flags()
	addSourceFlags(f, &flags.source)
	f.StringVarP(&flags.output, "output", "o", "text", "text, json or github (annotations for GitHub Actions)")
	f.BoolVar(&flags.strict, "strict", false, "exit with status 1 also if there are only warnings")
	f.BoolVar(&flags.resolve.AllowExternalName, "allow-external-name", false,
		"as the manager's flag: selectors may pick Services of type ExternalName")
	f.BoolVar(&flags.resolve.AllowLoopback, "allow-loopback", false,
		"permit loopback addresses, as where proxies run on the manager's machine, and in standalone")
	f.StringVar(&flags.resolve.ClusterDomain, "cluster-domain", validate.DefaultClusterDomain, "DNS domain of the cluster's Services")
	return command
}

// noArguments refuses arguments as a usage error.
func noArguments(command *cobra.Command, args []string) error {
	if len(args) > 0 {
		return exitError{exitNotRun, fmt.Errorf("%s takes no arguments: write -f %s", command.CommandPath(), args[0])}
	}
	return nil
}

func (f *validateFlags) run(stdout, stderr io.Writer) error {
	if !slices.Contains([]string{"text", "json", "github"}, f.output) {
		return exitError{exitNotRun, fmt.Errorf("--output must be text, json or github, not %q", f.output)}
	}
	if len(f.source.Paths) == 0 {
		return exitError{exitNotRun, errors.New("--filename (-f) is required: name files or directories, or - for standard input")}
	}
	parser, err := manifests.NewParser(manifests.Options{AllowLoopback: f.resolve.AllowLoopback, ClusterDomain: f.resolve.ClusterDomain})
	if err != nil {
		return exitError{exitNotRun, err}
	}
	files, readErr := f.source.Read()
	set, findings := parser.Parse(files)
	state := evaluate.Evaluate(set, evaluate.Options{Resolve: f.resolve, AssumeEndpoints: true})
	findings = append(findings, state.Findings()...)
	manifests.SortFindings(findings, files)
	if err := f.write(stdout, findings, len(set.Documents)); err != nil {
		return exitError{exitNotRun, err}
	}
	if f.output == "text" {
		fmt.Fprintln(stderr, summary(len(set.Documents), set.Ignored, len(files), findings))
	}
	switch {
	case readErr != nil:
		return exitError{exitNotRun, readErr}
	case len(files) == 0:
		return exitError{exitNotRun, errors.New("there are no files *.yaml, *.yml or *.json; " +
			"with --recursive (-R), subdirectories are searched too")}
	case manifests.Count(findings, manifests.Error) > 0, f.strict && manifests.Count(findings, manifests.Warning) > 0:
		return exitError{exitFindings, nil}
	}
	return nil
}

func (f *validateFlags) write(w io.Writer, findings []manifests.Finding, objects int) error {
	switch f.output {
	case "json":
		return manifests.WriteJSON(w, findings, objects)
	case "github":
		return manifests.WriteGitHub(w, findings)
	default:
		return manifests.WriteText(w, findings)
	}
}

func summary(objects, ignored, files int, findings []manifests.Finding) string {
	return fmt.Sprintf("%s in %s checked, %d ignored: %s, %s", plural(objects, "object"), plural(files, "file"), ignored,
		plural(manifests.Count(findings, manifests.Error), "error"), plural(manifests.Count(findings, manifests.Warning), "warning"))
}

func plural(count int, noun string) string {
	if count == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", count, noun)
}
