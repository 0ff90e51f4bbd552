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

// Package crd embeds the CustomResourceDefinitions that this project installs, its own and the Gateway API's, so that
// programs without an API server can apply the same schemas.
package crd

import (
	"embed"
	"io/fs"
)

//go:embed bases/*.yaml gateway-api/gateway.networking.k8s.io_*.yaml
var files embed.FS

// Files returns the manifests, each of which begins with one CustomResourceDefinition or with another kind of object
// that is installed beside them.
func Files() fs.FS { return files }
