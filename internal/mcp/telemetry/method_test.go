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

package telemetry

import (
	"os"
	"regexp"
	"slices"
	"testing"

	. "github.com/onsi/gomega"
)

func TestMethodsAreThoseThatMessagesAreScannedFor(t *testing.T) {
	g := NewWithT(t)
	source, err := os.ReadFile("../jsonrpc/methods.go")
	g.Expect(err).NotTo(HaveOccurred())
	var known []string
	for _, match := range regexp.MustCompile(`case "(.+)":`).FindAllStringSubmatch(string(source), -1) {
		known = append(known, match[1])
	}
	g.Expect(mcpMethods[:]).To(ConsistOf(known))
	g.Expect(slices.IsSorted(mcpMethods[:])).To(BeTrue(), "they are searched")
}

func TestNamesAreLookedUp(t *testing.T) {
	g := NewWithT(t)
	for i, name := range mcpMethods {
		g.Expect(methodOf(name)).To(Equal(method(i)))
		g.Expect(method(i).String()).To(Equal(name))
		g.Expect(method(i).isMCP()).To(BeTrue())
	}
	for m, name := range map[method]string{
		methodDelete: "DELETE", methodGet: "GET", methodOptions: "OPTIONS", methodResponse: "response", methodOther: "other",
	} {
		g.Expect(m.String()).To(Equal(name))
		g.Expect(m.isMCP()).To(BeFalse())
		// What is no method of MCP stays so, whatever a client calls it.
		g.Expect(methodOf(name)).To(Equal(methodOther))
	}
	g.Expect(verbOf("ping")).To(Equal(methodOther))
	g.Expect(methodNames).To(HaveLen(int(methodCount)))
}
