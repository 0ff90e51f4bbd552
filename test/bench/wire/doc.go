//go:build linux

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

// Package wire is what the stub and the load client are made of: event loops on raw sockets, HTTP/1.1 heads and bodies,
// and a JSON scanner. It is far cheaper than net/http, so that the harness is not what a comparison measures, and it
// shares no code with the data plane, so that it can't share its mistakes.
package wire

// The protocol's versions and keys that the harness speaks.
const (
	LegacyVersion    = "2025-11-25"
	ModernVersion    = "2026-07-28"
	MetaVersion      = "io.modelcontextprotocol/protocolVersion"
	MetaCapabilities = "io.modelcontextprotocol/clientCapabilities"
	MetaClientInfo   = "io.modelcontextprotocol/clientInfo"
	MetaServerInfo   = "io.modelcontextprotocol/serverInfo"
)

// Eras as the harness names them: with sessions, and without.
const (
	Legacy = "legacy"
	Modern = "modern"
)
