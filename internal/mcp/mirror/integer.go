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

import "strings"

// maxInteger is the largest integer that every implementation can tell from its neighbours; -maxInteger is the smallest.
const maxInteger = 1<<53 - 1

// integer returns the value of a JSON number; false if it is no JSON number, has a fraction other than zero, or is out of
// range. It computes with the digits, because floating point would round what is out of range into it.
func integer(text string) (int64, bool) {
	text, negative := strings.CutPrefix(text, "-")
	whole, text := digits(text)
	if whole == "" || len(whole) > 1 && whole[0] == '0' {
		return 0, false
	}
	var fraction string
	if rest, found := strings.CutPrefix(text, "."); found {
		if fraction, text = digits(rest); fraction == "" {
			return 0, false
		}
	}
	exponent, ok := exponentOf(text)
	if !ok {
		return 0, false
	}
	// The number is significant times ten to the power of exponent.
	significant := strings.TrimLeft(whole+fraction, "0")
	exponent -= int64(len(fraction))
	trimmed := strings.TrimRight(significant, "0")
	exponent += int64(len(significant) - len(trimmed))
	if trimmed == "" {
		return 0, true
	}
	const maxDigits = 16
	if exponent < 0 || exponent > maxDigits || int64(len(trimmed))+exponent > maxDigits {
		return 0, false
	}
	var number int64
	for _, c := range []byte(trimmed) {
		number = 10*number + int64(c-'0')
	}
	for range exponent {
		number *= 10
	}
	if number > maxInteger {
		return 0, false
	}
	if negative {
		number = -number
	}
	return number, true
}

// digits splits off the decimal digits that a text begins with.
func digits(text string) (digits, rest string) {
	i := 0
	for i < len(text) && '0' <= text[i] && text[i] <= '9' {
		i++
	}
	return text[:i], text[i:]
}

// exponentOf returns the value of a number's exponent, with its e; 0 if there is none. Exponents that are too large for any
// text that fits in memory to make up for them are all the same.
func exponentOf(text string) (int64, bool) {
	if text == "" {
		return 0, true
	}
	if text[0] != 'e' && text[0] != 'E' {
		return 0, false
	}
	text, negative := strings.CutPrefix(text[1:], "-")
	if !negative {
		text = strings.TrimPrefix(text, "+")
	}
	number, rest := digits(text)
	if number == "" || rest != "" {
		return 0, false
	}
	const limit = 1 << 40
	exponent := int64(0)
	for _, c := range []byte(number) {
		exponent = min(10*exponent+int64(c-'0'), limit)
	}
	if negative {
		exponent = -exponent
	}
	return exponent, true
}
