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

package server

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/federation"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
)

const (
	// listingLifetime is how long a target's list is taken for true if nothing says that it has changed.
	listingLifetime = 5 * time.Minute
	// maxSharedListings bounds the lists of servers without sessions that are kept, per Backend.
	maxSharedListings = 512
	// maxListPages, maxListItems and maxListBytes bound what is taken of one target's list.
	maxListPages = 100
	maxListItems = 10000
	maxListBytes = 16 << 20
)

// listing is what a target has listed.
type listing struct {
	federation.Listing
	at    time.Time
	hints cacheHints
}

func (l *listing) fresh(now time.Time) bool { return now.Before(l.at.Add(listingLifetime)) }

// clientGroup tells clients apart to which servers may list different things.
type clientGroup uint64

func (cs *clientSession) group() clientGroup {
	h := fnv.New64a()
	_, _ = h.Write([]byte(cs.Principal))
	_, _ = h.Write([]byte{0})
	_, _ = h.Write(cs.Initialize)
	return clientGroup(h.Sum64())
}

// sharedListing is the key of a list that all clients of a group share, of a server that keeps no sessions.
type sharedListing struct {
	service session.ServiceHash
	kind    federation.Kind
	client  clientGroup
}

// sessionListing is the key of a list that belongs to one session.
type sessionListing struct {
	service session.ServiceHash
	kind    federation.Kind
}

// capabilityOf is what a server must have to be asked for a list.
var capabilityOf = [federation.Kinds]session.Capabilities{
	federation.Tools:     session.CapabilityTools,
	federation.Prompts:   session.CapabilityPrompts,
	federation.Resources: session.CapabilityResources,
	federation.Templates: session.CapabilityResources,
}

// merged is a catalogue and the listings that it was made of.
type merged struct {
	backend   *backend // Of which snapshot: targets may have been renamed since.
	of        []*listing
	catalogue *federation.Catalogue
}

// catalogue returns what the Backend's targets list together, and which of them could not be asked. With refresh all
// targets are asked, otherwise only those whose list is not known.
func (x *exchange) catalogue(ctx context.Context, kind federation.Kind, refresh bool) (*federation.Catalogue, []targetError) {
	listings, failed := x.listings(ctx, kind, refresh)
	cs := x.session
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if known := &cs.merged[kind]; known.backend == x.backend && sameListings(known.of, listings) && !x.backend.memory.owners.anyCooling() {
		return known.catalogue, failed
	}
	of := make([]federation.Listing, 0, len(listings))
	for i, l := range listings {
		if l == nil {
			continue
		}
		held := l.Listing
		held.Target = x.backend.targets[i].Name // It may have been renamed.
		for _, f := range failed {
			held.Held = held.Held || f.target == x.backend.targets[i]
		}
		of = append(of, held)
	}
	catalogue := x.backend.memory.owners.merge(ownerGroup{cs.group(), kind}, x.backend, of)
	if len(failed) == 0 {
		cs.merged[kind] = merged{backend: x.backend, of: listings, catalogue: catalogue}
	}
	return catalogue, failed
}

func sameListings(a, b []*listing) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] == nil || a[i] != b[i] {
			return false
		}
	}
	return true
}

// listings returns the listing of each of the Backend's targets, in their order; nil for one that has never answered.
func (x *exchange) listings(ctx context.Context, kind federation.Kind, refresh bool) ([]*listing, []targetError) {
	targets := x.backend.targets
	listings := make([]*listing, len(targets))
	errs := x.eachTarget(ctx, targets, x.limits.ListTimeout, func(ctx context.Context, i int, t *target) (err error) {
		listings[i], err = x.listing(ctx, t, kind, refresh)
		return err
	})
	return listings, errs
}

// listing returns a target's list: the one that is known, if it is fresh, or else what the target lists now. With an error it
// returns what was known, nil if nothing was.
func (x *exchange) listing(ctx context.Context, t *target, kind federation.Kind, refresh bool) (*listing, error) {
	known := x.session.known(x.backend, t, kind)
	if known != nil && known.fresh(time.Now()) && !refresh && t.usable() {
		return known, nil
	}
	failures := x.backend.memory.failures
	if failed, ok := failures.Get(sessionListing{t.hash, kind}); ok && !refresh && time.Now().Before(failed.until) {
		return known, failed
	}
	asked, err := x.list(ctx, t, kind)
	switch {
	case err == nil:
		failures.Remove(sessionListing{t.hash, kind})
		return asked, nil
	case x.r.Context().Err() == nil:
		failures.Add(sessionListing{t.hash, kind}, &recentFailure{err, time.Now().Add(failureLifetime)})
	}
	return known, err
}

// failureLifetime is how long a target that did not list is not asked again only because another one's tool is called: it
// would make each such call as slow as a straggler may be. Lists, and names that nobody else has, ask it all the same.
const failureLifetime = 30 * time.Second

// recentFailure is why a target did not list a moment ago.
type recentFailure struct {
	error
	until time.Time
}

func (f *recentFailure) Unwrap() error { return f.error }

// targetError is why a target could not be asked.
type targetError struct {
	target *target
	err    error
}

// eachTarget asks targets together. All have the limit, but once one has answered, the others have only a little longer:
// what is slow costs its own part.
func (x *exchange) eachTarget(
	ctx context.Context, targets []*target, limit time.Duration, ask func(ctx context.Context, i int, t *target) error,
) []targetError {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	begun := time.Now()
	deadline := time.AfterFunc(limit, func() {
		cancel(fmt.Errorf("it did not answer within %s", time.Since(begun).Round(100*time.Millisecond)))
	})
	defer deadline.Stop()
	hurry := sync.OnceFunc(func() {
		deadline.Reset(min(x.limits.StragglerTimeout, limit-time.Since(begun)))
	})
	errs := make([]error, len(targets))
	var asked sync.WaitGroup
	for i, t := range targets {
		if !t.usable() {
			errs[i] = unavailable(t.Name, t.unready)
			continue
		}
		asked.Go(func() {
			if errs[i] = ask(ctx, i, t); errs[i] == nil {
				hurry()
			}
		})
	}
	asked.Wait()
	var failed []targetError
	for i, err := range errs {
		if err != nil {
			failed = append(failed, targetError{targets[i], err})
		}
	}
	return failed
}

// known returns what is remembered of a target's list.
func (cs *clientSession) known(b *backend, t *target, kind federation.Kind) *listing {
	cs.mu.Lock()
	own := cs.listings[sessionListing{t.hash, kind}]
	cs.mu.Unlock()
	if own != nil {
		return own
	}
	shared, _ := b.memory.shared.Get(sharedListing{t.hash, kind, cs.group()})
	return shared
}

// remember keeps a list: with the session where the server has one, because its list may be for this session alone. It
// returns by how many bytes the session has grown.
func (cs *clientSession) remember(b *backend, t *target, us upstreamSession, kind federation.Kind, l *listing) int {
	if us.id == "" {
		b.memory.shared.Add(sharedListing{t.hash, kind, cs.group()}, l)
		return 0
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.listings == nil {
		cs.listings = map[sessionListing]*listing{}
	}
	key := sessionListing{t.hash, kind}
	grown := l.Size()
	if before := cs.listings[key]; before != nil {
		grown -= before.Size()
	}
	cs.listings[key] = l
	return grown
}

// changed notes that a target's lists are no longer what is remembered. What it had still says which names are its own.
func (cs *clientSession) changed(b *backend, t *target, kinds ...federation.Kind) {
	for _, kind := range kinds {
		if l := cs.known(b, t, kind); l != nil {
			stale := &listing{Listing: l.Listing} // At no time, and so not fresh.
			if key := (sharedListing{t.hash, kind, cs.group()}); b.memory.shared.Contains(key) {
				b.memory.shared.Add(key, stale)
			}
			cs.mu.Lock()
			if cs.listings[sessionListing{t.hash, kind}] != nil {
				cs.listings[sessionListing{t.hash, kind}] = stale
			}
			cs.mu.Unlock()
		}
	}
}

// list asks a target for all pages of a list.
func (x *exchange) list(ctx context.Context, t *target, kind federation.Kind) (*listing, error) {
	us, err := x.upstreamSession(ctx, x.session, t)
	if err != nil {
		return nil, err
	}
	l := &listing{Listing: federation.Listing{Target: t.Name}, hints: cacheHints{ttl: listingLifetime, public: true}}
	if us.capabilities.Has(capabilityOf[kind]) {
		if us, err = x.listPages(ctx, t, kind, l); err != nil {
			return nil, err
		}
	}
	l.at = time.Now()
	x.sessions.weigh(x.session, x.session.remember(x.backend, t, us, kind, l))
	return l, nil
}

// listPages asks for all pages of a list. The hints of the whole are those that hold for each page.
func (x *exchange) listPages(ctx context.Context, t *target, kind federation.Kind, l *listing) (us upstreamSession, err error) {
	params := []byte("{}")
	size := 0
	for page := 1; ; page++ {
		var result []byte
		if result, us, err = x.ask(ctx, t, kind.Method(), params); err != nil {
			var refused *jsonrpc.Error
			if errors.As(err, &refused) && refused.Code == jsonrpc.CodeMethodNotFound {
				return us, nil // A server that has tools but no templates, say.
			}
			return us, err
		}
		more, cursor, err := federation.ParsePage(kind, result)
		if err != nil {
			return us, fmt.Errorf("its answer to %s can't be read: %w", kind.Method(), err)
		}
		l.Items = append(l.Items, more...)
		l.hints = l.hints.and(hintsOf(result))
		if len(cursor) == 0 {
			return us, nil
		}
		if size += len(result); page == maxListPages || len(l.Items) >= maxListItems || size >= maxListBytes {
			x.log.Warn("Target's list is too long; the rest is left out",
				"backend", x.backend.Key, "target", t.Name, "entries", len(l.Items))
			return us, nil
		}
		params = append(append([]byte(`{"cursor":`), cursor...), '}')
	}
}

// listHints is for how long a list of all targets may be kept: none may have changed its part by then, as far as they say. That
// there are no targets hardly lasts.
func (x *exchange) listHints(kind federation.Kind, failed []targetError) cacheHints {
	if len(failed) > 0 || len(x.backend.targets) == 0 {
		return cacheHints{}
	}
	hints := cacheHints{ttl: listingLifetime, public: true}
	for _, t := range x.backend.targets {
		l := x.session.known(x.backend, t, kind)
		if l == nil {
			return cacheHints{}
		}
		left := l.hints
		left.ttl = max(0, left.ttl-time.Since(l.at))
		hints = hints.and(left)
	}
	return hints
}

// ownIDPrefix is what ids of the gateway's own requests begin with.
const ownIDPrefix = "dynamic-mcp-"

// ownID returns an id, raw, that no other request of the gateway's own has, of no replica: they share servers' sessions.
func (s *Server) ownID() []byte {
	return jsonrpc.AppendString(nil, s.idPrefix+strconv.FormatUint(s.requestIDs.Add(1), 10))
}

// isOwnID returns whether an id is one of the gateway's own requests.
func isOwnID(data []byte, id jsonrpc.Span) bool {
	text, ok := jsonrpc.Text(data, id)
	return ok && strings.HasPrefix(text, ownIDPrefix)
}

// ask sends a request of the gateway's own to a target, within the client's session, and returns the result. An answer
// that is an error is a *jsonrpc.Error.
func (x *exchange) ask(ctx context.Context, t *target, method string, params []byte) ([]byte, upstreamSession, error) {
	body := append([]byte(`{"jsonrpc":"2.0","id":`), x.ownID()...)
	body = append(body, `,"method":`...)
	body = jsonrpc.AppendString(body, method)
	body = append(body, `,"params":`...)
	body = append(body, params...)
	body = append(body, '}')
	response, us, err := x.roundTrip(ctx, t, body)
	if err != nil {
		return nil, us, err
	}
	defer closeBody(response)
	answer, err := x.readAnswer(response)
	if err != nil {
		if response.StatusCode == http.StatusOK {
			x.countBroken(ctx, t)
		}
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, us, err
	}
	var m jsonrpc.Message
	if err := jsonrpc.Scan(answer, &m); err != nil || m.Kind != jsonrpc.Response {
		x.countBroken(ctx, t)
		return nil, us, fmt.Errorf("its answer to %s is no JSON-RPC response", method)
	}
	if m.Result.Empty() {
		return nil, us, remoteError(answer, m.Error)
	}
	return m.Result.Of(answer), us, nil
}

// remoteError is a target's error answer.
func remoteError(answer []byte, e jsonrpc.Span) *jsonrpc.Error {
	var fields [2]jsonrpc.Span
	remote := &jsonrpc.Error{Code: jsonrpc.CodeInternal, Remote: true}
	if jsonrpc.Lookup(answer, e, []string{"code", "message"}, fields[:]) == nil {
		if code, err := strconv.Atoi(string(fields[0].Of(answer))); err == nil {
			remote.Code = jsonrpc.Code(code)
		}
		if !fields[1].Empty() {
			remote.Message, _ = jsonrpc.Text(answer, fields[1])
		}
	}
	return remote
}

// listMerged answers a list of several targets.
func (x *exchange) listMerged(kind federation.Kind) {
	from, fingerprint, e := x.cursor()
	if e != nil {
		x.fail(e)
		return
	}
	catalogue, failed := x.catalogue(x.r.Context(), kind, from == 0)
	if x.r.Context().Err() != nil {
		return
	}
	for _, f := range failed {
		x.log.Warn("Target is left out of a list",
			"backend", x.backend.Key, "target", f.target.Name, "method", kind.Method(), "error", f.err)
	}
	if len(failed) > 0 && x.backend.failClosed() {
		x.fail(asUnavailable(failed[0].target, failed[0].err))
		return
	}
	if from > 0 && (fingerprint != catalogue.Fingerprint() || from >= len(catalogue.Shown)) {
		x.fail(&jsonrpc.Error{Code: jsonrpc.CodeInvalidParams,
			Message: "Invalid params: the list has changed since this cursor was given; list again without a cursor"})
		return
	}
	x.logHidden(catalogue)
	result, _ := catalogue.AppendPage(nil, from, maxPage, func(next int) string {
		return strconv.Itoa(next) + "-" + strconv.FormatUint(catalogue.Fingerprint(), 36)
	})
	if x.modern != nil {
		x.modern.hints = x.listHints(kind, failed)
	}
	x.finish(result)
}

// maxPage is how large a list's answer may be before the rest is left to a next page.
const maxPage = 2 << 20

// cursor reads the cursor of a list's params.
func (x *exchange) cursor() (from int, fingerprint uint64, invalid *jsonrpc.Error) {
	var field [1]jsonrpc.Span
	if err := jsonrpc.Lookup(x.body, x.message.Params, []string{"cursor"}, field[:]); err != nil {
		var e *jsonrpc.Error
		errors.As(err, &e)
		return 0, 0, e
	}
	if field[0].Empty() {
		return 0, 0, nil
	}
	invalid = &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: "Invalid params: no list gave this cursor"}
	text, ok := jsonrpc.Text(x.body, field[0])
	if !ok {
		return 0, 0, invalid
	}
	index, hash, ok := cutCursor(text)
	if !ok || index <= 0 {
		return 0, 0, invalid
	}
	return index, hash, nil
}

func cutCursor(text string) (index int, fingerprint uint64, ok bool) {
	for i := range len(text) {
		if text[i] == '-' {
			index, err := strconv.Atoi(text[:i])
			if err != nil {
				return 0, 0, false
			}
			fingerprint, err := strconv.ParseUint(text[i+1:], 36, 64)
			return index, fingerprint, err == nil
		}
	}
	return 0, 0, false
}

// logHidden says what clients are not shown, once for each catalogue.
func (x *exchange) logHidden(c *federation.Catalogue) {
	for _, h := range c.Hidden {
		x.log.Debug("Entry is hidden", "backend", x.backend.Key, "target", h.Target, "reason", h.Reason)
	}
}
