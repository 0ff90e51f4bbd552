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
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// tree makes files and links ("path -> target") below a new directory, and goes there.
func tree(t *testing.T, entries ...string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, entry := range entries {
		path, target, isLink := strings.Cut(entry, " -> ")
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		var err error
		if isLink {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte("# "+path), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadFindsFiles(t *testing.T) {
	for name, test := range map[string]struct {
		tree      []string
		paths     []string
		recursive bool
		want      []string
		errs      []string
	}{
		"files of a directory by name, of the right names": {
			tree:  []string{"d/b.yaml", "d/a.yml", "d/c.json", "d/README.md", "d/.hidden.yaml", "d/e.YAML", "d/sub/x.yaml"},
			paths: []string{"d"}, want: []string{"d/a.yml", "d/b.yaml", "d/c.json", "d/e.YAML"},
		},
		"subdirectories if asked for": {
			tree: []string{"d/b.yaml", "d/sub/x.yaml", "d/.git/y.yaml", "d/a/b/c.yaml"}, paths: []string{"d"}, recursive: true,
			want: []string{"d/a/b/c.yaml", "d/b.yaml", "d/sub/x.yaml"},
		},
		"a named file whatever it is called": {
			tree: []string{"manifest.txt", ".hidden"}, paths: []string{"manifest.txt", ".hidden"}, want: []string{"manifest.txt", ".hidden"},
		},
		"a file that is named twice once": {
			tree: []string{"d/a.yaml", "l -> d"}, paths: []string{"d/a.yaml", "d", "./d/a.yaml", "l"}, want: []string{"d/a.yaml"},
		},
		"a mounted ConfigMap": {
			tree:  []string{"m/..2026_01/a.yaml", "m/..data -> ..2026_01", "m/a.yaml -> ..data/a.yaml"},
			paths: []string{"m"}, recursive: true, want: []string{"m/a.yaml"},
		},
		"links in a circle": {
			tree: []string{"d/a.yaml", "d/sub/up -> ../../d"}, paths: []string{"d"}, recursive: true, want: []string{"d/a.yaml"},
		},
		"every file that can't be read is told": {
			tree: []string{"d/a.yaml", "d/b.yaml -> missing", "d/note -> missing"}, paths: []string{"none", "d", "https://example.com/x.yaml", "-"},
			want: []string{"d/a.yaml"}, errs: []string{"none", "d/b.yaml", "URLs are not read", "standard input"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			tree(t, test.tree...)
			files, err := Source{Paths: test.paths, Recursive: test.recursive}.Read()
			var names []string
			for _, file := range files {
				names = append(names, filepath.ToSlash(file.Name))
			}
			g.Expect(names).To(Equal(test.want))
			if len(test.errs) == 0 {
				g.Expect(err).NotTo(HaveOccurred())
				return
			}
			for _, text := range test.errs {
				g.Expect(err).To(MatchError(ContainSubstring(text)))
			}
			g.Expect(strings.Count(err.Error(), "\n")).To(Equal(len(test.errs)-1), "%v", err)
		})
	}
}

func TestReadIsBounded(t *testing.T) {
	g := NewWithT(t)
	tree(t)
	large := bytes.Repeat([]byte("#"), maxFileBytes+1)
	g.Expect(os.WriteFile("large.yaml", large, 0o600)).To(Succeed())
	_, err := Source{Paths: []string{"large.yaml"}}.Read()
	g.Expect(err).To(MatchError("large.yaml: larger than 16 MiB"))

	for _, name := range []string{"a.yaml", "b.yaml", "c.yaml", "d.yaml", "e.yaml"} {
		g.Expect(os.WriteFile(name, large[:maxFileBytes], 0o600)).To(Succeed())
	}
	g.Expect(os.Remove("large.yaml")).To(Succeed())
	files, err := Source{Paths: []string{"."}}.Read()
	g.Expect(files).To(HaveLen(4))
	g.Expect(err).To(MatchError("e.yaml: all files together are larger than 64 MiB"))
}

func TestReadStandardInput(t *testing.T) {
	g := NewWithT(t)
	files, err := Source{Paths: []string{"-"}, Stdin: strings.NewReader("kind: x")}.Read()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(files).To(Equal([]File{{Name: "standard input", Data: []byte("kind: x")}}))
}
