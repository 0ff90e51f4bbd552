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
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// pages are what people read.
func pages(t *testing.T) []string {
	t.Helper()
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		for _, file := range glob(t, pattern) {
			page, err := filepath.Rel(root, file)
			NewWithT(t).Expect(err).NotTo(HaveOccurred())
			pages = append(pages, page)
		}
	}
	return pages
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	// notInAnchor is what GitHub leaves out of a heading's anchor.
	notInAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	makeCommand = regexp.MustCompile("(?m)(?:^\\$ |`)make((?: [a-z][a-z0-9-]*)+)")
	makeTarget  = regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):`)
)

func TestLinksLeadSomewhere(t *testing.T) {
	for _, page := range pages(t) {
		for _, match := range link.FindAllStringSubmatch(read(t, page), -1) {
			target := match[1]
			if strings.Contains(target, "://") {
				continue
			}
			file, anchor, _ := strings.Cut(target, "#")
			if file = filepath.Join(filepath.Dir(page), file); strings.HasPrefix(target, "#") {
				file = page
			}
			if _, err := os.Stat(filepath.Join(root, file)); err != nil {
				t.Errorf("%s: %s: %v", page, target, err)
				continue
			}
			if anchor != "" && !slices.Contains(anchors(read(t, file)), anchor) {
				t.Errorf("%s: %s has no heading #%s", page, file, anchor)
			}
		}
	}
}

func anchors(page string) []string {
	var anchors []string
	for _, match := range heading.FindAllStringSubmatch(page, -1) {
		anchor := notInAnchor.ReplaceAllString(strings.ToLower(match[1]), "")
		anchors = append(anchors, strings.ReplaceAll(anchor, " ", "-"))
	}
	return anchors
}

func TestPagesNameOnlyTargetsThatTheMakefileHas(t *testing.T) {
	var targets []string
	for _, match := range makeTarget.FindAllStringSubmatch(read(t, "Makefile"), -1) {
		targets = append(targets, match[1])
	}
	for _, page := range pages(t) {
		for _, match := range makeCommand.FindAllStringSubmatch(read(t, page), -1) {
			for _, target := range strings.Fields(match[1]) {
				if !slices.Contains(targets, target) {
					t.Errorf("%s: the Makefile has no target %q", page, target)
				}
			}
		}
	}
}

// label is the command that the main job is about; hack/run tries it out.
const label = "sed -i.bak 's/app: weather/app: mcp-server-everything/' "

func TestQuickStartChangesTheLabelAsRunDoes(t *testing.T) {
	g := NewWithT(t)
	g.Expect(read(t, "docs/quick-start.md")).To(ContainSubstring("$ " + label + "bin/run/weather.yaml"))
	g.Expect(read(t, "hack/run/guide.go")).To(ContainSubstring(label))
}
