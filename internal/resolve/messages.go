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

package resolve

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of texts. The schema bounds messages in characters; all but a few quoted ones are ASCII.
const (
	maxMessage          = 1024
	maxConditionMessage = 32768
	// maxQuoted bounds what is repeated of a value that a user wrote, so that the cure after it is never cut off.
	maxQuoted = 96
)

// truncated returns s with at most limit characters.
func truncated(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	runes := []rune(s)
	return string(runes[:limit-1]) + "…"
}

// quoted returns a value that a user wrote, in quotes, in printable ASCII, and not too long.
func quoted(s string) string {
	if len(s) <= maxQuoted {
		return strconv.QuoteToASCII(s)
	}
	return strconv.QuoteToASCII(s[:maxQuoted]) + "…"
}

// counted returns "1 port" or "2 ports".
func counted(n int, singular string) string {
	if n == 1 {
		return "1 " + singular
	}
	return fmt.Sprintf("%d %ss", n, singular)
}

// listed joins at most limit of the items and says how many more there are.
func listed(items []string, limit int) string {
	if len(items) <= limit {
		return strings.Join(items, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(items[:limit], ", "), len(items)-limit)
}
