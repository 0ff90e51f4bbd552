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

package validate

import (
	"errors"
	"fmt"
	"strings"
)

// MaxTargetNameLength is the longest name of a target, in characters.
const MaxTargetNameLength = 63

// TargetName checks a target's name, which clients see in the names of tools:
// [a-z0-9]([-a-z0-9]*[a-z0-9])?, at most 63 characters. The error says what is wrong and what to write instead; it is
// meant to follow the name of the field or annotation.
func TargetName(s string) error {
	if s == "" {
		return errors.New("must not be empty")
	}
	if len(s) > MaxTargetNameLength {
		return fmt.Errorf("must be at most %d characters long, but has %d", MaxTargetNameLength, len(s))
	}
	name := nameLike(s)
	if name == s {
		return nil
	}
	const problem = "must consist of lowercase letters, digits and '-', and start and end with a letter or digit"
	if name == "" {
		return errors.New(problem)
	}
	return fmt.Errorf("%s: write for example %q", problem, name)
}

// nameLike returns the valid name that resembles s most, s itself if it is valid, and "" if nothing of s can be used.
func nameLike(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '-':
			b.WriteRune(r)
		case 'A' <= r && r <= 'Z':
			b.WriteRune(r - 'A' + 'a')
		default:
			b.WriteByte('-')
		}
	}
	return strings.Trim(b.String(), "-")
}
