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
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
)

// maxKeyFile is far more than a key ring needs.
const maxKeyFile = 64 << 10

// keyFile is the file with the keys that seal sessions. Processes that share it serve each other's sessions, and sessions
// outlive a restart.
type keyFile struct {
	path string
	log  *slog.Logger
	// ring is what is used; content is what it was read from.
	ring    *session.KeyRing
	content []byte
	// problem is what was wrong at the last reload, so that it is told once.
	problem string
}

// load reads the keys for the first time. Without a file they are made up, and a file that is not there is made.
func (k *keyFile) load() error {
	if k.path == "" {
		ring, err := session.NewKeyRing()
		if err != nil {
			return fmt.Errorf("make session keys: %w", err)
		}
		k.ring = ring
		return nil
	}
	err := k.read()
	if errors.Is(err, fs.ErrNotExist) {
		if err = k.create(); err == nil {
			err = k.read()
		}
	}
	if err != nil {
		return fmt.Errorf("--session-key-file: %w", err)
	}
	if info, err := os.Stat(k.path); err == nil && info.Mode().Perm()&0o077 != 0 {
		k.log.Warn("Others than its owner may read the file with the session keys; whoever has them can take over sessions",
			"file", k.path, "mode", info.Mode().Perm().String())
	}
	return nil
}

// read reads the keys from the file.
func (k *keyFile) read() error {
	file, err := os.Open(k.path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	if err != nil {
		return err
	}
	ring, err := session.ParseKeyRing(content)
	if err != nil {
		return fmt.Errorf("%s: %w", k.path, err)
	}
	k.ring, k.content = ring, content
	return nil
}

// create makes the file with fresh keys, whole at once, and never over one that somebody else has just made.
func (k *keyFile) create() error {
	ring, err := session.NewKeyRing()
	if err != nil {
		return err
	}
	content, err := ring.Marshal()
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(k.path), "."+filepath.Base(k.path)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	_, err = temporary.Write(content)
	if err := errors.Join(err, temporary.Close()); err != nil {
		return err
	}
	if err := os.Link(temporary.Name(), k.path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	k.log.Info("Session keys are in a new file", "file", k.path)
	return nil
}

// reload reads the keys again, and returns whether they have changed. With a file that can't be read the keys stay.
func (k *keyFile) reload() bool {
	if k.path == "" {
		return false
	}
	before := k.content
	if err := k.read(); err != nil {
		if problem := err.Error(); problem != k.problem {
			k.problem = problem
			k.log.Error("The session keys can't be read; those before stay", "error", err)
		}
		return false
	}
	k.problem = ""
	return !bytes.Equal(before, k.content)
}
