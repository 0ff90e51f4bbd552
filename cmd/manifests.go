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

package main

import (
	"github.com/spf13/pflag"

	"github.com/dynamic-mcp/dynamic-mcp/internal/manifests"
)

// addSourceFlags adds the flags that say which files to read, named as kubectl's.
func addSourceFlags(f *pflag.FlagSet, source *manifests.Source) {
	f.StringArrayVarP(&source.Paths, "filename", "f", nil, "file or directory with manifests (YAML or JSON); may be repeated")
	f.BoolVarP(&source.Recursive, "recursive", "R", false, "read subdirectories too")
}

// exitError ends the program with a status.
type exitError struct {
	status int
	// err is what to print; nil if everything has been said.
	err error
}

func (e exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e exitError) Unwrap() error { return e.err }
