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
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Bounds of what is read. An API server takes objects of 1.5 MiB at most.
const (
	maxFileBytes  = 16 << 20
	maxTotalBytes = 64 << 20
	maxFiles      = 10_000
)

// stdinName is how standard input is named on the command line and in findings.
const stdinName = "-"

// File is a file's content.
type File struct {
	// Name as it is shown: the path as the user wrote it, or below it.
	Name string
	Data []byte
}

// Source says which files to read.
type Source struct {
	// Paths are files, directories, or "-" for Stdin.
	Paths []string
	// Recursive includes subdirectories.
	Recursive bool
	// Stdin is read for "-"; nil if that is not possible.
	Stdin io.Reader
}

// Read reads the files, in the order of the paths, and by name within a directory. As with kubectl, a file that is named
// is read whatever it is called; of a directory, the files *.yaml, *.yml and *.json. Names that begin with a dot are
// passed over: editors and mounted volumes keep their own things there. Symbolic links are followed. A file that can't
// be read does not keep the others from being read; the error has them all.
func (s Source) Read() ([]File, error) {
	r := &reader{source: s, seen: map[string]bool{}}
	for _, path := range s.Paths {
		r.readPath(path)
	}
	return r.files, errors.Join(r.errs...)
}

type reader struct {
	source Source
	files  []File
	errs   []error
	// seen has the files that were read, so that one that is named twice is read once.
	seen  map[string]bool
	total int
}

func (r *reader) fail(err error) { r.errs = append(r.errs, err) }

func (r *reader) readPath(path string) {
	if path == stdinName {
		if r.source.Stdin == nil {
			r.fail(errors.New("standard input can't be read here: name files or directories"))
			return
		}
		r.take("standard input", stdinName, r.source.Stdin)
		return
	}
	if strings.Contains(path, "://") {
		r.fail(fmt.Errorf("%s: URLs are not read: download the file, or pipe it to -f -", path))
		return
	}
	info, err := os.Stat(path)
	if err != nil {
		r.fail(err)
		return
	}
	if info.IsDir() {
		r.readDir(path, r.resolve(path), nil)
		return
	}
	r.readFile(path)
}

// readDir reads a directory's files. Parents are the directories that led here, because links can lead in a circle.
func (r *reader) readDir(path, resolved string, parents []string) {
	if slices.Contains(parents, resolved) {
		return
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		r.fail(err)
		return
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		child := filepath.Join(path, entry.Name())
		info, err := os.Stat(child)
		switch {
		case err != nil && !IsManifestName(entry.Name()):
		case err != nil:
			r.fail(err)
		case info.IsDir() && r.source.Recursive:
			r.readDir(child, r.resolve(child), append(parents, resolved))
		case info.Mode().IsRegular() && IsManifestName(entry.Name()):
			r.readFile(child)
		}
	}
}

// IsManifestName is whether a file of that name in a directory is read.
func IsManifestName(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, strings.ToLower(filepath.Ext(name)))
}

// resolve returns the path without links, or the path itself if that can't be told.
func (r *reader) resolve(path string) string {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
	if absolute, err := filepath.Abs(path); err == nil {
		return absolute
	}
	return path
}

func (r *reader) readFile(path string) {
	file, err := os.Open(path)
	if err != nil {
		r.fail(err)
		return
	}
	defer func() { _ = file.Close() }()
	r.take(path, r.resolve(path), file)
}

// take reads a file, within the bounds.
func (r *reader) take(name, resolved string, from io.Reader) {
	if r.seen[resolved] {
		return
	}
	r.seen[resolved] = true
	if len(r.files) == maxFiles {
		r.fail(fmt.Errorf("%s: more than %d files: name fewer", name, maxFiles))
		return
	}
	data, err := io.ReadAll(io.LimitReader(from, maxFileBytes+1))
	switch {
	case err != nil:
		// The error of a file names it; that of a pipe may not.
		if _, named := errors.AsType[*fs.PathError](err); !named {
			err = fmt.Errorf("%s: %w", name, err)
		}
		r.fail(err)
	case len(data) > maxFileBytes:
		r.fail(fmt.Errorf("%s: larger than %d MiB", name, maxFileBytes>>20))
	case r.total+len(data) > maxTotalBytes:
		r.fail(fmt.Errorf("%s: all files together are larger than %d MiB", name, maxTotalBytes>>20))
	default:
		r.total += len(data)
		r.files = append(r.files, File{Name: name, Data: data})
	}
}
