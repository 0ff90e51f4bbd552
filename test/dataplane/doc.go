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

// Package dataplane proves the data plane against real MCP clients and servers, with no Kubernetes: the client of the Go
// SDK and those of both lines of the TypeScript SDK on one side, npm's server-everything, servers made with the Go SDK and
// the TypeScript SDK and a raw HTTP server on the other.
package dataplane
