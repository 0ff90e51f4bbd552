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

package fieldcheck

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestFieldsThatWereMeant(t *testing.T) {
	names := []string{"host", "matchExpressions", "matchLabels", "path", "port", "prefixMode", "protocol", "selector", "service", "static", "targets"}
	for name, want := range map[string]string{
		"services": "service", "matchlabels": "matchLabels", "labels": "matchLabels", "prefix": "prefixMode", "hostname": "host",
		"selektor": "selector", "target": "targets", "prot": "port", "hots": "host", "url": "", "weight": "", "x": "", "": "",
	} {
		NewWithT(t).Expect(MostSimilar(name, names)).To(Equal(want), name)
	}
	g := NewWithT(t)
	g.Expect(editDistance("mpc", "mcp")).To(Equal(1))
	g.Expect(editDistance("", "abc")).To(Equal(3))
	g.Expect(editDistance("kitten", "sitting")).To(Equal(3))
}
