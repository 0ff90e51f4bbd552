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

package translate

import (
	"slices"

	"github.com/dynamic-mcp/dynamic-mcp/internal/httproute"
)

// PortListeners are the listeners that share one port: what httproute.Compile makes one table of.
type PortListeners struct {
	Port      int32
	Listeners []httproute.Listener
}

// Ports returns the listeners by port, the lowest first.
func (c *Config) Ports() []PortListeners {
	byPort := map[int32][]httproute.Listener{}
	for i := range c.Listeners {
		byPort[c.Listeners[i].Port] = append(byPort[c.Listeners[i].Port], c.Listeners[i])
	}
	ports := make([]PortListeners, 0, len(byPort))
	for port, listeners := range byPort {
		ports = append(ports, PortListeners{Port: port, Listeners: listeners})
	}
	slices.SortFunc(ports, func(a, b PortListeners) int { return int(a.Port) - int(b.Port) })
	return ports
}
