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

package httproute

// MaxWeight is the largest weight of a backend; more counts as this much.
const MaxWeight = 1_000_000

// Pick chooses one of the rule's backends by weight; n is a random number, evenly distributed over all of uint32, as
// math/rand/v2's Uint32 returns it. Nil means that there is none to choose: no backends, or no weight altogether. The
// answer is then 500, as it is for a chosen backend that is Invalid: a broken reference gets its share of the requests
// and never leaves it to the others.
// https://gateway-api.sigs.k8s.io/reference/spec/#httprouterule
func (r *Rule) Pick(n uint32) *Backend {
	total := uint64(0)
	for i := range r.Backends {
		total += r.Backends[i].share()
	}
	// Scaling n to [0, total) is even up to total/2^32.
	point := uint64(n) * total >> 32
	for i := range r.Backends {
		share := r.Backends[i].share()
		if point < share {
			return &r.Backends[i]
		}
		point -= share
	}
	return nil
}

// share is the weight within its bounds, so that no sum of them overflows.
func (b *Backend) share() uint64 { return uint64(min(max(b.Weight, 0), MaxWeight)) }
