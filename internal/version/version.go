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

// Package version says which version of dynamic-mcp this is.
package version

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Version is set by the linker in release builds:
// -ldflags "-X github.com/dynamic-mcp/dynamic-mcp/internal/version.Version=v0.1.0".
var Version string

// shortRevision is how many digits of a commit's hash are shown.
const shortRevision = 12

// String returns the version, without spaces: the linker's, or what the Go toolchain stamped into the binary.
func String() string {
	info, _ := debug.ReadBuildInfo()
	return describe(Version, info)
}

// Long returns the version and what it was built with, on one line.
func Long() string {
	return fmt.Sprintf("dynamic-mcp %s (%s, %s/%s)", String(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func describe(version string, info *debug.BuildInfo) string {
	if version != "" {
		return version
	}
	if info == nil {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	revision, dirty := "", ""
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision":
			revision = setting.Value[:min(len(setting.Value), shortRevision)]
		case setting.Key == "vcs.modified" && setting.Value == "true":
			dirty = "-dirty"
		}
	}
	if revision == "" {
		return "devel"
	}
	return "devel-" + revision + dirty
}
