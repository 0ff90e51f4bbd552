//go:build linux

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

package wire

import "bytes"

// Dechunk decodes the chunked body at the start of b. It returns the body, how many bytes of b it took, and whether the
// body is complete. A body of one chunk is returned in place; others are joined in scratch, which grows.
func Dechunk(b []byte, scratch *[]byte) (body []byte, used int, done bool, err error) {
	joined := (*scratch)[:0]
	defer func() { *scratch = joined }()
	for i, chunks := 0, 0; ; chunks++ {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return nil, 0, false, nil
		}
		size, ok := hex(b[i : i+n])
		if !ok {
			return nil, 0, false, ErrMalformed
		}
		i += n + 1
		if size == 0 {
			n = trailers(b[i:])
			if n < 0 {
				return nil, 0, false, nil
			}
			if chunks != 1 {
				body = joined
			}
			return body, i + n, true, nil
		}
		if len(b)-i < size+2 {
			return nil, 0, false, nil
		}
		switch chunks {
		case 0:
			body = b[i : i+size]
		case 1:
			joined = append(append(joined, body...), b[i:i+size]...)
		default:
			joined = append(joined, b[i:i+size]...)
		}
		i += size + 2
	}
}

// trailers returns the length of the trailers with the empty line at their end, or -1 while they are incomplete.
func trailers(b []byte) int {
	for i := 0; ; {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return -1
		}
		empty := n == 0 || n == 1 && b[i] == '\r'
		if i += n + 1; empty {
			return i
		}
	}
}

// hex parses the size at the start of a chunk's first line.
func hex(b []byte) (int, bool) {
	n, digits := 0, 0
	for _, c := range b {
		switch {
		case '0' <= c && c <= '9':
			n = n<<4 | int(c-'0')
		case 'a' <= c && c <= 'f':
			n = n<<4 | int(c-'a'+10)
		case 'A' <= c && c <= 'F':
			n = n<<4 | int(c-'A'+10)
		default:
			return n, digits > 0 && (c == '\r' || c == ';' || c == ' ')
		}
		// Seven digits are 256 MB, more than any body here.
		if digits++; digits > 7 {
			return 0, false
		}
	}
	return n, digits > 0
}
