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
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	ocireg "github.com/google/go-containerregistry/pkg/registry"
	. "github.com/onsi/gomega"
)

const (
	user     = "releaser"
	password = "not-for-anybody-s-eyes"
)

// registry is one on this machine, in memory, that nobody uses without the password.
type registry struct {
	server *httptest.Server
	// name is what images' names begin with.
	name string
	// config is a folder with the credentials, as `docker login` writes them.
	config string

	mu       sync.Mutex
	accessed []string
}

// manifest is what an index, an image and a chart have in common.
type manifest struct {
	Config    descriptor
	Layers    []descriptor
	Manifests []descriptor
}

type descriptor struct {
	MediaType string
	Digest    string
	Platform  struct{ OS, Architecture string }
}

func newRegistry(t *testing.T) *registry {
	t.Helper()
	r := &registry{config: t.TempDir()}
	handler := ocireg.New(ocireg.Logger(log.New(io.Discard, "", 0)), ocireg.WithReferrersSupport(true))
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.mu.Lock()
		r.accessed = append(r.accessed, request.URL.Path)
		r.mu.Unlock()
		if name, given, ok := request.BasicAuth(); !ok || name != user || given != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, request)
	}))
	t.Cleanup(r.server.Close)
	host := strings.TrimPrefix(r.server.URL, "http://")
	r.name = host + "/team"
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	writeFile(t, filepath.Join(r.config, "config.json"), `{"auths":{"`+host+`":{"auth":"`+auth+`"}}}`)
	return r
}

// env is what the script needs to push.
func (r *registry) env() []string {
	return []string{"REGISTRY=" + r.name, "REGISTRY_USER=" + user, "REGISTRY_PASSWORD=" + password}
}

func (r *registry) paths() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.accessed
}

// command is a program that knows the password.
func (r *registry) command(t *testing.T, program string, args ...string) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, args...)
	command.Env = append(os.Environ(), "DOCKER_CONFIG="+r.config, "HELM_REGISTRY_CONFIG="+filepath.Join(r.config, "config.json"))
	return command
}

// run runs a program that knows the password, and gives what it writes.
func (r *registry) run(t *testing.T, program string, args ...string) string {
	t.Helper()
	command := r.command(t, program, args...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	written, err := command.Output()
	NewWithT(t).Expect(err).NotTo(HaveOccurred(), stderr.String())
	return string(written)
}

func (r *registry) get(t *testing.T, path string) ([]byte, http.Header) {
	t.Helper()
	g := NewWithT(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.server.URL+"/v2/team/"+path, nil)
	g.Expect(err).NotTo(HaveOccurred())
	request.SetBasicAuth(user, password)
	response, err := r.server.Client().Do(request)
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { g.Expect(response.Body.Close()).To(Succeed()) }()
	body, err := io.ReadAll(response.Body)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(response).To(HaveHTTPStatus(http.StatusOK), path)
	return body, response.Header
}

// manifest gives a manifest by its tag or digest, and its digest.
func (r *registry) manifest(t *testing.T, repository, reference string) (manifest, string) {
	t.Helper()
	body, header := r.get(t, repository+"/manifests/"+reference)
	var decoded manifest
	NewWithT(t).Expect(json.Unmarshal(body, &decoded)).To(Succeed())
	return decoded, header.Get("Docker-Content-Digest")
}

func (r *registry) blob(t *testing.T, repository, digest string) []byte {
	t.Helper()
	body, _ := r.get(t, repository+"/blobs/"+digest)
	return body
}

// checkBinary expects of an image one layer with one program, for the architecture and linked to nothing, and no root.
func (r *registry) checkBinary(t *testing.T, digest, arch string) {
	t.Helper()
	g := NewWithT(t)
	image, _ := r.manifest(t, "dynamic-mcp", digest)
	var config struct {
		Architecture string
		Config       struct{ User string }
	}
	g.Expect(json.Unmarshal(r.blob(t, "dynamic-mcp", image.Config.Digest), &config)).To(Succeed())
	g.Expect(config.Architecture).To(Equal(arch))
	g.Expect(config.Config.User).To(Equal("65532:65532"))

	var programs []string
	for _, layer := range image.Layers {
		compressed, err := gzip.NewReader(bytes.NewReader(r.blob(t, "dynamic-mcp", layer.Digest)))
		g.Expect(err).NotTo(HaveOccurred())
		archive := tar.NewReader(compressed)
		for {
			header, err := archive.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			g.Expect(err).NotTo(HaveOccurred())
			if header.Typeflag != tar.TypeReg {
				continue
			}
			programs = append(programs, header.Name)
			content, err := io.ReadAll(archive)
			g.Expect(err).NotTo(HaveOccurred())
			program, err := elf.NewFile(bytes.NewReader(content))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(program.Machine).To(Equal(map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[arch]))
			g.Expect(program.ImportedLibraries()).To(BeEmpty())
		}
	}
	g.Expect(programs).To(HaveLen(1))
}
