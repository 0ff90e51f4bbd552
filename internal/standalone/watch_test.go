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

package standalone

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// scene is a directory that is watched.
type scene struct {
	*testing.T
	directory string
}

func (s *scene) path(name string) string { return filepath.Join(s.directory, filepath.FromSlash(name)) }

func (s *scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// put writes a file in place, as `echo >` does.
func (s *scene) put(name, content string) {
	s.Helper()
	s.must(os.MkdirAll(filepath.Dir(s.path(name)), 0o700))
	s.must(os.WriteFile(s.path(name), []byte(content), 0o600))
}

func (s *scene) link(name, target string) {
	s.Helper()
	s.must(os.Symlink(target, s.path(name)))
}

func (s *scene) rename(from, to string) {
	s.Helper()
	s.must(os.Rename(s.path(from), s.path(to)))
}

func (s *scene) remove(name string) {
	s.Helper()
	s.must(os.RemoveAll(s.path(name)))
}

func TestChangesAreNoticed(t *testing.T) {
	for name, test := range map[string]struct {
		before    func(*scene)
		watch     string
		recursive bool
		change    func(*scene)
		ignored   bool
	}{
		"a file is written in place": {
			before: func(s *scene) { s.put("d/a.yaml", "1") }, watch: "d/a.yaml",
			change: func(s *scene) { s.put("d/a.yaml", "2") },
		},
		"a file is replaced by another one": {
			before: func(s *scene) { s.put("d/a.yaml", "1") }, watch: "d/a.yaml",
			change: func(s *scene) { s.put("d/a.yaml~", "2"); s.rename("d/a.yaml~", "d/a.yaml") },
		},
		"a file is moved away and written anew": {
			before: func(s *scene) { s.put("d/a.yaml", "1") }, watch: "d/a.yaml",
			change: func(s *scene) { s.rename("d/a.yaml", "d/a.yaml.bak"); s.put("d/a.yaml", "2") },
		},
		"a file in a directory": {
			before: func(s *scene) { s.put("d/a.yaml", "1") }, watch: "d",
			change: func(s *scene) { s.put("d/a.yaml", "2") },
		},
		"a file comes into a directory": {
			before: func(s *scene) { s.put("d/a.yaml", "1") }, watch: "d",
			change: func(s *scene) { s.put("d/b.json", "1") },
		},
		"a file leaves a directory": {
			before: func(s *scene) { s.put("d/a.yaml", "1") }, watch: "d",
			change: func(s *scene) { s.remove("d/a.yaml") },
		},
		"a file that is not there yet comes": {
			before: func(*scene) {}, watch: "d/e/a.yaml",
			change: func(s *scene) { s.put("d/e/a.yaml", "1") },
		},
		"a directory is replaced by another one": {
			before: func(s *scene) { s.put("d/a.yaml", "1"); s.put("n/a.yaml", "2") }, watch: "d",
			change: func(s *scene) { s.rename("d", "o"); s.rename("n", "d") },
		},
		"a mounted ConfigMap is updated": {
			before: func(s *scene) {
				s.put("d/..1/a.yaml", "1")
				s.link("d/..data", "..1")
				s.link("d/a.yaml", "..data/a.yaml")
			}, watch: "d",
			change: func(s *scene) {
				s.put("d/..2/a.yaml", "2")
				s.link("d/..data_tmp", "..2")
				s.rename("d/..data_tmp", "d/..data")
			},
		},
		"the target of a link": {
			before: func(s *scene) { s.put("e/b", "1"); s.put("d/x", ""); s.link("d/a.yaml", "../e/b") }, watch: "d/a.yaml",
			change: func(s *scene) { s.put("e/b", "2") },
		},
		"a link on the way leads elsewhere": {
			before: func(s *scene) { s.put("r/1/a.yaml", "1"); s.put("r/2/a.yaml", "2"); s.link("current", "r/1") }, watch: "current/a.yaml",
			change: func(s *scene) { s.link("next", "r/2"); s.rename("next", "current") },
		},
		"a file in a subdirectory": {
			before: func(s *scene) { s.put("d/s/t/a.yaml", "1") }, watch: "d", recursive: true,
			change: func(s *scene) { s.put("d/s/t/a.yaml", "2") },
		},
		"a new subdirectory": {
			before: func(s *scene) { s.put("d/a.yaml", "1") }, watch: "d", recursive: true,
			change: func(s *scene) { s.put("d/s/a.yaml", "2") },
		},
		"a neighbour of a file is ignored": {
			before: func(s *scene) { s.put("d/a.yaml", "1") }, watch: "d/a.yaml",
			change: func(s *scene) { s.put("d/b.yaml", "1") }, ignored: true,
		},
		"other files in a directory are ignored": {
			before: func(s *scene) { s.put("d/a.yaml", "1") }, watch: "d",
			change: func(s *scene) { s.put("d/gateway.log", "1"); s.put("d/.a.yaml.swp", "1"); s.put("d/.b.yaml", "1") }, ignored: true,
		},
		"a change of permissions is ignored": {
			before: func(s *scene) { s.put("d/a.yaml", "1") }, watch: "d",
			change: func(s *scene) { s.must(os.Chmod(s.path("d/a.yaml"), 0o644)) }, ignored: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			s := &scene{t, t.TempDir()}
			test.before(s)
			w := newWatcher(slog.New(slog.DiscardHandler))
			defer w.close()
			g.Expect(w.watch([]string{s.path(test.watch)}, test.recursive)).To(BeTrue())
			g.Expect(w.watch([]string{s.path(test.watch)}, test.recursive)).To(BeFalse(), "nothing new to watch")
			test.change(s)
			if test.ignored {
				g.Consistently(w.changes, 2*settle).ShouldNot(Receive())
				return
			}
			g.Eventually(w.changes).WithTimeout(patience).Should(Receive())
			// And again, from what there is now.
			w.watch([]string{s.path(test.watch)}, test.recursive)
		})
	}
}

func TestAReplacedDirectoryIsWatchedOn(t *testing.T) {
	g := NewWithT(t)
	s := &scene{t, t.TempDir()}
	s.put("d/a.yaml", "1")
	w := newWatcher(slog.New(slog.DiscardHandler))
	defer w.close()
	paths := []string{s.path("d")}
	w.watch(paths, false)
	for range 3 {
		s.put("n/a.yaml", "2")
		s.remove("d")
		s.rename("n", "d")
		g.Eventually(w.changes).WithTimeout(patience).Should(Receive())
		for w.watch(paths, false) {
			continue
		}
		g.Consistently(w.changes, 2*settle).ShouldNot(Receive())
		s.put("d/a.yaml", "3")
		g.Eventually(w.changes).WithTimeout(patience).Should(Receive())
	}
}

func TestFilesThatChangeAllTheTimeAreReadNowAndThen(t *testing.T) {
	g := NewWithT(t)
	s := &scene{t, t.TempDir()}
	s.put("a.yaml", "1")
	w := newWatcher(slog.New(slog.DiscardHandler))
	defer w.close()
	w.watch([]string{s.path("a.yaml")}, false)
	tick := time.NewTicker(settle / 4)
	defer tick.Stop()
	begun := time.Now()
	for seen := false; !seen; {
		select {
		case <-w.changes:
			seen = true
		case <-tick.C:
			s.put("a.yaml", time.Now().String())
		}
		g.Expect(time.Since(begun)).To(BeNumerically("<", patience))
	}
}

func TestWithoutWatchingFilesAreLookedAt(t *testing.T) {
	g := NewWithT(t)
	w := newWatcher(slog.New(slog.DiscardHandler))
	defer w.close()
	w.mu.Lock()
	w.poll(errors.New("no more watches"))
	w.mu.Unlock()
	g.Eventually(w.changes).WithTimeout(patience).Should(Receive())
}

func TestLinksInACircle(t *testing.T) {
	s := &scene{t, t.TempDir()}
	s.link("a", "b")
	s.link("b", "a")
	p := newPlaces()
	if _, found := p.follow(s.path("a/c.yaml")); found {
		t.Error("a circle leads somewhere")
	}
}
