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

package crd

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// The layers of the API server that refuse an object.
const (
	byDecoding = "decoding"
	bySchema   = "schema"
	byWebhook  = "webhook"
)

// expectation is what the comments at the top of a manifest say about it:
//
//	# want: admitted              the API server takes it
//	# want: <error>               one of the errors, whole; one such line for each
//	# by: decoding|schema|webhook who refuses it; required with errors
//	# warning: <warning>          one of the warnings, whole; one such line for each
//
// Every other comment says what the case is about.
type expectation struct {
	admitted bool
	by       string
	errors   []string
	warnings []string
}

// testCase is one manifest with what is expected of it.
type testCase struct {
	expectation
	name   string
	object *unstructured.Unstructured
	// stored is the object as it must be stored, with defaults; nil if the case is not about that.
	stored *unstructured.Unstructured
}

const storedSuffix = ".stored.yaml"

// celNotChecked is what the API server adds where the schema's other errors kept it from looking at the CEL rules. It is
// about no rule of ours, so that manifests don't repeat it.
const celNotChecked = "<nil>: Invalid value: null: some validation rules were not checked because the object was " +
	"invalid; correct the existing errors to complete validation"

// loadCases reads testdata/<kind>. What it can't make sense of is an error, so that no file is passed over.
func loadCases(kind string) ([]testCase, error) {
	files, err := os.ReadDir(filepath.Join("testdata", kind))
	if err != nil {
		return nil, err
	}
	var cases []testCase
	stored := map[string]*unstructured.Unstructured{}
	for _, file := range files {
		path := filepath.Join("testdata", kind, file.Name())
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		asJSON, err := yaml.YAMLToJSONStrict(content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(asJSON); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if name, found := strings.CutSuffix(file.Name(), storedSuffix); found {
			stored[name] = object
			continue
		}
		name, found := strings.CutSuffix(file.Name(), ".yaml")
		if !found {
			return nil, fmt.Errorf("%s: the name must end in .yaml", path)
		}
		want, err := parseExpectation(content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if want.admitted == strings.HasPrefix(name, "invalid-") {
			return nil, fmt.Errorf("%s: files of what is refused, and only they, must be called invalid-…", path)
		}
		cases = append(cases, testCase{expectation: want, name: name, object: object})
	}
	for i := range cases {
		cases[i].stored = stored[cases[i].name]
		if cases[i].stored != nil && !cases[i].admitted {
			return nil, fmt.Errorf("%s/%s%s: the object is not to be stored", kind, cases[i].name, storedSuffix)
		}
		delete(stored, cases[i].name)
	}
	for name := range stored {
		return nil, fmt.Errorf("%s/%s%s belongs to no manifest", kind, name, storedSuffix)
	}
	if len(cases) == 0 {
		return nil, fmt.Errorf("no case in testdata/%s", kind)
	}
	return cases, nil
}

func parseExpectation(content []byte) (expectation, error) {
	var want expectation
	for line := range bytes.Lines(content) {
		comment, isComment := strings.CutPrefix(strings.TrimSpace(string(line)), "#")
		if !isComment {
			break
		}
		key, value, found := strings.Cut(strings.TrimSpace(comment), ": ")
		if !found {
			continue
		}
		switch {
		case key == "want" && value == "admitted":
			want.admitted = true
		case key == "want":
			want.errors = append(want.errors, value)
		case key == "by":
			want.by = value
		case key == "warning":
			want.warnings = append(want.warnings, value)
		}
	}
	switch {
	case want.admitted == (len(want.errors) > 0):
		return want, errors.New("the first comments must say either \"want: admitted\" or \"want: <error>\" for each error")
	case !want.admitted && !slices.Contains([]string{byDecoding, bySchema, byWebhook}, want.by):
		return want, errors.New("the first comments must say \"by: decoding\", \"by: schema\" or \"by: webhook\"")
	case want.admitted && want.by != "":
		return want, errors.New("\"by\" is only for what is refused")
	}
	return want, nil
}

// outcome returns what an API server's answer says, in the terms of an expectation.
func outcome(answer error, warnings []string) (expectation, error) {
	got := expectation{warnings: warnings}
	if answer == nil {
		got.admitted = true
		return got, nil
	}
	var status apierrors.APIStatus
	if !errors.As(answer, &status) {
		return got, fmt.Errorf("not an answer of the API server: %w", answer)
	}
	message := status.Status().Message
	switch {
	case strings.HasPrefix(message, "admission webhook "):
		got.by = byWebhook
	case apierrors.IsInvalid(answer):
		got.by = bySchema
	case apierrors.IsBadRequest(answer):
		got.by = byDecoding
	default:
		return got, fmt.Errorf("unexpected answer: %w", answer)
	}
	if got.by == byDecoding {
		got.errors = []string{message}
		return got, nil
	}
	for _, cause := range status.Status().Details.Causes {
		text := cause.Field + ": " + cause.Message
		// Users see the message, not the causes.
		if !strings.Contains(message, text) {
			return got, fmt.Errorf("%q is not in the message %q", text, message)
		}
		if got.by != bySchema || text != celNotChecked {
			got.errors = append(got.errors, text)
		}
	}
	if len(got.errors) == 0 {
		return got, fmt.Errorf("no causes: %w", answer)
	}
	return got, nil
}
