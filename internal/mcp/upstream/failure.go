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

package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// Kind is what sort of failure it was: a label of metrics, so there are few and they stay as they are.
type Kind string

const (
	// KindConnect is a connection that was refused or could not be made.
	KindConnect Kind = "connect"
	// KindTimeout is a deadline that was over: of connecting, of the TLS handshake, or of the caller.
	KindTimeout Kind = "timeout"
	// KindTLS is a server that speaks no TLS, refuses the handshake, or has not the certificate that it should.
	KindTLS Kind = "tls"
	// KindDNS is a name that could not be resolved.
	KindDNS Kind = "dns"
	// KindRefusedAddress is an address that may not be dialled; see ErrAddressRefused.
	KindRefusedAddress Kind = "refused_address"
	// KindClosed is a connection that ended without an answer.
	KindClosed Kind = "closed"
	// KindStatus is an answer with HTTP status 502, 503 or 504. Callers get the answer, not an Error.
	KindStatus Kind = "status"
	// KindCircuitOpen is a request that was not sent because the endpoints that it could have gone to have failed before.
	KindCircuitOpen Kind = "circuit_open"
	// KindNoEndpoints is a request for which the target has no endpoint.
	KindNoEndpoints Kind = "no_endpoints"
	// KindCancelled is a request that the client gave up.
	KindCancelled Kind = "cancelled"
	// KindOther is everything else.
	KindOther Kind = "other"
)

// Error is why a target gave no answer. Its text names no address and carries nothing of the request.
type Error struct {
	// Target that gave none.
	Target config.TargetName
	// Kind of failure. Empty in errors that the caller makes of an answer.
	Kind Kind
	// Reason for the client's eyes: "connection refused", "no answer within 15s".
	Reason string
	// Said, if not empty, is what the server said itself: it is for the client too, and for no log.
	Said string
	// Err is the cause, for logs.
	Err error
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("target %q is unavailable: %s", e.Target, e.Reason)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// LogValue has the cause as well: operators need the address that clients are not told.
func (e *Error) LogValue() slog.Value {
	if e.Err == nil {
		return slog.StringValue(e.Error())
	}
	cause := e.Err.Error()
	if e.Kind == KindOther {
		// What is no HTTP is quoted by net/http, and may be anything.
		if before, _, quotes := strings.Cut(cause, `"`); quotes {
			cause = before + "…"
		}
	}
	return slog.StringValue(e.Error() + ": " + cause)
}

// failure is why one attempt failed.
type failure struct {
	kind   Kind
	reason string
	err    error
}

func (f failure) asError(t *Target) *Error {
	return &Error{Target: t.Name, Kind: f.kind, Reason: f.reason, Err: f.err}
}

// notConnected returns whether an error happened before anything was sent.
func notConnected(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// explain says in a few words why there was no answer, without addresses.
func explain(ctx context.Context, err error) failure {
	kind, reason := kindAndReason(ctx, err)
	return failure{kind, reason, err}
}

func kindAndReason(ctx context.Context, err error) (Kind, string) {
	switch cause := context.Cause(ctx); {
	case cause == nil:
	case errors.Is(cause, context.Canceled):
		return KindCancelled, "the request was cancelled"
	default:
		return KindTimeout, cause.Error()
	}
	var (
		dns     *net.DNSError
		op      *net.OpError
		record  tls.RecordHeaderError
		timeout interface{ Timeout() bool }
	)
	isOp := errors.As(err, &op)
	switch {
	case errors.Is(err, context.Canceled):
		return KindCancelled, "the request was cancelled"
	case errors.Is(err, ErrAddressRefused):
		return KindRefusedAddress, "its address is not permitted"
	case errors.As(err, &dns):
		return KindDNS, "its name can't be resolved"
	case isOp && op.Op == "dial" && op.Timeout():
		return KindTimeout, "connecting to it timed out"
	case errors.Is(err, syscall.ECONNREFUSED):
		return KindConnect, "it refuses connections"
	case isOp && op.Op == "dial":
		return KindConnect, "it can't be reached"
	case errors.As(err, &timeout) && timeout.Timeout():
		return KindTimeout, "it did not answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), closedIdle(err):
		return KindClosed, "it closed the connection without an answer"
	case errors.As(err, &record):
		return KindTLS, "it does not speak TLS"
	case isTLS(err):
		return KindTLS, "its TLS certificate can't be verified"
	case isOp && (op.Op == "remote error" || op.Op == "local error"): // What crypto/tls calls the alerts of both sides.
		return KindTLS, "the TLS handshake with it failed"
	case isOp:
		return KindClosed, "the connection to it failed"
	default:
		return KindOther, "the connection to it failed"
	}
}

// isEndpoints returns whether a failure says something about the endpoint. What the client cancelled does not. Nor
// does the silence of a stream: servers may send its header with the first event, whenever that comes.
func (f failure) isEndpoints(stream bool) bool {
	switch f.kind {
	case KindConnect, KindTLS, KindDNS, KindRefusedAddress, KindClosed, KindStatus:
		return true
	case KindTimeout:
		return !stream || notConnected(f.err)
	default:
		return false
	}
}

// isRefusal returns whether the endpoint refused the connection, which takes no time.
func (f failure) isRefusal() bool {
	return notConnected(f.err) && errors.Is(f.err, syscall.ECONNREFUSED)
}

// isUnavailable returns whether an HTTP status says that there is nobody to answer.
func isUnavailable(status int) bool {
	return status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
}

func statusFailure(status int) failure {
	return failure{kind: KindStatus, reason: fmt.Sprintf("it answered HTTP status %d", status)}
}
