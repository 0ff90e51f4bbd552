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

package version

import (
	"runtime/debug"
	"strings"
	"testing"
)

func TestDescribe(t *testing.T) {
	built := func(version string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: version}, Settings: settings}
	}
	revision := debug.BuildSetting{Key: "vcs.revision", Value: strings.Repeat("0123456789", 4)}
	for name, test := range map[string]struct {
		linked string
		info   *debug.BuildInfo
		want   string
	}{
		"the linker's wins":          {"v1.2.3", built("v9.9.9", revision), "v1.2.3"},
		"the module's":               {"", built("v0.1.1-0.20260101000000-0123456789ab"), "v0.1.1-0.20260101000000-0123456789ab"},
		"the commit":                 {"", built("(devel)", revision), "devel-012345678901"},
		"the commit, with changes":   {"", built("", revision, debug.BuildSetting{Key: "vcs.modified", Value: "true"}), "devel-012345678901-dirty"},
		"the commit, without":        {"", built("", revision, debug.BuildSetting{Key: "vcs.modified", Value: "false"}), "devel-012345678901"},
		"nothing stamped":            {"", built("(devel)"), "devel"},
		"built without build info":   {"", nil, "unknown"},
		"linked, without build info": {"v1.2.3", nil, "v1.2.3"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := describe(test.linked, test.info); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestLongHasTheVersion(t *testing.T) {
	if got := Long(); !strings.HasPrefix(got, "dynamic-mcp "+String()+" (go") {
		t.Errorf("got %q", got)
	}
}
