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

// Package conformance runs the official MCP conformance suite against the gateway, in both of its roles.
//
// TestServer: the suite is the client, and the Go SDK's everything-server is the server behind the gateway. One URL has to
// pass the requirements of both revisions. TestClient: the suite is the server behind the gateway, and the Go SDK's
// everything-client is the client. Either way each era of the one side meets each era of the other; where they differ, the
// suite tests the bridge.
//
// What can't pass is in testdata/<test>-<suite>-<era>.yaml, each entry with its reason; the era is the one of the Go SDK's
// program. An entry that passes fails the test. Warnings count as failures, and so do scenarios that a revision does not
// require.
//
//	make test-conformance
//	go test -v ./test/conformance -run 'TestServer/legacy-selector/2025-11-25'
//	go test -v ./test/conformance -run 'TestClient/modern/2026-07-28/tools_call' -results /tmp/results
//	go test -v ./test/conformance -direct
package conformance
