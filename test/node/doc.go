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

// Package node runs the real MCP server and the real MCP clients that tests are made against, all from npm:
// server-everything, the MCP Inspector, the official conformance suite, and both lines of the TypeScript SDK for clients
// and servers of a test's own (Script). Their versions are those of package-lock.json in this folder. They are installed on
// first use into the user's cache, never into the source tree.
//
// To change a version, edit package.json and run, in this folder:
//
//	npm install --package-lock-only --ignore-scripts
package node
