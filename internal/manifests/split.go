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

package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	k8syaml "sigs.k8s.io/yaml"
)

// maxDocuments bounds the documents of one file, those of lists included.
const maxDocuments = 10_000

// chunk is the text of one document.
type chunk struct {
	text []byte
	// line of the file that the text begins with, from 1.
	line int
}

// split cuts a file at its document markers. No line of a document's content can look like one:
// https://yaml.org/spec/1.2.2/#rule-c-forbidden
func split(data []byte) []chunk {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	var chunks []chunk
	begin, beginLine, number, settled := 0, 1, 0, false
	at := 0
	for line := range bytes.Lines(data) {
		number++
		// What stands before the first marker may be directives, which belong to the document after it.
		if isMarker(line) && settled {
			chunks = append(chunks, chunk{data[begin:at], beginLine})
			begin, beginLine = at, number
		}
		settled = settled || isMarker(line) || !isPreamble(line)
		at += len(line)
	}
	return append(chunks, chunk{data[begin:], beginLine})
}

func isMarker(line []byte) bool {
	rest, found := bytes.CutPrefix(line, []byte("---"))
	return found && (len(rest) == 0 || strings.ContainsRune(" \t\r\n", rune(rest[0])))
}

// isPreamble is whether a line is empty, a comment or a directive.
func isPreamble(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) == 0 || line[0] == '#' || line[0] == '%'
}

// parseChunk returns a document's node tree, which has positions, and its value, which is read by the rules of
// kubectl: it takes yes and on for booleans, for instance. Both are nil for an empty document. The line of an error is
// relative to the chunk; 0 if it is not known.
func parseChunk(text []byte) (node *yaml.Node, value map[string]any, line int, err error) {
	defer func() {
		// The libraries are known to panic on some malformed documents.
		if failure := recover(); failure != nil {
			node, value, line, err = nil, nil, 0, fmt.Errorf("the document can't be read: %v", failure)
		}
	}()
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, nil, 0, nil
	} else if err != nil {
		line, err = syntaxError(err)
		return nil, nil, line, err
	}
	root := document.Content[0]
	if isNull(root) {
		return nil, nil, 0, nil
	}
	var next yaml.Node
	if err := decoder.Decode(&next); err == nil {
		return nil, nil, next.Line, errors.New("a document must begin with a line ---")
	} else if !errors.Is(err, io.EOF) {
		line, err = syntaxError(err)
		return nil, nil, line, err
	}
	if root.Kind != yaml.MappingNode {
		return nil, nil, root.Line, errors.New("a document must be an object with apiVersion, kind and metadata")
	}
	asJSON, err := k8syaml.YAMLToJSON(text)
	if err != nil {
		line, err = syntaxError(err)
		return nil, nil, line, err
	}
	if err := utiljson.Unmarshal(asJSON, &value); err != nil {
		return nil, nil, root.Line, err
	}
	return root, value, 0, nil
}

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.Tag == "!!null" }

var errorLine = regexp.MustCompile(`^line (\d+): `)

// syntaxError takes the line out of an error of the YAML libraries, so that the one of the file can be told instead.
func syntaxError(err error) (line int, message error) {
	text := err.Error()
	for _, prefix := range []string{"error converting YAML to JSON: ", "yaml: ", "unmarshal errors:\n  "} {
		text = strings.TrimPrefix(text, prefix)
	}
	if match := errorLine.FindStringSubmatch(text); match != nil {
		line, _ = strconv.Atoi(match[1])
		text = strings.TrimPrefix(text, match[0])
	}
	return line, errors.New("not valid YAML: " + strings.ReplaceAll(text, "\n", "; "))
}
