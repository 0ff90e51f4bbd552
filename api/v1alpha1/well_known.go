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

package v1alpha1

// What Services say about the MCP servers behind them.
const (
	// AppProtocolMCP is the appProtocol of a Service port that speaks MCP over streamable HTTP.
	AppProtocolMCP = "kgateway.dev/mcp"
	// AppProtocolMCPAgentgateway is accepted in place of AppProtocolMCP.
	AppProtocolMCPAgentgateway = "agentgateway.dev/mcp"
	// AppProtocolMCPSSE is the appProtocol of a Service port that speaks MCP over HTTP+SSE. Selectors skip it.
	AppProtocolMCPSSE = "kgateway.dev/mcp-sse"
	// AppProtocolMCPSSEAgentgateway is accepted in place of AppProtocolMCPSSE.
	AppProtocolMCPSSEAgentgateway = "agentgateway.dev/mcp-sse"

	// AnnotationMCPPath on a Service is the absolute path of the MCP endpoint. Default: DefaultPathStreamableHTTP.
	AnnotationMCPPath = "kgateway.dev/mcp-path"
	// AnnotationMCPTargetName on a Service is the name that clients see for it. Default: derived from the Service's
	// name.
	AnnotationMCPTargetName = "kgateway.dev/mcp-target-name"
)

// Default paths of MCP endpoints.
const (
	// DefaultPathStreamableHTTP is the path of a server that speaks streamable HTTP.
	DefaultPathStreamableHTTP = "/mcp"
	// DefaultPathSSE is the path of a server that speaks HTTP+SSE.
	DefaultPathSSE = "/sse"
)

// Names of Gateway API resources that this implementation owns.
const (
	// ControllerName identifies this implementation in GatewayClasses and in route status.
	ControllerName = "dynamic-mcp.dev/gateway"
	// GatewayClassName is the GatewayClass that the manager creates if it is absent.
	GatewayClassName = "agentgateway"
)

// ProxyContainerName is the name of the proxy's container in the Deployment of a Gateway, by which overlays find it.
const ProxyContainerName = "proxy"
