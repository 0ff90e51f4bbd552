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

package server

import (
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/federation"
)

const (
	// coolDown is how long a bare name is refused whose owner has left, so that a client that knew it does not reach
	// another server by it.
	coolDown = 10 * time.Minute
	// maxOwnedNames bounds how many names are remembered for each group.
	maxOwnedNames = 16 << 10
	// maxOwnerGroups bounds for how many kinds of clients ownership is remembered.
	maxOwnerGroups = 256
)

// backendMemory is what a replica remembers of a Backend from snapshot to snapshot.
type backendMemory struct {
	owners *owners
	shared *lru.Cache[sharedListing, *listing]
	// failures are the lists that could not be had a moment ago.
	failures *lru.Cache[sessionListing, *recentFailure]
	eras     *eraMemos
}

func newBackendMemory() *backendMemory {
	shared, _ := lru.New[sharedListing, *listing](maxSharedListings)
	failures, _ := lru.New[sessionListing, *recentFailure](maxSharedListings)
	return &backendMemory{owners: newOwners(), shared: shared, failures: failures, eras: newEraMemos()}
}

// owners remembers which target had which bare name. A Service that is deleted and made anew is the same target as long
// as its name is. Servers list different things to clients of different capabilities, so names are remembered for each of
// these groups.
type owners struct {
	now func() time.Time

	mu     sync.Mutex
	groups *lru.Cache[ownerGroup, map[string]owner]
	// cooling is when the last of all names has cooled down, in Unix seconds. It is read for every request.
	cooling atomic.Int64
}

type ownerGroup struct {
	client clientGroup
	kind   federation.Kind
}

// owner is the target that has a name.
type owner struct {
	target config.TargetName
	// lost is when the target left, or no longer listed the name; zero while it has it.
	lost time.Time
}

func newOwners() *owners {
	groups, _ := lru.New[ownerGroup, map[string]owner](maxOwnerGroups)
	return &owners{now: time.Now, groups: groups}
}

// anyCooling returns whether there may be names that nobody is to be reached by for now.
func (o *owners) anyCooling() bool {
	until := o.cooling.Load()
	return until != 0 && o.now().Unix() <= until
}

// update notes which targets have left a Backend, and which are back. Those that have another name now keep what is theirs.
func (o *owners) update(b *backend, renamed map[config.TargetName]config.TargetName) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, names := range o.groups.Values() {
		for name, who := range names {
			if now, ok := renamed[who.target]; ok {
				who.target = now
				names[name] = who
			}
			present := b.named(who.target) != nil
			switch {
			case !present && who.lost.IsZero():
				names[name] = o.lose(who)
			case present && !who.lost.IsZero():
				names[name] = owner{target: who.target}
			}
		}
	}
}

// lose notes that a target has lost a name. The caller holds mu.
func (o *owners) lose(who owner) owner {
	who.lost = o.now()
	o.cooling.Store(who.lost.Add(coolDown).Unix())
	return who
}

// merge makes the catalogue of listings, and remembers who has which name in it.
func (o *owners) merge(group ownerGroup, b *backend, listings []federation.Listing) *federation.Catalogue {
	o.mu.Lock()
	defer o.mu.Unlock()
	names := o.namesOf(group)
	o.dropNames(names, listings)
	now := o.now()
	catalogue := federation.Merge(group.kind, b.PrefixMode, listings, func(name string, candidate config.TargetName) bool {
		who, known := names[name]
		return known && who.target != candidate && (who.lost.IsZero() || now.Before(who.lost.Add(coolDown)))
	})
	for _, entry := range catalogue.Bare() {
		remember(names, entry.Name, entry.Target)
	}
	return catalogue
}

// note remembers the names of a target that is the whole Backend, and whose list the client gets as it is.
func (o *owners) note(group ownerGroup, target config.TargetName, items []federation.Item) {
	o.mu.Lock()
	defer o.mu.Unlock()
	names := o.namesOf(group)
	for i := range items {
		remember(names, items[i].Name, target)
	}
}

func remember(names map[string]owner, name string, target config.TargetName) {
	if _, known := names[name]; known || len(names) < maxOwnedNames {
		names[name] = owner{target: target}
	}
}

// namesOf returns the names of a group. The caller holds mu.
func (o *owners) namesOf(group ownerGroup) map[string]owner {
	names, ok := o.groups.Get(group)
	if !ok {
		names = map[string]owner{}
		o.groups.Add(group, names)
	}
	return names
}

// dropNames notes names that their target no longer lists, and forgets those that have cooled down. The caller holds mu.
func (o *owners) dropNames(names map[string]owner, listings []federation.Listing) {
	if len(names) == 0 {
		return
	}
	listed := map[config.TargetName]map[string]bool{}
	for _, l := range listings {
		if l.Held {
			continue
		}
		has := make(map[string]bool, len(l.Items))
		for i := range l.Items {
			has[l.Items[i].Name] = true
		}
		listed[l.Target] = has
	}
	now := o.now()
	for name, who := range names {
		has, answered := listed[who.target]
		switch {
		case !who.lost.IsZero() && !now.Before(who.lost.Add(coolDown)):
			delete(names, name)
		case who.lost.IsZero() && answered && !has[name]:
			names[name] = o.lose(who)
		}
	}
}
