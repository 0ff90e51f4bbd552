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

package upstream

import (
	"net/http"
	"testing"
)

func TestRequestsGoToNoEndpointThatIsLeftOut(t *testing.T) {
	answer := func(http.ResponseWriter, *http.Request) {}
	_, first := newServer(t, answer)
	_, second := newServer(t, answer)
	c := newClient(t)
	target := compile(t, c, testTarget(first, second))
	some := target.Without([]string{first, "192.0.2.1:80"})
	if some.Endpoints() != 1 || target.Endpoints() != 2 || some.endpoints[0].circuit != target.endpoints[1].circuit {
		t.Errorf("got %d of %d endpoints", some.Endpoints(), target.Endpoints())
	}
	for range 10 {
		if _, endpoint, err := post(t.Context(), t, c, some, &Request{}); err != nil || endpoint != second {
			t.Errorf("got %v from %s", err, endpoint)
		}
	}
	if _, _, err := post(t.Context(), t, c, target.Without([]string{first, second}), &Request{}); err == nil {
		t.Error("it was sent")
	}
}
