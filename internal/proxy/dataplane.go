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

package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/httproute"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/detached"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/server"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/telemetry"
	"github.com/dynamic-mcp/dynamic-mcp/internal/translate"
)

// snapshot is everything that a request needs to know, immutable.
type snapshot struct {
	config   *translate.Config
	ports    map[int32]*port
	backends *server.Snapshot
}

// port is what one port serves.
type port struct {
	table *httproute.Table
	site  server.Site
}

// dataPlane serves the newest snapshot that could be compiled and bound.
type dataPlane struct {
	mcp       *server.Server
	metrics   *metrics
	telemetry *telemetry.Telemetry
	log       *slog.Logger
	bind      string
	// writeTimeout is how long a client may take to accept one write.
	writeTimeout time.Duration

	current atomic.Pointer[snapshot]

	// running ends when no request may go on any longer.
	running context.Context
	cutOff  context.CancelFunc

	mu        sync.Mutex
	listeners map[int32]*listener
	peerPort  *listener      // What other replicas reach; nil for none.
	ending    sync.WaitGroup // Listeners that are no longer wanted and whose requests are not over.
	problem   error          // Why the newest configuration is not served, for /readyz and /config.
	served    bool           // Whether a configuration was served in full once.
	badKeys   error          // Why newer keys are not used, for /config.
	draining  bool           // Nothing is bound or reported any more.

	// leaving is set when the proxy has been asked to end and serves on for a moment: clients are asked to connect anew.
	leaving atomic.Bool
}

func newDataPlane(o Options, mcp *server.Server, m *metrics, t *telemetry.Telemetry) *dataPlane {
	d := &dataPlane{
		mcp: mcp, metrics: m, telemetry: t, log: o.Log, bind: o.BindAddress, writeTimeout: o.Limits.WriteTimeout,
		listeners: map[int32]*listener{},
		problem:   errors.New("no configuration yet"),
	}
	d.running, d.cutOff = context.WithCancel(context.Background())
	return d
}

// apply makes a configuration the one that is served. One that can't be compiled changes nothing; where a port can't
// be bound, all others are served. The error is reported by the admin endpoint, and worth trying again.
func (d *dataPlane) apply(c *translate.Config) error {
	ports, err := compile(c)
	if err != nil {
		d.metrics.rejected.Inc()
		err = fmt.Errorf("the configuration of generation %d can't be served; the last good one stays: %w", c.Generation, err)
		d.report(err)
		return err
	}
	d.telemetry.SetBackends(c.Backends) // Before there are requests for them.
	next := &snapshot{config: c, ports: ports, backends: d.mcp.Update(c.Backends)}
	d.current.Store(next)
	d.metrics.applied(c)
	err = d.bindPorts(slices.Sorted(maps.Keys(ports)))
	d.report(err)
	return err
}

func compile(c *translate.Config) (map[int32]*port, error) {
	ports := map[int32]*port{}
	for _, p := range c.Ports() {
		table, err := httproute.Compile(p.Listeners)
		if err != nil {
			return nil, fmt.Errorf("port %d: %w", p.Port, err)
		}
		hostnames := table.Hostnames()
		ports[p.Port] = &port{table: table, site: server.Site{Names: func(host string) bool {
			return slices.ContainsFunc(hostnames, func(name string) bool {
				return name != "" && httproute.HostnameMatches(name, host)
			})
		}}}
	}
	return ports, nil
}

// report notes why the newest configuration is not served, or that it is.
func (d *dataPlane) report(problem error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.draining {
		d.problem, d.served = problem, d.served || problem == nil
	}
}

// updateKeys changes the keys that seal sessions.
func (d *dataPlane) updateKeys(keys *session.KeyRing) {
	if before := d.keyRing(); before != "" && before != keys.ID() {
		d.log.Info("Session keys changed", "keyRing", keys.ID())
	}
	d.mcp.UpdateKeys(keys)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.badKeys = nil
}

// keepKeys keeps the keys that there are, and notes why newer ones can't be used. It returns false if there are none.
func (d *dataPlane) keepKeys(problem error) bool {
	if d.mcp.Keys() == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.badKeys == nil || d.badKeys.Error() != problem.Error() {
		d.log.Error("Session keys can't be read; those before stay", "error", problem)
	}
	d.badKeys = problem
	return true
}

func (d *dataPlane) keyProblem() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.badKeys
}

// keyRing returns the id of the ring that is used; empty if there is none yet.
func (d *dataPlane) keyRing() string {
	if keys := d.mcp.Keys(); keys != nil {
		return keys.ID()
	}
	return ""
}

// errDraining says that requests are better sent to another replica.
var errDraining = errors.New("the proxy is draining")

// ready returns nil once a snapshot of at least that generation of the Gateway is served on all its ports. Generation 0
// asks whether requests are well sent here: from the first snapshot that is served in full until the proxy drains. A later
// one that can't be served, or a port that is taken, is no reason to be sent none, because all replicas would be at once.
func (d *dataPlane) ready(generation int64) error {
	d.mu.Lock()
	problem, draining, served := d.problem, d.draining || d.leaving.Load(), d.served
	d.mu.Unlock()
	switch {
	case draining:
		return errDraining
	case generation == 0 && served:
		return nil
	case problem != nil:
		return problem
	}
	if served := d.current.Load().config.Generation; served < generation {
		return fmt.Errorf("generation %d of the Gateway is served, not yet %d", served, generation)
	}
	return nil
}

// newestProblem returns why the newest configuration is not served, or nil.
func (d *dataPlane) newestProblem() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.problem
}

// serve answers one request to a port.
func (d *dataPlane) serve(w http.ResponseWriter, r *http.Request, number int32) {
	s := d.current.Load()
	p := s.ports[number]
	if p == nil {
		d.refuse(w, r, http.StatusNotFound, "this port is no longer served")
		return
	}
	matched, ok := p.table.Match(r)
	if !ok {
		d.refuse(w, r, http.StatusNotFound, "no HTTPRoute matches this host and path")
		return
	}
	backend := matched.Rule.Pick(rand.Uint32()) //nolint:gosec // spreading load needs no secrecy
	switch {
	case backend == nil:
		d.refuse(w, r, http.StatusInternalServerError, "the HTTPRoute "+matched.Route+" has no backend for this request")
	case backend.Invalid != "":
		// Why is for those who can read the route's status: it may name what the client must not know.
		d.log.Debug("Route can't be served", "route", matched.Route, "reason", backend.Invalid)
		d.refuse(w, r, http.StatusInternalServerError,
			"the backend of this route can't be used; the status of HTTPRoute "+matched.Route+" says why")
	default:
		d.mcp.Serve(w, r, s.backends, backend.MCP, p.site)
	}
}

// refuse answers a request for which there is no Backend.
func (d *dataPlane) refuse(w http.ResponseWriter, r *http.Request, status int, why string) {
	observed := d.telemetry.Begin(r)
	defer observed.End()
	http.Error(observed.Writer(w), why, status)
}

// listener is a bound port.
type listener struct {
	bound   net.Listener
	server  *http.Server
	streams *detached.Streams
	done    chan struct{}
}

// bindPorts binds the ports that are new and lets go of those that are no longer wanted. Ports that stay are not
// touched: their connections go on.
func (d *dataPlane) bindPorts(wanted []int32) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.draining {
		return nil
	}
	for number, l := range d.listeners {
		if !slices.Contains(wanted, number) {
			// Requests in flight end by themselves, or with the proxy. The port is free at once: the next
			// configuration may want it back.
			delete(d.listeners, number)
			_ = l.bound.Close()
			d.ending.Go(func() {
				ctx, cancel := context.WithTimeout(d.running, drainOfPort)
				defer cancel()
				l.shutdown(ctx)
			})
		}
	}
	var errs []error
	for _, number := range wanted {
		if d.listeners[number] != nil {
			continue
		}
		l, err := d.listen(number)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		d.listeners[number] = l
	}
	return errors.Join(errs...)
}

// drainOfPort is how long requests may go on that came by a port which is no longer served.
const drainOfPort = 10 * time.Second

func (d *dataPlane) listen(number int32) (*listener, error) {
	address := net.JoinHostPort(strings.Trim(d.bind, "[]"), strconv.Itoa(int(number)))
	bound, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("bind port %d: %w", number, err)
	}
	l := d.serveOn(bound, maxHeader, func(w http.ResponseWriter, r *http.Request) {
		if d.leaving.Load() {
			w.Header().Set("Connection", "close")
		}
		d.serve(w, r, number)
	})
	d.log.Info("Listening", "address", bound.Addr().String())
	return l, nil
}

// maxHeader bounds, in bytes, the header of a client's request.
const maxHeader = 64 << 10

// How long a client may take: to send a request's header, to send all of a request, and to send the next one.
const (
	headerTimeout = 10 * time.Second
	bodyTimeout   = 30 * time.Second
	idleTimeout   = 2 * time.Minute
)

// serveOn serves what is bound, until that is closed.
func (d *dataPlane) serveOn(bound net.Listener, maxHeader int, handler http.HandlerFunc) *listener {
	streams := detached.New()
	l := &listener{bound: bound, streams: streams, done: make(chan struct{}), server: &http.Server{
		Handler:           handler,
		BaseContext:       func(net.Listener) context.Context { return streams.Context(context.Background()) },
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout, // Ends with the body: it does not bound how long the answer takes.
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          serverLog(d.log),
	}}
	go func() {
		defer close(l.done)
		err := l.server.Serve(clientListener{bound, d.writeTimeout})
		if !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			d.log.Error("Port is no longer served", "address", bound.Addr().String(), "error", err)
		}
	}()
	return l
}

// shutdown lets requests in flight end, and cuts off what has not ended when the context does.
func (l *listener) shutdown(ctx context.Context) {
	if l.server.Shutdown(ctx) != nil {
		_ = l.server.Close()
	}
	l.streams.Shutdown(ctx)
	<-l.done
}

// leave goes on serving, but says that it is not ready, and has every connection end with its next answer. A client whose
// connection is closed while it sends a request can't know whether to send it again; one that was told can.
func (d *dataPlane) leave() { d.leaving.Store(true) }

// drain ends everything: streams at once, requests in flight as they end, and all within the limit.
func (d *dataPlane) drain(limit time.Duration) {
	defer time.AfterFunc(limit, d.cutOff).Stop()
	d.mcp.Drain()
	d.mu.Lock()
	d.draining = true
	d.problem = errDraining
	for _, l := range d.listeners {
		d.ending.Go(func() { l.shutdown(d.running) })
	}
	clear(d.listeners)
	peerPort := d.peerPort
	d.peerPort = nil
	d.mu.Unlock()
	// Unlocked, so that /readyz and /config answer meanwhile.
	d.ending.Wait()
	if peerPort != nil {
		// Last: what requests in flight wait for, as a client's answer, may come by another replica.
		peerPort.shutdown(d.running)
	}
	d.cutOff()
}
