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
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

const (
	keySize   = 32 // AES-256
	keyIDSize = 4
)

// purpose is what a token is for. Each has its own keys, derived from those of the ring, so that the many tokens of
// events, of which each uses up one random nonce, take nothing from the security of session tokens.
type purpose byte

// The values are part of the tokens' format.
const (
	forSession purpose = iota
	forRequest
	forEvent
	forRequestState
	forConnection
	forPeer
	purposes
)

// key is one key of a ring with all that is derived from it.
type key struct {
	secret [keySize]byte
	// id says in a token which key sealed it. It is derived from the secret, which can't be found out from it.
	id    [keyIDSize]byte
	aeads [purposes]cipher.AEAD
}

// newKey derives what a key consists of.
func newKey(secret [keySize]byte) (*key, error) {
	k := &key{secret: secret}
	id, err := hkdf.Key(sha256.New, secret[:], nil, "dynamic-mcp session key id", keyIDSize)
	if err != nil {
		return nil, fmt.Errorf("derive key id: %w", err)
	}
	copy(k.id[:], id)
	for p := range purposes {
		if k.aeads[p], err = newAEAD(secret, p); err != nil {
			return nil, fmt.Errorf("derive key: %w", err)
		}
	}
	return k, nil
}

// newAEAD returns the cipher for one purpose. Its nonces are of 96 bits and random, or, for server requests, pseudorandom (see
// deterministicAEAD): up to 2^32 tokens of one purpose may be sealed with one key before two of the same nonce are more
// likely than 2^-32. Keys rotate about daily, and 2^32 tokens a day are 50,000 a second.
func newAEAD(secret [keySize]byte, p purpose) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, secret[:], nil, "dynamic-mcp session key "+string('0'+rune(p)), keySize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	if p != forRequest {
		return cipher.NewGCMWithRandomNonce(block)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	nonceKey, err := hkdf.Key(sha256.New, secret[:], nil, "dynamic-mcp session nonce key "+string('0'+rune(p)), keySize)
	if err != nil {
		return nil, err
	}
	return &deterministicAEAD{gcm, nonceKey}, nil
}

// KeyRing is the set of keys that seal and open tokens: the current one seals and opens, the next and the previous one
// only open. A replica that has not heard of a promotion yet, and one that has, so open each other's tokens. A ring never
// changes, and is safe for concurrent use.
type KeyRing struct {
	current, next *key
	previous      *key // nil until the first promotion
	id            string
}

// NewKeyRing returns a ring with fresh random keys.
func NewKeyRing() (*KeyRing, error) {
	current, err := randomKey()
	if err != nil {
		return nil, err
	}
	next, err := randomKey()
	if err != nil {
		return nil, err
	}
	return newKeyRing(current, next, nil)
}

// randomKey returns a fresh key.
func randomKey() (*key, error) {
	var secret [keySize]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return nil, fmt.Errorf("read random key: %w", err)
	}
	return newKey(secret)
}

// newKeyRing returns the ring of these keys, the last of which may be nil. They must have different ids.
func newKeyRing(current, next, previous *key) (*KeyRing, error) {
	r := &KeyRing{current: current, next: next, previous: previous}
	seen := map[[keyIDSize]byte]bool{}
	for _, k := range r.keys() {
		if k == nil {
			continue
		}
		if seen[k.id] {
			return nil, fmt.Errorf("two keys of the ring are the same: every key must be 32 random bytes of its own")
		}
		seen[k.id] = true
		if r.id != "" {
			r.id += "-"
		}
		r.id += hex.EncodeToString(k.id[:])
	}
	return r, nil
}

// keys returns the ring's keys, the likeliest first. The last may be nil.
func (r *KeyRing) keys() [3]*key { return [3]*key{r.current, r.previous, r.next} }

// Promote returns the ring that follows this one: next becomes current, current becomes previous, and there is a fresh
// next. All replicas must have this ring before any uses the new one, and tokens sealed with the previous key of this
// ring must have expired.
func (r *KeyRing) Promote() (*KeyRing, error) {
	next, err := randomKey()
	if err != nil {
		return nil, err
	}
	return newKeyRing(r.next, next, r.current)
}

// ID says which keys the ring has in which place: the ids of the current, the previous (if there is one) and the next
// key, as they also stand in tokens. It can be logged and compared, and reveals nothing about the keys.
func (r *KeyRing) ID() string { return r.id }

// String keeps the keys out of logs.
func (r *KeyRing) String() string { return "key ring " + r.id }

// GoString keeps the keys out of logs.
func (r *KeyRing) GoString() string { return r.String() }

// find returns the key with that id, or nil.
func (r *KeyRing) find(id [keyIDSize]byte) *key {
	for _, k := range r.keys() {
		if k != nil && k.id == id {
			return k
		}
	}
	return nil
}
