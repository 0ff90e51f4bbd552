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

// Package release makes a release of this tree, publishes it to a registry on this machine, and looks at it as those do who
// install it. `make test-release` runs all of it: for ko and cosign, which are not needed otherwise, it is no part of
// `make test`, which only tests what the script refuses.
package release

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestRefuses(t *testing.T) {
	const tagged, untagged = "v1.2.3", "v1.2.4"
	tree := newRepository(t, "hack/release.sh")
	git(t, tree, "tag", tagged)
	publish := []string{"REGISTRY=127.0.0.1:1/nowhere", "COSIGN=false"}

	for _, test := range []struct {
		name, version, want string
		env                 []string
		change              func(t *testing.T)
	}{
		{name: "no version", version: "", want: "not like v1.2.3"},
		{name: "a version without v", version: "1.2.3", want: "not like v1.2.3"},
		{name: "a version of two numbers", version: "v1.2", want: "not like v1.2.3"},
		{name: "a number with a leading zero", version: "v1.02.3", want: "not like v1.2.3"},
		{name: "a pre-release with a leading zero", version: "v1.2.3-rc.01", want: "not like v1.2.3"},
		{name: "an empty part of a pre-release", version: "v1.2.3-rc..1", want: "not like v1.2.3"},
		{name: "build metadata, which no tag of an image can have", version: "v1.2.3+linux", want: "not like v1.2.3"},
		{name: "a commit", version: "74fee00", want: "not like v1.2.3"},
		{name: "more than one line", version: "v1.2.3\nv1.2.4", want: "not like v1.2.3"},
		{name: "a registry with a scheme", version: tagged, env: []string{"REGISTRY=oci://ghcr.io/a"}, want: "a host and"},
		{name: "a registry with capitals", version: tagged, env: []string{"REGISTRY=ghcr.io/A"}, want: "in small letters"},
		{name: "a tag that is not there", version: untagged, env: publish, want: "there is no tag " + untagged},
		{name: "a branch of that name", version: untagged, env: publish, want: "there is no tag " + untagged,
			change: func(t *testing.T) { git(t, tree, "branch", untagged) }},
		{name: "a user without a password", version: tagged, env: append(publish, "REGISTRY_USER=somebody"),
			want: "REGISTRY_PASSWORD: is not set"},
		{name: "files that are not in the commit", version: tagged, env: publish, want: "?? new.go",
			change: func(t *testing.T) { writeFile(t, filepath.Join(tree, "new.go"), "package new") }},
		{name: "a commit that the tag is not on", version: tagged, env: publish, want: "the tag v1.2.3 is not on this commit",
			change: func(t *testing.T) { commit(t, tree) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := NewWithT(t)
			if test.change != nil {
				test.change(t)
			}
			command := script(t, tree, test.version, append(test.env, "KO=false", "HELM=false", "KUSTOMIZE=false")...)
			said, err := command.CombinedOutput()
			g.Expect(err).To(HaveOccurred())
			g.Expect(string(said)).To(ContainSubstring(test.want))
		})
	}
}

func TestPublishes(t *testing.T) {
	if os.Getenv("COSIGN") == "" {
		t.Skip("COSIGN is not set: `make test-release` builds ko and cosign, and runs this")
	}
	g := NewWithT(t)
	const version = "v1.2.3-rc.1"
	tree := newRepository(t)
	registry := newRegistry(t)
	signer := newSigner(t)

	// A dry run asks neither for a tag nor for a clean tree.
	writeFile(t, filepath.Join(tree, "new.txt"), "not in the commit")
	said, err := script(t, tree, version).CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(said))
	dry := readDigests(t, tree)
	g.Expect(dry).To(HaveKey("ghcr.io/dynamic-mcp/dynamic-mcp"))
	g.Expect(registry.paths()).To(BeEmpty(), "a dry run pushes nothing")
	g.Expect(filepath.Glob(filepath.Join(tree, "bin/release/*.sigstore.json"))).To(BeEmpty(), "and signs nothing")
	g.Expect(os.Remove(filepath.Join(tree, "new.txt"))).To(Succeed())

	git(t, tree, "tag", version)
	said, err = script(t, tree, version, append(registry.env(), signer.env()...)...).CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(said))
	g.Expect(string(said)).NotTo(ContainSubstring(password))
	g.Expect(filepath.Join(tree, "bin/.release")).NotTo(BeAnExistingFile(), "the credentials are there meanwhile")
	release := filepath.Join(tree, "bin/release")
	image, chart := registry.name+"/dynamic-mcp", registry.name+"/charts/dynamic-mcp"
	pushed := readDigests(t, tree)
	digest := pushed[image]["image"]

	t.Run("the same image from the same commit, under any name", func(t *testing.T) {
		NewWithT(t).Expect(pushed[image]).To(Equal(dry["ghcr.io/dynamic-mcp/dynamic-mcp"]))
	})
	t.Run("an index of both architectures under the version", func(t *testing.T) {
		g := NewWithT(t)
		index, actual := registry.manifest(t, "dynamic-mcp", version)
		g.Expect(actual).To(Equal(digest))
		platforms := map[string]string{"image": digest}
		for _, manifest := range index.Manifests {
			platforms[manifest.Platform.OS+"/"+manifest.Platform.Architecture] = manifest.Digest
			registry.checkBinary(t, manifest.Digest, manifest.Platform.Architecture)
		}
		g.Expect(platforms).To(Equal(pushed[image]))
		g.Expect(platforms).To(HaveLen(3))
	})
	for _, arch := range []string{"amd64", "arm64"} {
		t.Run("the SBOM of "+arch+" beside the image and as a signed attestation", func(t *testing.T) {
			g := NewWithT(t)
			of := pushed[image]["linux/"+arch]
			attached, _ := registry.manifest(t, "dynamic-mcp", strings.Replace(of, ":", "-", 1)+".sbom")
			g.Expect(attached.Layers).To(HaveLen(1))
			g.Expect(attached.Layers[0].MediaType).To(Equal("text/spdx+json"))
			sbom := readFile(t, filepath.Join(release, "dynamic-mcp-"+version+"-linux-"+arch+".spdx.json"))
			g.Expect(registry.blob(t, "dynamic-mcp", attached.Layers[0].Digest)).To(MatchJSON(sbom))
			g.Expect(sbom).To(And(ContainSubstring(of), ContainSubstring("sigs.k8s.io/controller-runtime")))
			g.Expect(signer.verifyAttestation(t, registry, image+"@"+of)).To(MatchJSON(sbom))
		})
	}
	t.Run("a chart that installs the image by its digest", func(t *testing.T) {
		g := NewWithT(t)
		_, actual := registry.manifest(t, "charts/dynamic-mcp", strings.TrimPrefix(version, "v"))
		g.Expect(actual).To(Equal(pushed[chart]["chart"]))
		rendered := registry.run(t, os.Getenv("HELM"), "template", "dynamic-mcp", "oci://"+chart, "--plain-http",
			"--version", strings.TrimPrefix(version, "v"))
		g.Expect(images(rendered)).To(ConsistOf(image + "@" + digest))
		g.Expect(rendered).To(ContainSubstring("app.kubernetes.io/version: \"" + version + "\""))
	})
	t.Run("a manifest that installs the image by its digest", func(t *testing.T) {
		NewWithT(t).Expect(images(readFile(t, filepath.Join(release, "install.yaml")))).To(ConsistOf(image + "@" + digest))
	})
	t.Run("signatures of the index, each image and the chart, and not of the key of somebody else", func(t *testing.T) {
		signed := []string{image + ":" + version, chart + ":" + strings.TrimPrefix(version, "v")}
		for kind, digest := range pushed[image] {
			if kind != "image" {
				signed = append(signed, image+"@"+digest)
			}
		}
		somebody := newSigner(t)
		for _, reference := range signed {
			NewWithT(t).Expect(signer.verify(t, registry, reference)).To(Succeed(), reference)
			NewWithT(t).Expect(somebody.verify(t, registry, reference)).NotTo(Succeed(), reference)
		}
	})
	t.Run("signed checksums of all files", func(t *testing.T) {
		g := NewWithT(t)
		g.Expect(signer.verifyBlob(t, filepath.Join(release, "checksums.txt"))).To(Succeed())
		files, err := filepath.Glob(filepath.Join(release, "*"))
		g.Expect(err).NotTo(HaveOccurred())
		checksums := readFile(t, filepath.Join(release, "checksums.txt"))
		checked := 0
		for _, file := range files {
			if name := filepath.Base(file); !strings.HasPrefix(name, "checksums.txt") {
				g.Expect(checksums).To(ContainSubstring(sum(t, file)+"  "+name+"\n"), name)
				checked++
			}
		}
		g.Expect(strings.Count(checksums, "\n")).To(Equal(checked))
		g.Expect(checked).To(Equal(6))
	})
}
