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

package resolve

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

// statusRoom is what a status may take as JSON. Times and conditions of others come on top of what is made here.
const statusRoom = v1alpha1.MaxStatusBytes - 8<<10

// draft is a status before its bounds are looked at.
type draft struct {
	backend *v1alpha1.Backend
	entries []entry
	targets []resolvedTarget
	// bundles by hash, possibly more than the targets refer to.
	bundles map[string]string
	skipped []skip
}

// boundedStatus returns the status of the draft. If it is too large, the youngest targets that don't fit are left out
// with a reason; an elder target with many certificates does not take a small younger one with it.
func (d *draft) boundedStatus() v1alpha1.BackendStatus {
	status := d.status()
	if jsonSize(status) <= statusRoom {
		return status
	}
	bare := d.keeping(0)
	status = bare.status()
	room := statusRoom - jsonSize(status)
	for room > 0 {
		smaller := d.keeping(room)
		fitting := smaller.status()
		excess := jsonSize(fitting) - statusRoom
		if excess <= 0 {
			return fitting
		}
		// Which skipped entries are shown depends on what is left out, so that the room is known only roughly.
		room -= excess + 1024
	}
	return status
}

// keeping returns the draft with only those targets that fit into room, in bytes, eldest first.
func (d *draft) keeping(room int) draft {
	kept := *d
	kept.targets, kept.skipped = nil, slices.Clone(d.skipped)
	paid := map[string]bool{}
	for _, t := range d.targets {
		cost := jsonSize(t.ResolvedTarget) + 1
		bundle := ""
		if t.TLS != nil && !paid[t.TLS.CABundle] {
			bundle = t.TLS.CABundle
			cost += jsonSize(map[string]string{bundle: d.bundles[bundle]})
		}
		if cost > room {
			kept.skipped = append(kept.skipped, t.candidate.skip(v1alpha1.SkipReasonStatusTooLarge, fmt.Sprintf("the Backend's "+
				"status would be larger than %d bytes: divide the Backend into several, or use fewer and smaller CA bundles",
				v1alpha1.MaxStatusBytes)))
			continue
		}
		room -= cost
		paid[bundle] = true
		kept.targets = append(kept.targets, t)
	}
	return kept
}

// jsonSize returns the size of a value as the API server stores it.
func jsonSize(v any) int {
	data, err := json.Marshal(v)
	if err != nil {
		// Nothing in a status can fail to be encoded: it has no channels, functions or odd numbers.
		panic(fmt.Sprintf("encode status: %v", err))
	}
	return len(data)
}

// compareSkips is the order in which skipped entries are shown: by spec entry, then by Service.
func compareSkips(a, b skip) int {
	return cmp.Or(cmp.Compare(a.entry, b.entry), compareServices(a.Service, b.Service), cmp.Compare(a.Reason, b.Reason))
}

func compareServices(a, b *v1alpha1.SkippedServiceRef) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Port, b.Port))
}

// boundedSkips returns the entries to show of those in order, and how many Services all of them stand for. Where there
// are too many, each reason of each spec entry is shown before any of them is shown once more, so that a hundred
// Services with one fault don't hide the one with another.
func boundedSkips(inOrder []skip) (shown []v1alpha1.SkippedService, count int32) {
	type group struct {
		entry  int
		reason string
	}
	type ranked struct {
		rank, index int
	}
	seen := map[group]int{}
	ranking := make([]ranked, len(inOrder))
	for i, s := range inOrder {
		g := group{s.entry, s.Reason}
		ranking[i] = ranked{rank: seen[g], index: i}
		seen[g]++
		count += max(s.Count, 1)
	}
	slices.SortFunc(ranking, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.index, b.index))
	})
	ranking = ranking[:min(len(ranking), v1alpha1.MaxSkipped)]
	slices.SortFunc(ranking, func(a, b ranked) int { return cmp.Compare(a.index, b.index) })
	for _, r := range ranking {
		shown = append(shown, inOrder[r.index].SkippedService)
	}
	return shown, count
}
