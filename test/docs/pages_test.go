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
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/gateway-api/pkg/consts"
	"sigs.k8s.io/yaml"

	"github.com/dynamic-mcp/dynamic-mcp/internal/evaluate"
	"github.com/dynamic-mcp/dynamic-mcp/internal/manifests"
)

var (
	fromFile       = regexp.MustCompile("(?s)<!-- file: (\\S+) -->\n\n```yaml\n(.*?)```")
	rightsTable    = regexp.MustCompile(`(?s)<!-- rights: (\S+) -->(.*?)<!-- end of the rights -->`)
	chartValue     = regexp.MustCompile("(?:--set '?|Helm: `)([a-zA-Z.]+)")
	pathInRepo     = regexp.MustCompile(`^(?:api|charts|cmd|config|dist|examples|hack|internal|test)(?:/[\w.-]+)+/?$`)
	kustomizations = "kustomize.config.k8s.io/v1beta1"
)

// TestExamplesAreValid: what users paste is taken by the API server and the webhooks.
func TestExamplesAreValid(t *testing.T) {
	g := NewWithT(t)
	parser, err := manifests.NewParser(manifests.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	strict := serializer.NewCodecFactory(clientgoscheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	examples := 0
	for _, page := range pages(t) {
		for _, block := range yamlBlock.FindAllStringSubmatch(read(t, page), -1) {
			var head struct{ APIVersion, Kind string }
			if yaml.Unmarshal([]byte(block[1]), &head) != nil || head.Kind == "" {
				continue // a part of an object
			}
			examples++
			if head.APIVersion == kustomizations {
				continue
			}
			if strings.HasPrefix(head.APIVersion, "networking.k8s.io/") {
				_, _, err := strict.Decode([]byte(block[1]), nil, nil)
				g.Expect(err).NotTo(HaveOccurred(), "%s: %s", page, block[1])
				continue
			}
			set, findings := parser.Parse([]manifests.File{{Name: page, Data: []byte(block[1])}})
			findings = append(findings, evaluate.Evaluate(set, evaluate.Options{}).Findings()...)
			g.Expect(manifests.Count(findings, manifests.Error)).To(BeZero(), "%v", findings)
			g.Expect(set.Documents).NotTo(BeEmpty(), page)
		}
	}
	g.Expect(examples).To(BeNumerically(">", 10))
}

func TestExamplesThatAreFilesAreWhatTheFilesHave(t *testing.T) {
	g := NewWithT(t)
	examples := fromFile.FindAllStringSubmatch(read(t, "docs/walkthrough.md"), -1)
	g.Expect(examples).NotTo(BeEmpty())
	for _, match := range examples {
		g.Expect(strings.Split(read(t, match[1]), "---\n")).To(ContainElement(match[2]), match[1])
	}
}

func TestPagesNameOnlyFilesThatThereAre(t *testing.T) {
	for _, page := range pages(t) {
		for _, match := range inlineCode.FindAllStringSubmatch(codeBlock.ReplaceAllString(read(t, page), ""), -1) {
			if !pathInRepo.MatchString(match[1]) {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, match[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}

// TestEveryPageIsInTheList: the README leads to docs/README.md, and that to all there is, design pages by their folder.
func TestEveryPageIsInTheList(t *testing.T) {
	g := NewWithT(t)
	g.Expect(read(t, "README.md")).To(ContainSubstring("](docs/README.md)"))
	list := read(t, "docs/README.md")
	for _, page := range glob(t, "docs/*.md") {
		if name := filepath.Base(page); name != "README.md" && !strings.Contains(list, "]("+name+")") {
			t.Errorf("docs/README.md does not have %s", name)
		}
	}
}

func TestSecurityHasTheRightsThatThereAre(t *testing.T) {
	g := NewWithT(t)
	page := read(t, "docs/security.md")
	tables := rightsTable.FindAllStringSubmatch(page, -1)
	g.Expect(tables).To(HaveLen(2))
	for _, table := range tables {
		written := map[string]bool{}
		for line := range strings.Lines(table[2]) {
			cells := strings.Split(line, "|")
			if len(cells) < 4 {
				continue
			}
			verbs := names(cells[2])
			for resources := range strings.SplitSeq(cells[1], ",") {
				named := inlineCode.FindAllStringSubmatch(resources, -1)
				for _, verb := range verbs {
					right := verb
					for _, name := range named {
						right += " " + name[1]
					}
					written[right] = true
				}
			}
		}
		var role struct {
			Rules []struct{ Resources, ResourceNames, Verbs []string }
		}
		g.Expect(yaml.Unmarshal([]byte(read(t, table[1])), &role)).To(Succeed())
		actual := map[string]bool{}
		for _, rule := range role.Rules {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					actual[strings.TrimSpace(fmt.Sprintf("%s %s %s", verb, resource, strings.Join(rule.ResourceNames, " ")))] = true
				}
			}
		}
		g.Expect(slices.Sorted(maps.Keys(written))).To(Equal(slices.Sorted(maps.Keys(actual))), table[1])
	}
	for _, file := range glob(t, "config/admission/*.yaml") {
		rel, err := filepath.Rel(root, file)
		g.Expect(err).NotTo(HaveOccurred())
		for _, name := range regexp.MustCompile(`(?m)^  name: (manager-\S+)$`).FindAllStringSubmatch(read(t, rel), -1) {
			g.Expect(page).To(ContainSubstring("`dynamic-mcp-" + name[1] + "`"))
		}
	}
}

func TestInstallNamesVersionsAndValuesThatThereAre(t *testing.T) {
	g := NewWithT(t)
	page := read(t, "docs/install.md")
	g.Expect(page).To(ContainSubstring("gateway-api/releases/download/" + consts.BundleVersion + "/standard-install.yaml"))
	var chart struct{ KubeVersion string }
	g.Expect(yaml.Unmarshal([]byte(read(t, "charts/dynamic-mcp/Chart.yaml")), &chart)).To(Succeed())
	oldest := regexp.MustCompile(`^>=(\d+\.\d+)\.0-0$`).FindStringSubmatch(chart.KubeVersion)
	g.Expect(oldest).To(HaveLen(2), chart.KubeVersion)
	for _, page := range []string{"docs/install.md", "docs/walkthrough.md"} {
		g.Expect(read(t, page)).To(ContainSubstring("Kubernetes " + oldest[1] + " or newer"))
	}

	var values map[string]any
	g.Expect(yaml.Unmarshal([]byte(read(t, "charts/dynamic-mcp/values.yaml")), &values)).To(Succeed())
	var paths []string
	for _, row := range rows(t, "docs/install.md", "value") {
		paths = append(paths, names(row[0])...)
	}
	for _, page := range pages(t) {
		for _, match := range chartValue.FindAllStringSubmatch(read(t, page), -1) {
			paths = append(paths, match[1])
		}
	}
	for _, path := range paths {
		var value any = values
		for key := range strings.SplitSeq(path, ".") {
			g.Expect(value).To(HaveKey(key), path)
			value = value.(map[string]any)[key]
		}
	}
	// How a release is checked, hack/release.sh says, which makes it.
	release := read(t, "hack/release.sh")
	checks := regexp.MustCompile(`(?m)^(?:cosign verify|gh attestation)[^#\n]*`).FindAllString(page, -1)
	g.Expect(len(checks)).To(BeNumerically(">=", 5))
	for _, check := range checks {
		g.Expect(release).To(ContainSubstring(strings.TrimSpace(check)))
	}
	// Who has signed a release is this workflow.
	for _, workflow := range regexp.MustCompile(`(\.github/workflows/\S+)@refs/tags/`).FindAllStringSubmatch(page, -1) {
		g.Expect(filepath.Join(root, workflow[1])).To(BeARegularFile())
	}
	for _, folder := range regexp.MustCompile(`(?m)^- dynamic-mcp/(\S+)`).FindAllStringSubmatch(page, -1) {
		g.Expect(filepath.Join(root, folder[1], "kustomization.yaml")).To(BeARegularFile())
	}
}

func TestPagesNameOnlyMetricsThatThereAre(t *testing.T) {
	var known []string
	for _, row := range rows(t, observability, "name") {
		known = append(known, names(row[0])...)
	}
	for _, page := range pages(t) {
		for _, name := range regexp.MustCompile(`\bdynamic_mcp_[a-z_]+`).FindAllString(read(t, page), -1) {
			if !slices.Contains(known, strings.TrimSuffix(name, "_bucket")) {
				t.Errorf("%s: there is no metric %s", page, name)
			}
		}
	}
}
