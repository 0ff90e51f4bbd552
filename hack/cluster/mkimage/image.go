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
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// image is what goes into the archive.
type image struct {
	name         string
	architecture string
	user         string
	entrypoint   []string
	environment  []string
	sources      []source
}

// write writes the archive. The layer goes through a temporary file, because its digest comes before it.
func (i *image) write(out io.Writer) error {
	file, err := os.CreateTemp("", "mkimage-")
	if err != nil {
		return err
	}
	defer func() {
		_ = file.Close()
		_ = os.Remove(file.Name())
	}()
	hash := sha256.New()
	if err := i.writeLayer(io.MultiWriter(file, hash)); err != nil {
		return err
	}
	diffID := hex.EncodeToString(hash.Sum(nil))
	size, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}

	config, err := i.config(diffID)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(config)
	configName, layerName := hex.EncodeToString(sum[:])+".json", diffID+"/layer.tar"
	manifest, err := json.Marshal([]any{map[string]any{
		"Config":   configName,
		"RepoTags": []string{i.name},
		"Layers":   []string{layerName},
	}})
	if err != nil {
		return err
	}
	archive := tar.NewWriter(out)
	for _, entry := range []struct {
		name    string
		content io.Reader
		size    int64
	}{
		{configName, bytes.NewReader(config), int64(len(config))},
		{layerName, file, size},
		{"manifest.json", bytes.NewReader(manifest), int64(len(manifest))},
	} {
		if err := archive.WriteHeader(&tar.Header{Name: entry.name, Mode: 0o644, Size: entry.size}); err != nil {
			return err
		}
		if _, err := io.Copy(archive, entry.content); err != nil {
			return err
		}
	}
	return archive.Close()
}

// config returns the image's configuration.
func (i *image) config(diffID string) ([]byte, error) {
	environment := append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/"}, i.environment...)
	return json.Marshal(map[string]any{
		"architecture": i.architecture,
		"os":           "linux",
		"config": map[string]any{
			"Entrypoint": i.entrypoint,
			"Env":        environment,
			"User":       i.user,
			"WorkingDir": "/",
		},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + diffID}},
	})
}

// writeLayer packs the sources, and an empty /tmp.
func (i *image) writeLayer(out io.Writer) error {
	l := layer{tar: tar.NewWriter(out), made: map[string]bool{"/": true}}
	for _, s := range i.sources {
		if err := l.addTree(s); err != nil {
			return fmt.Errorf("pack %s: %w", s.from, err)
		}
	}
	if err := l.mkdir("/tmp", 0o1777); err != nil {
		return err
	}
	return l.tar.Close()
}

// layer is a layer that is being written.
type layer struct {
	tar *tar.Writer
	// made are the folders that are there.
	made map[string]bool
}

// mkdir makes a folder, and those above it, unless they are there.
func (l *layer) mkdir(dir string, mode int64) error {
	if l.made[dir] {
		return nil
	}
	if err := l.mkdir(path.Dir(dir), 0o755); err != nil {
		return err
	}
	l.made[dir] = true
	return l.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir[1:] + "/", Mode: mode})
}

// addTree adds a file or a folder. A symbolic link is followed if it is the source, and kept below it.
func (l *layer) addTree(s source) error {
	from, err := filepath.EvalSymlinks(s.from)
	if err != nil {
		return err
	}
	return filepath.WalkDir(from, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return l.add(path.Join(s.to, filepath.ToSlash(relative)), name, info)
	})
}

// add adds one file, folder or symbolic link.
func (l *layer) add(to, from string, info fs.FileInfo) error {
	if info.IsDir() {
		return l.mkdir(to, tarMode(info.Mode()))
	}
	if err := l.mkdir(path.Dir(to), 0o755); err != nil {
		return err
	}
	switch {
	case info.Mode().Type() == fs.ModeSymlink:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return l.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: to[1:], Linkname: target, Mode: 0o777})
	case info.Mode().IsRegular():
		if err := l.tar.WriteHeader(&tar.Header{Name: to[1:], Mode: tarMode(info.Mode()), Size: info.Size()}); err != nil {
			return err
		}
		file, err := os.Open(from)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		_, err = io.Copy(l.tar, file)
		return err
	default:
		return fmt.Errorf("%s is neither a file nor a folder nor a symbolic link", from)
	}
}

// tarMode returns the permissions as a tar header has them.
func tarMode(mode fs.FileMode) int64 {
	bits := int64(mode.Perm())
	for flag, bit := range map[fs.FileMode]int64{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if mode&flag != 0 {
			bits |= bit
		}
	}
	return bits
}
