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

package pods

import (
	"fmt"
	"os"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	. "github.com/onsi/gomega"
)

// figure is the name of report entries that measured adds.
const figure = "measured: "

// measured tells a figure in the suite's table, whether the story passes or not.
func measured(what string, value any) {
	AddReportEntry(figure+what, fmt.Sprint(value), ReportEntryVisibilityNever)
}

// Progress: a line for each story, and its figures.
var _ = ReportAfterEach(func(report SpecReport) {
	fmt.Printf("\n>> %s, %s: %s\n", report.State, seconds(report), report.FullText())
	for _, line := range figures(report) {
		fmt.Println("     " + line)
	}
})

// The table of all stories, for those who read what a run came to: on standard output, and in stories.md beside what
// failed stories leave.
var _ = ReportAfterSuite("the table of stories", func(report Report) {
	var table strings.Builder
	fmt.Fprintf(&table, "%s: %s\n\n| story | result | took | figures |\n|---|---|---:|---|\n",
		report.SuiteDescription, report.RunTime.Round(time.Second))
	count := map[types.SpecState]int{}
	for i := range report.SpecReports {
		story := &report.SpecReports[i]
		name := story.FullText()
		if story.LeafNodeType != types.NodeTypeIt {
			if !story.Failed() {
				continue
			}
			name = story.LeafNodeType.String()
		} else if story.State == types.SpecStateSkipped && story.Failure.Message == "" {
			continue // not among those that were asked for
		}
		count[story.State]++
		fmt.Fprintf(&table, "| %s | %s | %s | %s |\n", name, story.State, seconds(*story), strings.Join(figures(*story), "; "))
	}
	fmt.Fprintf(&table, "\n%d passed, %d skipped, %d failed\n", count[types.SpecStatePassed], count[types.SpecStateSkipped],
		sum(count)-count[types.SpecStatePassed]-count[types.SpecStateSkipped])
	fmt.Print("\n" + table.String())
	Expect(os.MkdirAll(repository("bin", "e2e"), 0o755)).To(Succeed())
	Expect(os.WriteFile(repository("bin", "e2e", "stories.md"), []byte(table.String()), 0o600)).To(Succeed())
})

func figures(report SpecReport) []string {
	var lines []string
	for _, entry := range report.ReportEntries {
		if what, found := strings.CutPrefix(entry.Name, figure); found {
			lines = append(lines, what+": "+entry.StringRepresentation())
		}
	}
	return lines
}

func seconds(report SpecReport) string { return fmt.Sprintf("%.1f s", report.RunTime.Seconds()) }

func sum(counts map[types.SpecState]int) int {
	total := 0
	for _, n := range counts {
		total += n
	}
	return total
}
