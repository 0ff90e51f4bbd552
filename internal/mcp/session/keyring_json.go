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
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	keyRingVersion = 1
	// keyText is the length of a key in standard base64.
	keyText = 44
	// maxKeyRingJSON is far more than a key ring needs.
	maxKeyRingJSON = 64 << 10
)

// keyRingJSON is a key ring in the gateway's Secret and in the file of --session-key-file. Keys are 32 bytes in standard
// base64, as `openssl rand -base64 32` writes them.
type keyRingJSON struct {
	Version  int    `json:"version"`
	Current  string `json:"current"`
	Next     string `json:"next"`
	Previous string `json:"previous,omitempty"`
}

// Marshal returns the ring as JSON, which ParseKeyRing reads. It is the keys themselves: keep it secret.
func (r *KeyRing) Marshal() ([]byte, error) {
	file := keyRingJSON{
		Version: keyRingVersion,
		Current: base64.StdEncoding.EncodeToString(r.current.secret[:]),
		Next:    base64.StdEncoding.EncodeToString(r.next.secret[:]),
	}
	if r.previous != nil {
		file.Previous = base64.StdEncoding.EncodeToString(r.previous.secret[:])
	}
	data, err := json.Marshal(file)
	if err != nil {
		return nil, fmt.Errorf("encode key ring: %w", err)
	}
	return append(data, '\n'), nil
}

// ParseKeyRing reads a ring from JSON. Everything that is wrong with it is said at once, and nothing of the keys.
func ParseKeyRing(data []byte) (*KeyRing, error) {
	if len(data) > maxKeyRingJSON {
		return nil, fmt.Errorf("key ring: found %d bytes; a key ring has a few hundred", len(data))
	}
	fields, err := keyRingFields(data)
	if err != nil {
		return nil, fmt.Errorf("key ring: %w", err)
	}
	var wrong []string
	if string(fields["version"]) != strconv.Itoa(keyRingVersion) {
		wrong = append(wrong, fmt.Sprintf(`field "version" must be %d`, keyRingVersion))
	}
	var keys [3]*key
	for i, name := range [...]string{"current", "next", "previous"} {
		raw, ok := fields[name]
		if !ok && name == "previous" {
			continue
		}
		if keys[i], err = parseKey(raw); err != nil {
			wrong = append(wrong, fmt.Sprintf("field %q %v", name, err))
		}
	}
	if len(wrong) > 0 {
		return nil, errors.New("key ring: " + strings.Join(wrong, "; "))
	}
	ring, err := newKeyRing(keys[0], keys[1], keys[2])
	if err != nil {
		return nil, fmt.Errorf("key ring: %w", err)
	}
	return ring, nil
}

// keyRingFields returns the fields of the one JSON object that is data. Reading it token by token refuses what decoding
// into a struct would let pass: duplicates, and names that differ in case.
func keyRingFields(data []byte) (map[string]json.RawMessage, error) {
	errSyntax := errors.New(`expected one JSON object with the fields "version", "current", "next" and optionally "previous"`)
	dec := json.NewDecoder(bytes.NewReader(data))
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		return nil, errSyntax
	}
	fields := map[string]json.RawMessage{}
	for dec.More() {
		token, err := dec.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, errSyntax
		}
		switch name {
		case "version", "current", "next", "previous":
		default:
			return nil, fmt.Errorf("found an unknown field; %w", errSyntax) // Its name might be a misplaced key.
		}
		if _, ok := fields[name]; ok {
			return nil, fmt.Errorf("field %q occurs twice", name)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, errSyntax
		}
		fields[name] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, errSyntax
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errSyntax
	}
	return fields, nil
}

// parseKey returns the key that stands in a field with that raw value.
func parseKey(raw json.RawMessage) (*key, error) {
	const want = "must be a string of 44 characters: 32 random bytes in standard base64, as from `openssl rand -base64 32`"
	if raw == nil {
		return nil, errors.New("is missing; it " + want)
	}
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return nil, errors.New(want)
	}
	text, ok := value.(string)
	if !ok || len(text) != keyText {
		return nil, errors.New(want)
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(decoded) != keySize {
		return nil, errors.New(want)
	}
	if bytes.Count(decoded, decoded[:1]) == keySize {
		return nil, errors.New("is not random: all its bytes are the same; it " + want)
	}
	return newKey([keySize]byte(decoded))
}
