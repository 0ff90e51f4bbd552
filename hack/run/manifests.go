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

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
)

// samples are the directories that the manifests are copied from.
var samples = []string{
	filepath.Join("config", "samples", "walkthrough"),
	filepath.Join("config", "samples", "standalone"),
}

// leftOut is a Backend for a server that is not there, and that no route leads to.
const leftOut = "static.yaml"

// freePorts returns an error that says what to do if a port is in use.
func freePorts(ctx context.Context, o options) error {
	for _, p := range []struct {
		port           int
		what, variable string
	}{
		{o.port, "the gateway", "PORT"},
		{o.firstPort, "the first MCP server", "FIRST_PORT"},
		{o.weatherPort, "the second MCP server", "WEATHER_PORT"},
	} {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", p.port))
		if err != nil {
			return fmt.Errorf("port %d, for %s, can't be had: %w\n"+
				"See which program has it with: lsof -nP -iTCP:%d -sTCP:LISTEN\n"+
				"End that program, or take another port: make run %s=%d", p.port, p.what, err, p.port, p.variable, p.port+10)
		}
		if err := listener.Close(); err != nil {
			return err
		}
	}
	return nil
}

// copyManifests copies the sample manifests, with the ports of this run, over those of an earlier one.
func copyManifests(o options) error {
	if err := os.MkdirAll(o.dir, 0o750); err != nil {
		return err
	}
	dir, err := os.OpenRoot(o.dir)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	for _, sample := range samples {
		files, err := filepath.Glob(filepath.Join(sample, "*.yaml"))
		if err != nil {
			return err
		}
		if len(files) == 0 {
			return fmt.Errorf("there are no manifests in %s: run this in the root of the repository", sample)
		}
		for _, file := range files {
			if filepath.Base(file) == leftOut {
				continue
			}
			content, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			if content, err = withPorts(filepath.Base(file), content, o); err != nil {
				return err
			}
			if err := dir.WriteFile(filepath.Base(file), content, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// withPorts returns a sample with the ports of this run in place of the usual ones.
func withPorts(file string, content []byte, o options) ([]byte, error) {
	var usual, port int
	switch file {
	case "gateway.yaml":
		usual, port = 8080, o.port
	case "endpoints.yaml":
		usual, port = 3001, o.firstPort
	case weatherFile:
		usual, port = 3002, o.weatherPort
	default:
		return content, nil
	}
	line := regexp.MustCompile(fmt.Sprintf(`(?m)^([ -]*port: )%d$`, usual))
	if !line.Match(content) {
		return nil, fmt.Errorf("%s has no line \"port: %d\"", file, usual)
	}
	return line.ReplaceAll(content, fmt.Appendf(nil, "${1}%d", port)), nil
}
