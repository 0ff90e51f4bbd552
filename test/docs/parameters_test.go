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

package docs

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/dynamic-mcp/dynamic-mcp/internal/evaluate"
	"github.com/dynamic-mcp/dynamic-mcp/internal/manifests"
)

// parametersGuide is the page that has every field of GatewayParameters.
const parametersGuide = "docs/gateway-parameters.md"

// ofPods are fields whose own fields are those of pods, and not ours to explain.
var ofPods = map[string]bool{
	"env": true, "image.pullSecrets": true, "scheduling.affinity": true, "scheduling.tolerations": true,
	"scheduling.topologySpreadConstraints": true,
}

func TestGuideNamesEveryFieldOfGatewayParameters(t *testing.T) {
	text := read(t, parametersGuide)
	count := 0
	var walk func(schema map[string]any, path string)
	walk = func(schema map[string]any, path string) {
		for _, value := range asSlice(schema["enum"]) {
			if !strings.Contains(text, fmt.Sprintf("`%s`", value)) {
				t.Errorf("%s does not mention the value `%s` of `%s`", parametersGuide, value, path)
			}
		}
		properties, _ := schema["properties"].(map[string]any)
		if len(properties) == 0 || ofPods[path] {
			count++
			if !strings.Contains(text, "`"+path+"`") {
				t.Errorf("%s does not mention `%s`", parametersGuide, path)
			}
			return
		}
		for name, property := range properties {
			walk(property.(map[string]any), strings.TrimPrefix(path+"."+name, "."))
		}
	}
	walk(specSchema(t, "config/crd/bases/gateway.kgateway.dev_gatewayparameters.yaml"), "")
	NewWithT(t).Expect(count).To(BeNumerically(">", 35))
}

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

func TestExamplesOfGatewayParametersAreValid(t *testing.T) {
	g := NewWithT(t)
	parser, err := manifests.NewParser(manifests.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	blocks := yamlBlock.FindAllStringSubmatch(read(t, parametersGuide), -1)
	g.Expect(len(blocks)).To(BeNumerically(">=", 6))
	for _, block := range blocks {
		set, findings := parser.Parse([]manifests.File{{Name: parametersGuide, Data: []byte(block[1])}})
		g.Expect(findings).To(BeEmpty(), block[1])
		g.Expect(set.GatewayParameters).NotTo(BeEmpty(), block[1])
		g.Expect(evaluate.Evaluate(set, evaluate.Options{}).Findings()).To(BeEmpty(), block[1])
	}
}
