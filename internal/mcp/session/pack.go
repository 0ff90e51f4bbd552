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
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// Packed values are: integers as unsigned varints, service hashes as 8 bytes, protocol versions as one byte where they
// are known, and texts as a varint of their packed length and how they are packed, and then that many bytes.
const (
	packedRaw     = iota // the text itself
	packedUUID           // 16 bytes: a UUID in canonical lower-case form
	packedHex            // an even number of lower-case hexadecimal digits, two to a byte
	packedAddress        // an IP address of 4 or 16 bytes and a port of 2
)

// protocolVersions are those that take one byte. Their places are part of the tokens' format: append only.
var protocolVersions = [...]string{"", "2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"}

// otherVersion stands before a protocol version that is not among these.
const otherVersion = 0xff

// usualTarget is the packed size of a target with a UUID and an IPv4 address.
const usualTarget = 8 + 1 + 17 + 7

// maxTime bounds expiry times, in seconds, to what time.Time handles well.
const maxTime = 1 << 40

// appendSession appends the packed session with as many of its targets as fit into that size.
func appendSession(dst []byte, s *Session, size int) []byte {
	dst = append(dst, s.SID[:]...)
	dst = appendTime(dst, s.Expires)
	dst = appendText(dst, string(s.Backend))
	dst = appendText(dst, s.Principal)
	dst = appendVersion(dst, s.ProtocolVersion)
	dst = appendAddress(dst, s.Home)
	dst = appendHead(dst, len(s.Initialize), packedRaw)
	dst = append(dst, s.Initialize...)
	for i := range s.Targets {
		before := len(dst)
		if dst = appendTarget(dst, &s.Targets[i]); len(dst) > size {
			return dst[:before]
		}
	}
	return dst
}

// unpackSession returns the session that packed holds; false if it holds none.
func unpackSession(packed []byte) (*Session, bool) {
	d := decoder{rest: packed}
	s := &Session{}
	copy(s.SID[:], d.bytes(len(s.SID)))
	s.Expires = d.time()
	s.Backend = config.BackendID(d.text())
	s.Principal = d.text()
	s.ProtocolVersion = d.version()
	s.Home = d.home()
	if b, packing := d.head(); packing != packedRaw {
		d.fail()
	} else if len(b) > 0 {
		s.Initialize = append([]byte(nil), b...)
	}
	if len(d.rest) > 0 {
		s.Targets = make([]TargetSession, 0, 1+len(d.rest)/usualTarget)
	}
	for len(d.rest) > 0 {
		s.Targets = append(s.Targets, d.target())
	}
	return s, !d.failed
}

// appendTime appends a time in seconds.
func appendTime(dst []byte, t time.Time) []byte {
	return binary.AppendUvarint(dst, uint64(min(max(t.Unix(), 0), maxTime)))
}

func appendTarget(dst []byte, t *TargetSession) []byte {
	dst = appendService(dst, t.Service)
	dst = appendVersion(dst, t.ProtocolVersion)
	dst = append(dst, byte(t.Capabilities))
	dst = appendText(dst, string(t.ID))
	return appendAddress(dst, t.Endpoint)
}

func appendService(dst []byte, service ServiceHash) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(service))
}

func appendVersion(dst []byte, version string) []byte {
	for i, known := range protocolVersions {
		if version == known {
			return append(dst, byte(i))
		}
	}
	return appendText(append(dst, otherVersion), version)
}

// appendHead appends what stands before a packed text.
func appendHead(dst []byte, size, packing int) []byte {
	return binary.AppendUvarint(dst, uint64(size)<<2|uint64(packing))
}

// appendText appends a text in the shortest packing. Session ids are commonly UUIDs or hexadecimal.
func appendText(dst []byte, text string) []byte {
	if len(text) == 36 && text[8] == '-' && text[13] == '-' && text[18] == '-' && text[23] == '-' {
		before := len(dst)
		dst = appendHead(dst, 16, packedUUID)
		for i, group := range [...]string{text[:8], text[9:13], text[14:18], text[19:23], text[24:]} {
			var ok bool
			if dst, ok = appendHex(dst, group); !ok {
				dst = dst[:before]
				break
			}
			if i == 4 {
				return dst
			}
		}
	}
	if len(text) >= 4 && len(text)%2 == 0 {
		if packed, ok := appendHex(appendHead(dst, len(text)/2, packedHex), text); ok {
			return packed
		}
	}
	return append(appendHead(dst, len(text), packedRaw), text...)
}

// appendHex appends the bytes that text has the lower-case hexadecimal digits of; false if it has other characters.
func appendHex(dst []byte, text string) ([]byte, bool) {
	for i := 0; i+1 < len(text); i += 2 {
		high, low := hexDigit(text[i]), hexDigit(text[i+1])
		if high|low > 0xf {
			return dst, false
		}
		dst = append(dst, high<<4|low)
	}
	return dst, true
}

// hexDigit returns the digit's value, or 0xff.
func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	default:
		return 0xff
	}
}

// appendAddress appends a text that is most often an IP address with a port. Only the form that comes out again is packed.
func appendAddress(dst []byte, text string) []byte {
	address, err := netip.ParseAddrPort(text)
	if err != nil || address.Addr().Zone() != "" || address.String() != text {
		return appendText(dst, text)
	}
	ip := address.Addr().AsSlice()
	dst = appendHead(dst, len(ip)+2, packedAddress)
	dst = append(dst, ip...)
	return binary.BigEndian.AppendUint16(dst, address.Port())
}

// decoder unpacks values. After a failure all its results are zero.
type decoder struct {
	rest   []byte
	failed bool
}

// fail notes that the packed bytes are none.
func (d *decoder) fail() {
	d.rest, d.failed = nil, true
}

// done returns whether all was unpacked, and nothing is left.
func (d *decoder) done() bool { return !d.failed && len(d.rest) == 0 }

// bytes returns the next n bytes, or nil.
func (d *decoder) bytes(n int) []byte {
	if n > len(d.rest) {
		d.fail()
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) byte() byte {
	if b := d.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) integer() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) time() time.Time {
	seconds := d.integer()
	if seconds > maxTime {
		d.fail()
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0)
}

// home returns the address of a replica.
func (d *decoder) home() string {
	home := d.text()
	if len(home) > maxHome {
		d.fail()
		return ""
	}
	return home
}

func (d *decoder) service() ServiceHash {
	if b := d.bytes(8); b != nil {
		return ServiceHash(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (d *decoder) version() string {
	b := d.bytes(1)
	switch {
	case b == nil:
		return ""
	case b[0] == otherVersion:
		return d.text()
	case int(b[0]) < len(protocolVersions):
		return protocolVersions[b[0]]
	default:
		d.fail()
		return ""
	}
}

func (d *decoder) target() TargetSession {
	return TargetSession{
		Service:         d.service(),
		ProtocolVersion: d.version(),
		Capabilities:    Capabilities(d.byte()),
		ID:              UpstreamSessionID(d.text()),
		Endpoint:        d.text(),
	}
}

// head returns the bytes of the next text and how they are packed.
func (d *decoder) head() (b []byte, packing int) {
	head := d.integer()
	if head>>2 > uint64(len(d.rest)) {
		d.fail()
		return nil, packedRaw
	}
	return d.bytes(int(head >> 2)), int(head & 3)
}

// text returns the next text, however it is packed.
func (d *decoder) text() string {
	b, packing := d.head()
	switch {
	case packing == packedRaw:
		return string(b)
	case packing == packedHex:
		return hex.EncodeToString(b)
	case packing == packedUUID && len(b) == 16:
		return uuidText(b)
	case packing == packedAddress && (len(b) == 6 || len(b) == 18):
		ip, _ := netip.AddrFromSlice(b[:len(b)-2])
		return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(b[len(b)-2:])).String()
	default:
		d.fail()
		return ""
	}
}

// uuidText returns the canonical form of a UUID.
func uuidText(b []byte) string {
	var text [36]byte
	at := 0
	for i, end := range [...]int{4, 6, 8, 10, 16} {
		if i > 0 {
			text[at] = '-'
			at++
		}
		at += hex.Encode(text[at:], b[:end][(at-i)/2:])
	}
	return string(text[:])
}
