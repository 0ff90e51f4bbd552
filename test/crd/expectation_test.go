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

package crd

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestManifestsMustSayWhatIsExpected(t *testing.T) {
	for name, content := range map[string]string{
		"nothing":               "kind: Backend\n",
		"another comment":       "# an SSE server\nkind: Backend\n",
		"errors and admitted":   "# want: admitted\n# want: x\n# by: schema\n",
		"errors from nobody":    "# want: x\n",
		"errors from elsewhere": "# want: x\n# by: magic\n",
		"admitted by somebody":  "# want: admitted\n# by: schema\n",
		"too late":              "kind: Backend\n# want: admitted\n",
		"an empty error":        "# want:\n# by: schema\n",
	} {
		_, err := parseExpectation([]byte(content))
		NewWithT(t).Expect(err).To(HaveOccurred(), name)
	}
}

func TestManifestsSayWhatIsExpected(t *testing.T) {
	g := NewWithT(t)
	want, err := parseExpectation([]byte("# Two errors.\n# by: webhook\n# want: a: b\n# want: c\n# warning: d\nkind: Backend\n"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(want).To(Equal(expectation{by: byWebhook, errors: []string{"a: b", "c"}, warnings: []string{"d"}}))
}
