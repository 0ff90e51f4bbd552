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
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/evaluate"
	"github.com/dynamic-mcp/dynamic-mcp/internal/manifests"
)

// serve takes changes of the files until the context ends.
func (r *runner) serve(ctx context.Context, w *watcher, state *evaluate.State) {
	retry := time.NewTicker(retryAfter)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.changes:
			if changed := r.reload(w); changed != nil {
				state = changed
			}
		case <-retry.C:
			if r.unbound {
				r.apply(state)
			}
		}
	}
}

// load reads the files, and sets up watches for what they turned out to be. What changed in the meantime is read too.
func (r *runner) load(w *watcher) change {
	paths := r.Source.Paths
	if r.keys.path != "" {
		paths = append(paths[:len(paths):len(paths)], r.keys.path)
	}
	c := r.loader.read()
	for w.watch(paths, r.Source.Recursive) {
		if next := r.loader.read(); !next.unchanged {
			c = next
		}
	}
	return c
}

// reload takes a change of the files, and returns what is served since then; nil if nothing has changed.
func (r *runner) reload(w *watcher) *evaluate.State {
	if r.keys.reload() {
		r.fleet.updateKeys(r.keys.ring)
		r.Log.Info("Session keys were read again")
	}
	c := r.load(w)
	switch {
	case c.unchanged:
		return nil
	case c.err != nil:
		r.Log.Error("The files can't be read; what was served before goes on being served", "error", c.err)
		return nil
	}
	r.report(c.findings)
	if c.state == nil {
		r.Log.Error("The files have errors; what was served before goes on being served",
			"errors", manifests.Count(c.findings, manifests.Error))
		return nil
	}
	r.apply(c.state)
	r.print(c.state)
	return c.state
}

// apply serves a state. Ports that can't be bound are tried again.
func (r *runner) apply(state *evaluate.State) {
	err := r.fleet.apply(state)
	r.loader.accept(state)
	if err != nil && !r.unbound {
		r.Log.Error("Not everything is served; trying again", "error", err)
	}
	if err == nil && r.unbound {
		r.Log.Info("Everything is served")
	}
	r.unbound = err != nil
}

// report prints what was found about the files, if that is something new.
func (r *runner) report(findings []manifests.Finding) {
	var text strings.Builder
	_ = manifests.WriteText(&text, findings) // It can't fail.
	if text.String() != r.findings {
		r.findings = text.String()
		fmt.Fprint(r.Err, r.findings)
	}
}

// print prints what is served, if that is something new.
func (r *runner) print(state *evaluate.State) {
	table := Table(state, r.BindAddress)
	if table != r.table {
		r.table = table
		fmt.Fprintln(r.Out, table)
	}
}
