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
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// deterministicAEAD is AES-GCM with a nonce that is a pseudorandom function of all that is sealed: the same values give
// the same token, and different values different nonces. It is for ids that are named twice, as the request that a
// cancellation names; that two tokens are of one id is what such a token is to tell.
type deterministicAEAD struct {
	cipher.AEAD
	nonceKey []byte
}

var errShortToken = errors.New("token is too short")

func (a *deterministicAEAD) NonceSize() int { return 0 }

func (a *deterministicAEAD) Overhead() int { return a.AEAD.NonceSize() + a.AEAD.Overhead() }

func (a *deterministicAEAD) Seal(dst, _, plaintext, additionalData []byte) []byte {
	mac := hmac.New(sha256.New, a.nonceKey)
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(additionalData)))
	_, _ = mac.Write(length[:])
	_, _ = mac.Write(additionalData)
	_, _ = mac.Write(plaintext)
	nonce := mac.Sum(nil)[:a.AEAD.NonceSize()]
	return a.AEAD.Seal(append(dst, nonce...), nonce, plaintext, additionalData)
}

func (a *deterministicAEAD) Open(dst, _, ciphertext, additionalData []byte) ([]byte, error) {
	size := a.AEAD.NonceSize()
	if len(ciphertext) < size {
		return nil, errShortToken
	}
	return a.AEAD.Open(dst, ciphertext[:size], ciphertext[size:], additionalData)
}
