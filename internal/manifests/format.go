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
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// WriteText writes findings one a line, as compilers do.
func WriteText(w io.Writer, findings []Finding) error {
	for i := range findings {
		if _, err := fmt.Fprintln(w, oneLine(findings[i].String())); err != nil {
			return err
		}
	}
	return nil
}

// oneLine keeps a value with line breaks in it from looking like several findings.
func oneLine(text string) string {
	return strings.NewReplacer("\r", `\r`, "\n", `\n`, "\x1b", `\x1b`).Replace(text)
}

// jsonFinding is a Finding as WriteJSON writes it: a contract with whoever reads it.
type jsonFinding struct {
	Severity   Severity `json:"severity"`
	File       string   `json:"file"`
	Line       int      `json:"line"`
	Column     int      `json:"column"`
	APIVersion string   `json:"apiVersion,omitempty"`
	Kind       string   `json:"kind,omitempty"`
	Namespace  string   `json:"namespace,omitempty"`
	Name       string   `json:"name,omitempty"`
	Field      string   `json:"field,omitempty"`
	Layer      Layer    `json:"layer"`
	Message    string   `json:"message"`
}

// WriteJSON writes one JSON object: the findings, and how many there are of each severity and of objects.
func WriteJSON(w io.Writer, findings []Finding, objects int) error {
	document := struct {
		Findings []jsonFinding `json:"findings"`
		Summary  struct {
			Objects  int `json:"objects"`
			Errors   int `json:"errors"`
			Warnings int `json:"warnings"`
			Notes    int `json:"notes"`
		} `json:"summary"`
	}{Findings: make([]jsonFinding, 0, len(findings))}
	for i := range findings {
		f := &findings[i]
		document.Findings = append(document.Findings, jsonFinding{
			f.Severity, f.File, f.Line, f.Column, f.APIVersion, f.Kind, f.Namespace, f.Name, f.Field, f.Layer, f.Message,
		})
	}
	document.Summary.Objects = objects
	document.Summary.Errors = Count(findings, Error)
	document.Summary.Warnings = Count(findings, Warning)
	document.Summary.Notes = Count(findings, Note)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(document)
}

// What GitHub's runner takes for syntax must be escaped, or a value in a manifest could write commands of its own:
// https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
var (
	githubData     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// WriteGitHub writes findings as annotations of the files, in the form that GitHub Actions reads from a step's output.
func WriteGitHub(w io.Writer, findings []Finding) error {
	commands := map[Severity]string{Error: "error", Warning: "warning", Note: "notice"}
	for i := range findings {
		f := &findings[i]
		place := "file=" + githubProperty.Replace(f.File)
		if f.Line > 0 {
			place += fmt.Sprintf(",line=%d,col=%d", f.Line, max(f.Column, 1))
		}
		if title := f.Object(); title != "" {
			place += ",title=" + githubProperty.Replace(title)
		}
		if _, err := fmt.Fprintf(w, "::%s %s::%s\n", commands[f.Severity], place, githubData.Replace(f.Message)); err != nil {
			return err
		}
	}
	return nil
}
