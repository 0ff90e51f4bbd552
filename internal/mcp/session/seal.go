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

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"sync"
	"time"
)

// A token is, in base64url without padding:
//
//	version (1 byte) | key id (4) | nonce (12) | encrypted packed values | authentication tag (16)
//
// Its additional authenticated data is version, key id, purpose and, for ids within a session, the session's SID, so that
// a token opens only as what it was sealed as, in the session that it was sealed for.
const (
	tokenVersion = 2
	headSize     = 1 + keyIDSize
	// overhead is what a token has besides the packed values: its head, the nonce and the tag.
	overhead = headSize + 12 + 16
	// maxPacked is the most packed bytes that fit into MaxTokenLength characters of base64.
	maxPacked = MaxTokenLength/4*3 - overhead
)

// encoding is strict, so that no two texts stand for the same token.
var encoding = base64.RawURLEncoding.Strict()

// scratch is what sealing or opening one token needs for a moment.
type scratch struct {
	packed []byte
	sealed []byte
	text   []byte
	aad    [headSize + 1 + len(SID{})]byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// bind sets the additional authenticated data.
func (s *scratch) bind(k *key, p purpose, sid SID) []byte {
	s.aad[0] = tokenVersion
	copy(s.aad[1:], k.id[:])
	s.aad[headSize] = byte(p)
	copy(s.aad[headSize+1:], sid[:])
	return s.aad[:]
}

// seal returns the token of s.packed.
func (r *KeyRing) seal(s *scratch, p purpose, sid SID) (string, error) {
	if len(s.packed) > maxPacked {
		return "", ErrTooLarge
	}
	k := r.current
	s.sealed = append(append(s.sealed[:0], tokenVersion), k.id[:]...)
	s.sealed = k.aeads[p].Seal(s.sealed, nil, s.packed, s.bind(k, p, sid)) //nolint:gosec // These ciphers choose the nonce.
	s.text = encoding.AppendEncode(s.text[:0], s.sealed)
	return string(s.text), nil
}

// open sets s.packed to what the token holds. It returns false if the token can't be opened, for whatever reason.
func (r *KeyRing) open(s *scratch, p purpose, sid SID, token string) bool {
	// The decoder skips line ends, which would make them two texts for one token.
	if len(token) > MaxTokenLength || strings.ContainsAny(token, "\r\n") {
		return false
	}
	s.text = append(s.text[:0], token...)
	sealed, err := encoding.AppendDecode(s.sealed[:0], s.text)
	s.sealed = sealed
	if err != nil || len(sealed) < overhead || sealed[0] != tokenVersion {
		return false
	}
	k := r.find([keyIDSize]byte(sealed[1:]))
	if k == nil {
		return false
	}
	s.packed, err = k.aeads[p].Open(s.packed[:0], nil, sealed[headSize:], s.bind(k, p, sid))
	return err == nil
}

// SealSession returns the session's token. Targets that don't fit into MaxTokenLength are left out, from the end: to the
// one who opens the token they are servers that have not been initialized yet. What does not fit without any target is
// ErrTooLarge.
func (r *KeyRing) SealSession(session *Session) (SealedSessionID, error) {
	if len(session.Home) > maxHome {
		return "", ErrTooLarge
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.packed = appendSession(s.packed[:0], session, maxPacked)
	token, err := r.seal(s, forSession, SID{})
	return SealedSessionID(token), err
}

// OpenSession returns the session that the token holds, or ErrUnknownSession.
func (r *KeyRing) OpenSession(token SealedSessionID, now time.Time) (*Session, error) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	if !r.open(s, forSession, SID{}, string(token)) {
		return nil, ErrUnknownSession
	}
	session, ok := unpackSession(s.packed)
	if !ok || !now.Before(session.Expires) {
		return nil, ErrUnknownSession
	}
	return session, nil
}

// SealServerRequest returns the id that the client sees of a server's request: text for a JSON string, of letters,
// digits, '-' and '_'. The same id gives the same text for as long as the current key stays, so that a cancellation
// names the request that it cancels. It opens only with the same SID. An id that does not fit is ErrTooLarge.
func (r *KeyRing) SealServerRequest(sid SID, id ServerRequestID) (string, error) {
	if len(id.Home) > maxHome {
		return "", ErrTooLarge
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.packed = appendService(s.packed[:0], id.Service)
	s.packed = binary.BigEndian.AppendUint64(s.packed, id.Upstream)
	s.packed = appendAddress(s.packed, id.Home)
	s.packed = append(s.packed, id.ID...)
	return r.seal(s, forRequest, sid)
}

// OpenServerRequest returns what SealServerRequest sealed, or ErrUnknownID.
func (r *KeyRing) OpenServerRequest(sid SID, token string) (ServerRequestID, error) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	if !r.open(s, forRequest, sid, token) {
		return ServerRequestID{}, ErrUnknownID
	}
	d := decoder{rest: s.packed}
	id := ServerRequestID{Service: d.service(), Upstream: uint64(d.service()), Home: d.home()}
	if d.failed || len(d.rest) == 0 {
		return ServerRequestID{}, ErrUnknownID
	}
	id.ID = append([]byte(nil), d.rest...)
	return id, nil
}

// SealEvent returns the id that the client sees of an event, fit for an event stream and for the header Last-Event-ID. It
// opens only with the same SID. An id that does not fit is ErrTooLarge.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#resumability-and-redelivery
func (r *KeyRing) SealEvent(sid SID, id EventID) (string, error) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.packed = appendService(s.packed[:0], id.Service)
	s.packed = appendText(s.packed, id.Stream)
	s.packed = appendText(s.packed, id.ID)
	return r.seal(s, forEvent, sid)
}

// OpenEvent returns what SealEvent sealed, or ErrUnknownID.
func (r *KeyRing) OpenEvent(sid SID, token string) (EventID, error) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	if !r.open(s, forEvent, sid, token) {
		return EventID{}, ErrUnknownID
	}
	d := decoder{rest: s.packed}
	id := EventID{Service: d.service(), Stream: d.text(), ID: d.text()}
	if !d.done() {
		return EventID{}, ErrUnknownID
	}
	return id, nil
}
