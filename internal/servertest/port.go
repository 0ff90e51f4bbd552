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

package servertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
)

// Systems give ports above these to outgoing connections, and to those who ask for any port. Kubernetes' node ports lie between.
const (
	firstPort = 15000
	portCount = 15000
)

// nextPort begins elsewhere in every process, and gives no port twice for long.
var nextPort = func() *atomic.Uint32 {
	var next atomic.Uint32
	next.Store(rand.Uint32N(portCount)) //nolint:gosec // it need not be secret
	return &next
}()

// FreePort returns a TCP port of an address of this machine at which nobody listens, for what can only be told a port, or must
// be refused there. Unlike one that a listener at port 0 had, it is nobody's a moment later. It panics if there is none.
func FreePort(address string) int {
	var err error
	for range 100 {
		port := firstPort + int(nextPort.Add(1)%portCount)
		var l net.Listener
		if l, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", net.JoinHostPort(address, strconv.Itoa(port))); err == nil {
			_ = l.Close()
			return port
		}
	}
	panic(fmt.Sprintf("servertest: no port of %s is free: %v", address, err))
}

// FreePorts returns ports of 127.0.0.1 at which nobody listens.
func FreePorts(count int) []int {
	ports := make([]int, count)
	for i := range ports {
		ports[i] = FreePort("127.0.0.1")
	}
	return ports
}
