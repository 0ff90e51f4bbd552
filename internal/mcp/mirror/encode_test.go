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

package mirror

import (
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
	"testing/quick"
	"unicode/utf8"
)

func TestEncode(t *testing.T) {
	for value, want := range map[string]string{
		// The examples of the specification.
		"us-west1":           "us-west1",
		"Hello, 世界":          "=?base64?SGVsbG8sIOS4lueVjA==?=",
		" padded ":           "=?base64?IHBhZGRlZCA=?=",
		"line1\nline2":       "=?base64?bGluZTEKbGluZTI=?=",
		"=?base64?literal?=": "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=",

		"us west\t1":      "us west\t1",
		"us-west1\t":      "=?base64?dXMtd2VzdDEJ?=",
		"\x7f":            "=?base64?fw==?=",
		"":                "=?base64??=",
		"=?base64?=":      "=?base64?PT9iYXNlNjQ/PQ==?=",
		"=?base64?open":   "=?base64?open",
		"=?BASE64?QQ==?=": "=?BASE64?QQ==?=",
		"closed?=":        "closed?=",
	} {
		if got := Encode(value); got != want {
			t.Errorf("%q: got %q, want %q", value, got, want)
		}
		if back, ok := Decode(want); !ok || back != value {
			t.Errorf("%q: decoded to %q, %v", want, back, ok)
		}
	}
}

func TestDecode(t *testing.T) {
	for field, want := range map[string]string{
		" \tus-west1 \t":               "us-west1",
		" =?base64?SGVsbG8=?= ":        "Hello",
		"=?base64?dXMtd2VzdDE=?=":      "us-west1", // It need not have been encoded.
		"SGVsbG8=":                     "SGVsbG8=",
		"x =?base64?SGVsbG8=?=":        "x =?base64?SGVsbG8=?=",
		"=?Base64?SGVsbG8=?=":          "=?Base64?SGVsbG8=?=",
		"=?base64?SGVsbG8=":            "=?base64?SGVsbG8=",
		"":                             "",
		"=?base64?PT9iYXNlNjQ/eD89?= ": "=?base64?x?=", // Once only.
	} {
		if got, ok := Decode(field); !ok || got != want {
			t.Errorf("%q: got %q, %v, want %q", field, got, ok, want)
		}
	}
	for name, field := range map[string]string{
		"no padding":              "=?base64?SGVsbG8?=",
		"too much padding":        "=?base64?SGVsbG8==?=",
		"not of the alphabet":     "=?base64?SGVs!!!bG8=?=",
		"the alphabet of URLs":    "=?base64?_-8=?=",
		"a space":                 "=?base64?SGVs bG8=?=",
		"bits after the end":      "=?base64?SGVsbG9=?=",
		"two values":              "=?base64?SGVsbG8=SGVsbG8=?=",
		"not UTF-8":               "=?base64?/w==?=",
		"a surrogate":             "=?base64?7aCA?=",
		"marks share a character": "=?base64?=",
		"a line break":            "=?base64?SGVs\nbG8=?=",
		"a carriage return":       "a\rb",
		"a null byte":             "a\x00",
		"a control character":     "\x1f",
		"delete":                  "\x7f",
		"UTF-8":                   "世界",
		"Latin-1":                 "caf\xe9",
	} {
		if got, ok := Decode(field); ok {
			t.Errorf("%s: decoded to %q", name, got)
		}
	}
}

func TestDecodeUndoesEncode(t *testing.T) {
	// Strings of what the encoding is about are likelier to find something than any strings.
	parts := []string{"=?base64?", "?=", "=", "?", " ", "\t", "\n", "a", "QQ==", "é", "😀", "\x00", "\x7f", "~"}
	composed := func(choices [6]uint8, count uint8) bool {
		var value strings.Builder
		for _, c := range choices[:int(count)%len(choices)] {
			value.WriteString(parts[int(c)%len(parts)])
		}
		return undoes(value.String())
	}
	if err := quick.Check(composed, &quick.Config{MaxCount: 5000}); err != nil {
		t.Error(err)
	}
	if err := quick.Check(undoes, nil); err != nil {
		t.Error(err)
	}
}

// undoes says whether Decode undoes Encode, and whether what is in between can be sent.
func undoes(value string) bool {
	field := Encode(value)
	back, ok := Decode(field)
	return ok && back == value && regexp.MustCompile(`^[!-~]([\t -~]*[!-~])?$`).MatchString(field)
}

func TestPlainValuesCostNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { Decode(Encode("execute_sql")) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// refDecode is Decode by way of regular expressions, and of encoding again what was decoded.
func refDecode(field string) (string, bool) {
	field = regexp.MustCompile(`^[\t ]*|[\t ]*$`).ReplaceAllString(field, "")
	if !regexp.MustCompile(`^[\t\x20-\x7e]*$`).MatchString(field) {
		return "", false
	}
	marked := regexp.MustCompile(`^=\?base64\?(.*)\?=$`).FindStringSubmatch(field)
	if marked == nil {
		return field, field != "=?base64?="
	}
	decoded, _ := base64.StdEncoding.DecodeString(marked[1])
	return string(decoded), base64.StdEncoding.EncodeToString(decoded) == marked[1] && utf8.Valid(decoded)
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"us-west1", " padded ", "=?base64?SGVsbG8sIOS4lueVjA==?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=", "=?base64?=",
		"=?base64??=", "=?base64?SGVsbG8?=", "=?base64?SGVsbG9=?=", "=?base64?/w==?=", "é", "\t", "a\tb", "=?base64?QQ==\n?=",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		want, wantOK := refDecode(in)
		if got, ok := Decode(in); ok != wantOK || ok && got != want {
			t.Errorf("got %q, %v, want %q, %v", got, ok, want, wantOK)
		}
		if utf8.ValidString(in) && !undoes(in) {
			t.Errorf("encoded to %q", Encode(in))
		}
	})
}
