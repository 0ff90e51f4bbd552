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
	"fmt"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/validate"
)

// roster gives candidates their places and names. Who was there before comes first, so that a newcomer never renames
// or displaces a server in use, however old its Service is.
type roster struct {
	// namespace of the Backend.
	namespace string
	seated    []*candidate
	byName    map[string]*candidate
	claimed   map[identity]*candidate
	conflicts []conflict
	skipped   []skip
}

// conflict is a newcomer whose name is taken.
type conflict struct {
	newcomer *candidate
	name     string
}

func newRoster(namespace string) *roster {
	return &roster{namespace: namespace, byName: map[string]*candidate{}, claimed: map[identity]*candidate{}}
}

func (r *roster) full() bool { return len(r.seated) >= v1alpha1.MaxResolvedTargets }

func (r *roster) seat(c *candidate, name string) {
	c.name = name
	r.byName[name] = c
	r.seated = append(r.seated, c)
}

// seatIncumbents seats the candidates that the previous status has, in its order and with its names.
func (r *roster) seatIncumbents(previous []v1alpha1.ResolvedTarget, candidates []*candidate) {
	byIdentity := make(map[identity][]*candidate, len(candidates))
	for _, c := range candidates {
		id := c.identity()
		byIdentity[id] = append(byIdentity[id], c)
	}
	for i := range previous {
		t := &previous[i]
		id := identityOf(t)
		c := heir(byIdentity[id], t.Target)
		// A status that someone edited may have names twice, or names that are none.
		if c == nil || r.full() || r.claimed[id] != nil || r.byName[t.Name] != nil || validate.TargetName(t.Name) != nil {
			continue
		}
		// A static target has no name but its entry's.
		if c.service == nil && t.Name != c.entry.spec.Name {
			continue
		}
		c.previous = t
		r.claimed[id] = c
		r.seat(c, t.Name)
	}
}

// heir returns the candidate of the same entry or else of the first entry that still selects the same Service port:
// renaming an entry or moving a label from one selector to another does not change what clients see.
func heir(candidates []*candidate, entryName string) *candidate {
	for _, c := range candidates {
		if c.entry.spec.Name == entryName {
			return c
		}
	}
	if len(candidates) > 0 {
		return candidates[0]
	}
	return nil
}

// renameIncumbents gives incumbents the names that the annotations on their Services ask for, in place. An incumbent
// without a valid annotation keeps its name, also when the annotation was removed. A name that is taken is not given;
// because a rename can free another's, it is tried until nothing moves any more: the result does not depend on how
// many times a status is resolved.
func (r *roster) renameIncumbents() {
	var waiting []*candidate
	for _, c := range r.seated {
		if c.service != nil && !agreesWithAnnotation(c, c.name) {
			waiting = append(waiting, c)
		}
	}
	for moved := true; moved; {
		moved = false
		var still []*candidate
		for _, c := range waiting {
			name := derivedName(c, r.namespace)
			if r.byName[name] != nil {
				still = append(still, c)
				continue
			}
			delete(r.byName, c.name)
			c.name = name
			r.byName[name] = c
			moved = true
		}
		waiting = still
	}
	for _, c := range waiting {
		name := derivedName(c, r.namespace)
		c.notes = append(c.notes, fmt.Sprintf("annotation %s asks for the name %q, which %s has: the target keeps its name "+
			"until that one is free", v1alpha1.AnnotationMCPTargetName, name, r.byName[name].describe()))
	}
}

// seatNewcomers seats the candidates that have no place yet, in their order.
func (r *roster) seatNewcomers(candidates []*candidate) {
	for _, c := range candidates {
		id := c.identity()
		if owner := r.claimed[id]; owner != nil {
			if owner != c {
				r.skipped = append(r.skipped, c.skip(v1alpha1.SkipReasonDuplicate, fmt.Sprintf(
					"entry %q of spec.mcp.targets has selected this port already: make the two selectors differ, or remove "+
						"one of them", owner.entry.spec.Name)))
			}
			continue
		}
		r.claimed[id] = c
		name := derivedName(c, r.namespace)
		switch {
		case r.full():
			r.skipped = append(r.skipped, c.skip(v1alpha1.SkipReasonTooManyTargets, fmt.Sprintf("the Backend has %d targets, "+
				"the most that one can have: make its selectors narrower, or divide it into several Backends",
				v1alpha1.MaxResolvedTargets)))
		case r.byName[name] != nil:
			r.conflicts = append(r.conflicts, conflict{newcomer: c, name: name})
		default:
			r.seat(c, name)
		}
	}
	// Only now is it known which names are free to propose.
	for _, x := range r.conflicts {
		r.skipped = append(r.skipped, x.newcomer.skip(v1alpha1.SkipReasonNameConflict, r.conflictMessage(x)))
	}
}

func (r *roster) conflictMessage(x conflict) string {
	c := x.newcomer
	taken := fmt.Sprintf("the name %q is taken by %s, which was there first: ", x.name, r.byName[x.name].describe())
	if c.service == nil {
		return taken + fmt.Sprintf("give the entry another name, for example %s", r.freeName(x.name))
	}
	base := c.askedName
	if base == "" {
		base = c.service.Namespace + "-" + c.service.Name
	}
	return taken + fmt.Sprintf("give this one another name with an annotation on its Service, for example %s: %s",
		v1alpha1.AnnotationMCPTargetName, r.freeName(base))
}

// freeName returns a name like base that no target has so far.
func (r *roster) freeName(base string) string {
	name := fitName(base)
	for n := 2; r.byName[name] != nil; n++ {
		name = fitName(fmt.Sprintf("%s-%d", base, n))
	}
	return name
}

// describe says what a seated candidate is. Only what the Backend may use is ever seated, and so named here.
func (c *candidate) describe() string {
	if c.service == nil {
		return fmt.Sprintf("the static target %q", c.entry.spec.Name)
	}
	return fmt.Sprintf("port %d of Service %s/%s", c.port.Port, c.service.Namespace, c.service.Name)
}
