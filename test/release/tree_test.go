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

package release

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

const root = "../.."

// newRepository makes a repository of one commit with the files of this tree, committed or not: all of them, or the named
// ones.
func newRepository(t *testing.T, files ...string) string {
	t.Helper()
	g := NewWithT(t)
	tree := t.TempDir()
	if len(files) == 0 {
		files = strings.Split(strings.TrimSuffix(git(t, root, "ls-files", "-z", "-co", "--exclude-standard"), "\x00"), "\x00")
	}
	for _, file := range files {
		info, err := os.Stat(filepath.Join(root, file))
		if os.IsNotExist(err) {
			continue // removed, and not committed yet
		}
		g.Expect(err).NotTo(HaveOccurred())
		writeFile(t, filepath.Join(tree, file), readFile(t, filepath.Join(root, file)))
		g.Expect(os.Chmod(filepath.Join(tree, file), info.Mode())).To(Succeed())
	}
	git(t, tree, "init", "--quiet")
	commit(t, tree)
	return tree
}

func commit(t *testing.T, tree string) {
	t.Helper()
	git(t, tree, "add", "--all")
	git(t, tree, "commit", "--quiet", "--message", "All of it")
}

func git(t *testing.T, folder string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "git", args...)
	command.Dir = folder
	command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull,
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	var stderr strings.Builder
	command.Stderr = &stderr
	written, err := command.Output()
	NewWithT(t).Expect(err).NotTo(HaveOccurred(), "git %s: %s", strings.Join(args, " "), &stderr)
	return string(written)
}

// script is hack/release.sh of a tree, with what it takes from its environment and nothing that is set by accident.
func script(t *testing.T, tree, version string, env ...string) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(t.Context(), filepath.Join(tree, "hack", "release.sh"), version)
	command.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return strings.HasPrefix(name, "REGISTRY") || name == "DRY_RUN" || name == "COSIGN_FLAGS" || name == "DOCKER_CONFIG"
	})
	command.Env = append(command.Env, env...)
	return command
}

// readDigests gives, of each name in digests.txt, the digest of each kind.
func readDigests(t *testing.T, tree string) map[string]map[string]string {
	t.Helper()
	digests := map[string]map[string]string{}
	for line := range strings.Lines(readFile(t, filepath.Join(tree, "bin/release/digests.txt"))) {
		fields := strings.Fields(line)
		NewWithT(t).Expect(fields).To(HaveLen(3), line)
		NewWithT(t).Expect(fields[2]).To(MatchRegexp("^sha256:[0-9a-f]{64}$"))
		if digests[fields[1]] == nil {
			digests[fields[1]] = map[string]string{}
		}
		digests[fields[1]][fields[0]] = fields[2]
	}
	return digests
}

var imageField = regexp.MustCompile(`(?m)^ *(?:- )?image: *(\S+)$`)

// images are the images that a manifest names.
func images(manifest string) []string {
	var found []string
	for _, match := range imageField.FindAllStringSubmatch(manifest, -1) {
		found = append(found, match[1])
	}
	return found
}

// signer is a pair of keys: here is nobody whom the workflow's identity could be got from.
type signer struct {
	folder string
}

func newSigner(t *testing.T) *signer {
	t.Helper()
	s := &signer{folder: t.TempDir()}
	g := NewWithT(t)
	for _, args := range [][]string{
		{"generate-key-pair"},
		// Of no service: neither for signing nor for what is trusted.
		{"signing-config", "create", "--out", "signing.json"},
		{"trusted-root", "create", "--out", "trusted.json"},
	} {
		command := exec.CommandContext(t.Context(), os.Getenv("COSIGN"), args...)
		command.Dir = s.folder
		command.Env = append(os.Environ(), "COSIGN_PASSWORD=")
		said, err := command.CombinedOutput()
		g.Expect(err).NotTo(HaveOccurred(), string(said))
	}
	return s
}

func (s *signer) env() []string {
	return []string{"COSIGN_PASSWORD=", "COSIGN_FLAGS=--key " + filepath.Join(s.folder, "cosign.key") +
		" --signing-config " + filepath.Join(s.folder, "signing.json") + " --trusted-root " + filepath.Join(s.folder, "trusted.json")}
}

// flags are those of cosign's commands that verify.
func (s *signer) flags(command string, args ...string) []string {
	return append([]string{
		command, "--key", filepath.Join(s.folder, "cosign.pub"),
		"--trusted-root", filepath.Join(s.folder, "trusted.json"), "--insecure-ignore-tlog",
	}, args...)
}

func (s *signer) verify(t *testing.T, r *registry, reference string) error {
	t.Helper()
	return r.command(t, os.Getenv("COSIGN"), s.flags("verify", reference)...).Run()
}

// verifyAttestation gives the SBOM of an image that is signed.
func (s *signer) verifyAttestation(t *testing.T, r *registry, reference string) []byte {
	t.Helper()
	g := NewWithT(t)
	envelope := r.run(t, os.Getenv("COSIGN"), s.flags("verify-attestation", "--type", "spdxjson", reference)...)
	return statement(g, envelope)
}

func (s *signer) verifyBlob(t *testing.T, file string) error {
	t.Helper()
	args := s.flags("verify-blob", "--bundle", file+".sigstore.json", file)
	return exec.CommandContext(t.Context(), os.Getenv("COSIGN"), args...).Run()
}

func sum(t *testing.T, file string) string {
	t.Helper()
	digest := sha256.Sum256([]byte(readFile(t, file)))
	return hex.EncodeToString(digest[:])
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return string(content)
}

func writeFile(t *testing.T, file, content string) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(os.MkdirAll(filepath.Dir(file), 0o755)).To(Succeed())
	g.Expect(os.WriteFile(file, []byte(content), 0o600)).To(Succeed())
}

// statement gives the predicate of the in-toto statement in an envelope.
func statement(g *WithT, encoded string) []byte {
	var envelope struct{ Payload []byte }
	g.Expect(json.Unmarshal([]byte(encoded), &envelope)).To(Succeed())
	var decoded struct{ Predicate json.RawMessage }
	g.Expect(json.Unmarshal(envelope.Payload, &decoded)).To(Succeed())
	return decoded.Predicate
}
