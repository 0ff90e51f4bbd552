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

package provision

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// conflictRetry is how often a Gateway is looked at again for which the name of an object is taken: objects of others are
// not watched.
const conflictRetry = 15 * time.Second

const (
	messageStarting = "the proxy is starting"
	messageStopped  = "the manager is shutting down"
)

// SubprocessOptions configure a Subprocess. Only Client is required.
type SubprocessOptions struct {
	// Client reads and writes the Gateways' Secrets. It must read Secrets from the API server and not from a cache,
	// which would list and watch every Secret there is.
	Client client.Client
	// Executable is the path of the dynamic-mcp binary. Default: the running one.
	Executable string
	// Args are given to every proxy after the arguments that the provisioner sets, --kubeconfig for example.
	Args []string
	// BindAddress is where the proxies' listeners bind. Default: 127.0.0.1.
	BindAddress netip.Addr
	// Dir is where the private directory for runtime files is made; it is removed at the end. Default: the system's
	// directory for temporary files.
	Dir string
	// Backoff says how fast a proxy that ended is started again.
	Backoff Backoff
	// Probe says how often proxies are asked whether they serve.
	Probe ProbeTiming
	// GracePeriod is how long a proxy that was asked to end may take before it is killed. Default: 10 s. It should
	// be shorter than the manager's own grace period.
	GracePeriod time.Duration
	// Output is given every line that a proxy writes to its standard output and error, one call at a time.
	// Default: the line with the Gateway's name before it on the manager's standard error.
	Output func(gateway types.NamespacedName, line string)
	// Log gets what the provisioner itself has to say.
	Log logr.Logger
}

func (o *SubprocessOptions) setDefaults() error {
	if o.Client == nil {
		return errors.New("a client is required")
	}
	if o.Executable == "" {
		executable, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find the running binary, which proxies are started from: %w", err)
		}
		o.Executable = executable
	}
	if !o.BindAddress.IsValid() {
		o.BindAddress = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if o.GracePeriod <= 0 {
		o.GracePeriod = 10 * time.Second
	}
	if o.Output == nil {
		o.Output = writeToStderr
	}
	o.Backoff.setDefaults()
	o.Probe.setDefaults()
	return nil
}

// Subprocess runs the proxy of each Gateway as a supervised child process of the manager. The children have the
// manager's credentials: it is for development.
//
// It is a manager.Runnable. Ensure may be called before Start; the proxies are started by Start, which also ends
// them.
type Subprocess struct {
	options   SubprocessOptions
	addresses []gatewayv1.GatewayStatusAddress
	notifier  *notifier
	output    *outputQueue
	prober    *prober
	proxies   sync.WaitGroup

	mu       sync.Mutex
	byName   map[types.NamespacedName]*proxy
	runCtx   context.Context // nil until Start
	dir      string
	starts   int
	stopping bool
}

var _ Provisioner = &Subprocess{}

// NewSubprocess returns a Subprocess that runs nothing before Start.
func NewSubprocess(options SubprocessOptions) (*Subprocess, error) {
	if err := options.setDefaults(); err != nil {
		return nil, err
	}
	return &Subprocess{
		options: options,
		addresses: []gatewayv1.GatewayStatusAddress{{
			Type:  new(gatewayv1.IPAddressType),
			Value: reachableAddress(options.BindAddress).String(),
		}},
		notifier: newNotifier(),
		output:   newOutputQueue(options.Output, options.Log),
		prober:   newProber(options.Probe.Timeout, nil),
		byName:   map[types.NamespacedName]*proxy{},
	}, nil
}

// Events tells which Gateways' proxies have a new state; the objects have a namespace and a name only. The channel is
// never closed.
func (s *Subprocess) Events() <-chan event.GenericEvent { return s.notifier.events }

// NeedLeaderElection implements manager.LeaderElectionRunnable: proxies run where the Gateway controller runs.
func (s *Subprocess) NeedLeaderElection() bool { return true }

// Start implements manager.Runnable: it runs the proxies until ctx ends, and returns when all of them have ended.
func (s *Subprocess) Start(ctx context.Context) error {
	dir, err := os.MkdirTemp(s.options.Dir, "dynamic-mcp-")
	if err != nil {
		return fmt.Errorf("make a directory for the proxies' runtime files: %w", err)
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			s.options.Log.Error(err, "Failed to remove the directory of the proxies' runtime files", "dir", dir)
		}
	}()

	var helpers sync.WaitGroup
	helpers.Go(func() { s.notifier.run(ctx) })
	helpers.Go(s.output.run)

	s.mu.Lock()
	s.runCtx, s.dir = ctx, dir
	for _, p := range s.byName {
		s.launch(p)
	}
	s.mu.Unlock()

	<-ctx.Done()
	s.mu.Lock()
	s.stopping = true // from here on no proxy is added
	s.mu.Unlock()
	s.proxies.Wait()
	s.output.close()
	helpers.Wait()
	return nil
}

// Ensure implements Provisioner.
func (s *Subprocess) Ensure(ctx context.Context, wanted *Wanted) (State, error) {
	gateway := wanted.Gateway
	if err := ensureSecret(ctx, s.options.Client, gateway, s.options.Log); err != nil {
		if conflict, ok := errors.AsType[*ObjectConflictError](err); ok {
			s.notifier.changedLater(client.ObjectKeyFromObject(gateway), conflictRetry)
			return conflict.state(), nil
		}
		return State{}, err
	}
	p := s.ensureProxy(gateway, servingArgs(&wanted.Parameters.Spec))
	if p == nil {
		return State{Message: messageStopped}, nil
	}
	state := p.want(gateway.Generation)
	if state.Serving {
		state.Addresses = s.addresses
	}
	return state, nil
}

// ensureProxy returns the proxy of the Gateway, a new one if need be; nil when the manager is shutting down.
func (s *Subprocess) ensureProxy(gateway *gatewayv1.Gateway, args []string) *proxy {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return nil
	}
	name := client.ObjectKeyFromObject(gateway)
	current := s.byName[name]
	if current != nil && current.uid == gateway.UID && !current.removed && slices.Equal(current.args, args) {
		return current
	}
	p := &proxy{
		gateway:     name,
		uid:         gateway.UID,
		args:        args,
		options:     &s.options,
		prober:      s.prober,
		addressFile: s.nextAddressFile,
		output:      func(line string) { s.output.add(name, line) },
		changed:     func() { s.notifier.changed(name) },
		wake:        make(chan struct{}, 1),
		done:        make(chan struct{}),
		generation:  gateway.Generation,
		state:       State{Message: messageStarting},
		predecessor: current,
	}
	if current != nil && current.cancel != nil {
		// A Gateway that was deleted and made again starts counting generations anew: a proxy that knows the old one
		// can't tell what it is asked for. Other arguments take another process.
		current.cancel()
	}
	s.byName[name] = p
	if s.runCtx != nil {
		s.launch(p)
	}
	return p
}

// nextAddressFile names a file for the admin address of a proxy that is about to start. It is numbered and not named
// after the Gateway, because a Gateway's two names together may be longer than a file's.
func (s *Subprocess) nextAddressFile() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starts++
	return filepath.Join(s.dir, fmt.Sprintf("proxy-%d.addr", s.starts))
}

// launch starts the supervision of a proxy. The caller holds the lock.
func (s *Subprocess) launch(p *proxy) {
	ctx, cancel := context.WithCancel(s.runCtx)
	p.cancel = cancel
	predecessor := p.predecessor
	p.predecessor = nil
	s.proxies.Go(func() {
		defer cancel()
		defer close(p.done)
		if predecessor != nil && predecessor.cancel != nil {
			<-predecessor.done
		}
		p.supervise(ctx)
	})
}

// Remove implements Provisioner. The Gateway's Secret is left to the garbage collector, which deletes it with the
// Gateway.
func (s *Subprocess) Remove(ctx context.Context, gateway types.NamespacedName) error {
	s.mu.Lock()
	p := s.byName[gateway]
	if p == nil || p.cancel == nil {
		delete(s.byName, gateway)
		s.mu.Unlock()
		return nil
	}
	p.removed = true
	p.cancel()
	s.mu.Unlock()

	select {
	case <-p.done:
	case <-ctx.Done():
		return fmt.Errorf("wait for the proxy of Gateway %s to end: %w", gateway, ctx.Err())
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byName[gateway] == p {
		delete(s.byName, gateway)
	}
	return nil
}

// KeyRings implements Provisioner: a Gateway has one child at most. It is asked all the time whether it serves, and has
// said with that which ring it has.
func (s *Subprocess) KeyRings(_ context.Context, gateway *gatewayv1.Gateway) ([]string, error) {
	s.mu.Lock()
	p := s.byName[client.ObjectKeyFromObject(gateway)]
	s.mu.Unlock()
	if p == nil || p.uid != gateway.UID {
		return nil, nil
	}
	return p.keyRings(), nil
}

// reachableAddress is the address at which clients reach a listener that is bound to address: itself or, where it
// stands for all addresses of the machine, the first one that is not local to it.
func reachableAddress(address netip.Addr) netip.Addr {
	if !address.IsUnspecified() {
		return address.WithZone("")
	}
	loopback := netip.IPv6Loopback()
	if address.Is4() {
		loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	local, err := net.InterfaceAddrs()
	if err != nil {
		return loopback
	}
	for _, candidate := range local {
		prefix, err := netip.ParsePrefix(candidate.String())
		if err == nil && prefix.Addr().Is4() == address.Is4() && prefix.Addr().IsGlobalUnicast() {
			return prefix.Addr()
		}
	}
	return loopback
}
