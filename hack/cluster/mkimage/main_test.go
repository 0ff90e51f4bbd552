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
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// saved is what an archive has, as Docker and containerd read it.
type saved struct {
	name   string
	config struct {
		Architecture string
		Config       struct {
			Entrypoint, Env  []string
			User, WorkingDir string
		}
		Rootfs struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	// files has the layer's entries: of files the content, of folders nothing, of links where they lead to.
	files map[string]string
	modes map[string]int64
}

func pack(t *testing.T, args ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	NewWithT(t).Expect(run(args, &out)).To(Succeed())
	return out.Bytes()
}

func read(t *testing.T, archive []byte) saved {
	t.Helper()
	g := NewWithT(t)
	entries := untar(t, archive, nil)
	var manifest []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	g.Expect(json.Unmarshal([]byte(entries["manifest.json"]), &manifest)).To(Succeed())
	g.Expect(manifest).To(HaveLen(1))
	g.Expect(manifest[0].Layers).To(HaveLen(1))

	s := saved{name: manifest[0].RepoTags[0], modes: map[string]int64{}}
	g.Expect(json.Unmarshal([]byte(entries[manifest[0].Config]), &s.config)).To(Succeed())
	layer := entries[manifest[0].Layers[0]]
	sum := sha256.Sum256([]byte(layer))
	g.Expect(s.config.Rootfs.DiffIDs).To(Equal([]string{"sha256:" + hex.EncodeToString(sum[:])}))
	s.files = untar(t, []byte(layer), s.modes)
	return s
}

func untar(t *testing.T, archive []byte, modes map[string]int64) map[string]string {
	t.Helper()
	g := NewWithT(t)
	entries := map[string]string{}
	for reader := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return entries
		}
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(entries).NotTo(HaveKey(header.Name), "an entry that is there twice")
		content, err := io.ReadAll(reader)
		g.Expect(err).NotTo(HaveOccurred())
		entries[header.Name] = string(content) + header.Linkname
		if modes != nil {
			g.Expect(header.Uid + header.Gid).To(BeZero())
			modes[header.Name] = header.Mode
		}
	}
}

func write(t *testing.T, name, content string, mode os.FileMode) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(os.MkdirAll(filepath.Dir(name), 0o755)).To(Succeed())
	g.Expect(os.WriteFile(name, []byte(content), mode)).To(Succeed())
	g.Expect(os.Chmod(name, mode)).To(Succeed())
}

// build compiles a program of nothing but an empty main.
func build(t *testing.T, arch, cgo string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "main.go"), "package main\n\nfunc main() {}\n", 0o644)
	command := exec.Command("go", "build", "-o", filepath.Join(dir, "app"), filepath.Join(dir, "main.go"))
	command.Env = append(os.Environ(), "CGO_ENABLED="+cgo, "GOARCH="+arch, "GOOS=linux", "GOFLAGS=", "GOWORK=off")
	output, err := command.CombinedOutput()
	NewWithT(t).Expect(err).NotTo(HaveOccurred(), string(output))
	return filepath.Join(dir, "app")
}

func TestABinaryIsTheEntrypoint(t *testing.T) {
	g := NewWithT(t)
	binary := build(t, "arm64", "0")
	extra := filepath.Join(t.TempDir(), "settings.yaml")
	write(t, extra, "a: 1\n", 0o600)

	s := read(t, pack(t, "-user", "65532:65532", "-env", "A=b", "example.com/app:1", binary, extra+":/etc/app/settings.yaml", extra))
	g.Expect(s.name).To(Equal("example.com/app:1"))
	g.Expect(s.config.Architecture).To(Equal("arm64"), "the binary's")
	g.Expect(s.config.Config.Entrypoint).To(Equal([]string{"/app"}))
	g.Expect(s.config.Config.User).To(Equal("65532:65532"))
	g.Expect(s.config.Config.Env).To(ContainElements("A=b", HavePrefix("PATH=")))
	g.Expect(s.files).To(HaveKeyWithValue("etc/app/settings.yaml", "a: 1\n"))
	g.Expect(s.files).To(HaveKeyWithValue("settings.yaml", "a: 1\n"))
	g.Expect(s.modes).To(HaveKeyWithValue("app", int64(0o755)))
	g.Expect(s.modes).To(HaveKeyWithValue("settings.yaml", int64(0o600)))
	g.Expect(s.modes).To(HaveKeyWithValue("tmp/", int64(0o1777)))
}

func TestAFolderIsTheRootFilesystem(t *testing.T) {
	g := NewWithT(t)
	root := t.TempDir()
	write(t, filepath.Join(root, "usr", "bin", "tool"), "#!/bin/sh\n", 0o755)
	g.Expect(os.Symlink("usr/bin", filepath.Join(root, "bin"))).To(Succeed())
	g.Expect(os.Mkdir(filepath.Join(root, "tmp"), 0o755)).To(Succeed())

	s := read(t, pack(t, "-arch", "arm64", "node:20-alpine", root))
	g.Expect(s.config.Architecture).To(Equal("arm64"))
	g.Expect(s.config.Config.Entrypoint).To(BeEmpty())
	g.Expect(s.config.Config.WorkingDir).To(Equal("/"))
	g.Expect(s.files).To(HaveKeyWithValue("bin", "usr/bin"))
	g.Expect(s.files).To(HaveKeyWithValue("usr/bin/tool", "#!/bin/sh\n"))
	g.Expect(s.files).To(HaveKey("tmp/"))
}

func TestTheSameContentGivesTheSameBytes(t *testing.T) {
	g := NewWithT(t)
	first, second := t.TempDir(), t.TempDir()
	for _, root := range []string{first, second} {
		write(t, filepath.Join(root, "b"), "2", 0o644)
		write(t, filepath.Join(root, "a", "c"), "1", 0o644)
	}
	then := time.Unix(1, 0)
	g.Expect(os.Chtimes(filepath.Join(first, "b"), then, then)).To(Succeed())
	g.Expect(pack(t, "x:1", first)).To(Equal(pack(t, "x:1", second)))
}

func TestErrorsSayWhatIsWrong(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	write(t, text, "no program", 0o755)
	for name, test := range map[string]struct {
		args []string
		err  string
	}{
		"nothing to pack":      {args: []string{"x:1"}, err: "usage"},
		"an unknown flag":      {args: []string{"-shell", "x:1", text}, err: "-shell"},
		"a variable, no value": {args: []string{"-env", "A", "x:1", text}, err: "NAME=VALUE"},
		"no binary":            {args: []string{"x:1", text}, err: "not a Linux binary"},
		"no such file":         {args: []string{"x:1", text + "-not"}, err: "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(run(test.args, io.Discard)).To(MatchError(ContainSubstring(test.err)))
		})
	}
}

func TestADynamicBinaryIsRefused(t *testing.T) {
	g := NewWithT(t)
	shell, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Skip("no /bin/sh")
	}
	if _, err := staticBinary(shell); err == nil {
		t.Skip("the shell is a static binary here")
	}
	g.Expect(run([]string{"x:1", shell}, io.Discard)).To(MatchError(Or(
		ContainSubstring("CGO_ENABLED=0"), ContainSubstring("not a Linux binary"))))
}
