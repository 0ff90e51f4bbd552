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

package standalone

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/evaluate"
	"github.com/dynamic-mcp/dynamic-mcp/internal/manifests"
	"github.com/dynamic-mcp/dynamic-mcp/internal/resolve"
)

// loader reads the files and finds out what to serve.
type loader struct {
	source manifests.Source
	parser *manifests.Parser
	// sum is of the content that was loaded last, and readErr what could not be read then.
	sum     [sha256.Size]byte
	readErr string
	loaded  bool
	// previous are the statuses of the Backends that are served, whose targets keep their names.
	previous   map[types.NamespacedName]v1alpha1.BackendStatus
	generation int64
}

func newLoader(source manifests.Source) (*loader, error) {
	// Standard input can't be read again, and nobody can edit it.
	source.Stdin = nil
	parser, err := manifests.NewParser(manifests.Options{AllowLoopback: true})
	if err != nil {
		return nil, err
	}
	return &loader{source: source, parser: parser}, nil
}

// change is the outcome of loading.
type change struct {
	// unchanged is set if the files are as they were.
	unchanged bool
	// err is what could not be read.
	err error
	// findings about the files. With errors there is no state.
	findings []manifests.Finding
	state    *evaluate.State
}

// read loads the files, unless they are as they were at the last time.
func (l *loader) read() change {
	files, err := l.source.Read()
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("there are no files *.yaml, *.yml or *.json in %s", strings.Join(l.source.Paths, ", "))
	}
	sum, readErr := checksum(files), ""
	if err != nil {
		readErr = err.Error()
	}
	if l.loaded && sum == l.sum && readErr == l.readErr {
		return change{unchanged: true}
	}
	l.loaded, l.sum, l.readErr = true, sum, readErr
	if err != nil {
		return change{err: err}
	}
	return l.evaluate(files)
}

func checksum(files []manifests.File) [sha256.Size]byte {
	hash := sha256.New()
	for i := range files {
		fmt.Fprintf(hash, "%q %d\n", files[i].Name, len(files[i].Data))
		hash.Write(files[i].Data)
	}
	return [sha256.Size]byte(hash.Sum(nil))
}

func (l *loader) evaluate(files []manifests.File) change {
	set, findings := l.parser.Parse(files)
	if manifests.Count(findings, manifests.Error) == 0 {
		findings = append(findings, portConflicts(set)...)
	}
	if manifests.Count(findings, manifests.Error) > 0 {
		manifests.SortFindings(findings, files)
		return change{findings: findings}
	}
	l.generation++
	for i := range set.Gateways {
		set.Gateways[i].Generation = l.generation
	}
	state := evaluate.Evaluate(set, evaluate.Options{
		Resolve: resolve.Options{AllowExternalName: true, AllowLoopback: true}, NoPods: true, Previous: l.previous,
	})
	findings = append(findings, state.Problems()...)
	manifests.SortFindings(findings, files)
	return change{findings: findings, state: state}
}

// accept remembers what is served now.
func (l *loader) accept(state *evaluate.State) { l.previous = state.Statuses() }

// portConflicts finds Gateways that want the same port. In a cluster each has addresses of its own; here they all share
// those of this machine.
func portConflicts(set *manifests.Set) []manifests.Finding {
	type claim struct {
		gateway  *gatewayv1.Gateway
		document *manifests.Document
		field    string
	}
	state := evaluate.Evaluate(set, evaluate.Options{})
	claims := map[int32]claim{}
	var findings []manifests.Finding
	for i := range state.Gateways {
		g := state.Gateways[i].Gateway
		d := set.Find(gatewayv1.GroupName, "Gateway", g.Namespace, g.Name)
		for j := range g.Spec.Listeners {
			port, field := g.Spec.Listeners[j].Port, fmt.Sprintf("spec.listeners[%d].port", j)
			first, taken := claims[port]
			switch {
			case !taken:
				claims[port] = claim{g, d, field}
			case first.gateway != g:
				findings = append(findings, d.Finding(manifests.Error, field, fmt.Sprintf(
					"%s: Invalid value: %d: Gateway %s/%s has this port already (%s): without a cluster all Gateways share one "+
						"address, so that each needs ports of its own", field, port, first.gateway.Namespace, first.gateway.Name,
					first.document.Place(first.field))))
			}
		}
	}
	return findings
}
