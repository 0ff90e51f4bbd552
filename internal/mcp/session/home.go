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

package session

import "time"

// RequestState is what MCP 2026-07-28's requestState holds: what the gateway must know when a client comes back with the
// answers that a server waits for. Its digest, its principal and its expiry are what the specification asks for against
// replay: the caller compares the first two.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/mrtr#server-requirements-basic-workflow
type RequestState struct {
	// Home is the address of the replica that holds the server's open request; see Session.Home.
	Home string
	// Service is the MCP server that waits for the answers.
	Service ServiceHash
	// ID finds the open request on that replica.
	ID string
	// Principal is who the client is; empty until authentication exists.
	Principal string
	// Expires is when the token ceases to open. Tokens hold it in whole seconds.
	Expires time.Time
	// Digest identifies the request that the answers belong to.
	Digest [16]byte
}

// ConnectionID is the id of a client's connection of HTTP+SSE, as it stands in the query of the URL that the client is to
// send its messages to.
// https://modelcontextprotocol.io/specification/2024-11-05/basic/transports#http-with-sse
type ConnectionID struct {
	// Home is the address of the replica that holds the connection; see Session.Home.
	Home string
	// ID finds the connection on that replica.
	ID string
}

// PeerRequest authenticates a request that one replica sends to another.
type PeerRequest struct {
	// Backend is the key of the one that the client talks to.
	Backend string
	// Expires is when the token ceases to open. Tokens hold it in whole seconds.
	Expires time.Time
	// Digest is SHA-256 of what is sent.
	Digest [32]byte
}

// SealRequestState returns the requestState that a client sees: letters, digits, '-' and '_'. One that does not fit is
// ErrTooLarge.
func (r *KeyRing) SealRequestState(state RequestState) (string, error) {
	if len(state.Home) > maxHome {
		return "", ErrTooLarge
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.packed = appendRequestState(s.packed[:0], &state)
	return r.seal(s, forRequestState, SID{})
}

// OpenRequestState returns what SealRequestState sealed, or ErrUnknownID.
func (r *KeyRing) OpenRequestState(token string, now time.Time) (RequestState, error) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	if !r.open(s, forRequestState, SID{}, token) {
		return RequestState{}, ErrUnknownID
	}
	state, ok := unpackRequestState(s.packed)
	if !ok || !now.Before(state.Expires) {
		return RequestState{}, ErrUnknownID
	}
	return state, nil
}

// SealConnection returns the id that the client sees of its connection, fit for the query of a URL. One that does not
// fit is ErrTooLarge.
func (r *KeyRing) SealConnection(id ConnectionID) (string, error) {
	if len(id.Home) > maxHome {
		return "", ErrTooLarge
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.packed = appendConnection(s.packed[:0], &id)
	return r.seal(s, forConnection, SID{})
}

// OpenConnection returns what SealConnection sealed, or ErrUnknownID.
func (r *KeyRing) OpenConnection(token string) (ConnectionID, error) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	if !r.open(s, forConnection, SID{}, token) {
		return ConnectionID{}, ErrUnknownID
	}
	id, ok := unpackConnection(s.packed)
	if !ok {
		return ConnectionID{}, ErrUnknownID
	}
	return id, nil
}

// SealPeerRequest returns what a replica shows to its peer, fit for a header. One that does not fit is ErrTooLarge.
func (r *KeyRing) SealPeerRequest(request PeerRequest) (string, error) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.packed = appendPeerRequest(s.packed[:0], &request)
	return r.seal(s, forPeer, SID{})
}

// OpenPeerRequest returns what SealPeerRequest sealed, or ErrUnknownID.
func (r *KeyRing) OpenPeerRequest(token string, now time.Time) (PeerRequest, error) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	if !r.open(s, forPeer, SID{}, token) {
		return PeerRequest{}, ErrUnknownID
	}
	request, ok := unpackPeerRequest(s.packed)
	if !ok || !now.Before(request.Expires) {
		return PeerRequest{}, ErrUnknownID
	}
	return request, nil
}

func appendRequestState(dst []byte, state *RequestState) []byte {
	dst = appendAddress(dst, state.Home)
	dst = appendService(dst, state.Service)
	dst = appendText(dst, state.ID)
	dst = appendText(dst, state.Principal)
	dst = appendTime(dst, state.Expires)
	return append(dst, state.Digest[:]...)
}

func unpackRequestState(packed []byte) (RequestState, bool) {
	d := decoder{rest: packed}
	state := RequestState{Home: d.home(), Service: d.service(), ID: d.text(), Principal: d.text(), Expires: d.time()}
	copy(state.Digest[:], d.bytes(len(state.Digest)))
	return state, d.done()
}

func appendConnection(dst []byte, id *ConnectionID) []byte {
	return appendText(appendAddress(dst, id.Home), id.ID)
}

func unpackConnection(packed []byte) (ConnectionID, bool) {
	d := decoder{rest: packed}
	return ConnectionID{Home: d.home(), ID: d.text()}, d.done()
}

func appendPeerRequest(dst []byte, request *PeerRequest) []byte {
	dst = appendText(dst, request.Backend)
	dst = appendTime(dst, request.Expires)
	return append(dst, request.Digest[:]...)
}

func unpackPeerRequest(packed []byte) (PeerRequest, bool) {
	d := decoder{rest: packed}
	request := PeerRequest{Backend: d.text(), Expires: d.time()}
	copy(request.Digest[:], d.bytes(len(request.Digest)))
	return request, d.done()
}
