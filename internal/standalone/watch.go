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
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/dynamic-mcp/dynamic-mcp/internal/manifests"
)

const (
	// settle is how long files must have been quiet before they are read: editors and tools write in several steps.
	settle = 100 * time.Millisecond
	// settleAtMost is how long that can take while files change all the time.
	settleAtMost = time.Second
	// pollEvery is the time between two looks at files that can't be watched.
	pollEvery = 2 * time.Second
)

// watcher says when files may have changed.
type watcher struct {
	// changes has a value when they may have.
	changes chan struct{}

	log     *slog.Logger
	events  *fsnotify.Watcher // Nil if there is no watching on this machine.
	ending  chan struct{}
	running sync.WaitGroup

	mu sync.Mutex
	// places are what is watched.
	places places
	// polling is set while something can't be watched.
	polling bool
}

// places are where changes can come from.
type places struct {
	// directories whose entries are watched.
	directories map[string]bool
	// names of entries that matter: links on the way to a file, the file itself, or what is missing on the way.
	names map[string]bool
	// sources are directories of which every manifest matters.
	sources map[string]bool
}

func newPlaces() places {
	return places{map[string]bool{}, map[string]bool{}, map[string]bool{}}
}

// newWatcher returns a watcher of nothing yet.
func newWatcher(log *slog.Logger) *watcher {
	w := &watcher{changes: make(chan struct{}, 1), log: log, ending: make(chan struct{}), places: newPlaces()}
	events, err := fsnotify.NewWatcher()
	if err != nil {
		w.poll(err)
	} else {
		w.events = events
	}
	w.running.Go(w.run)
	return w
}

func (w *watcher) close() {
	close(w.ending)
	w.running.Wait()
	if w.events != nil {
		_ = w.events.Close()
	}
}

// poll falls back to looking at the files now and then.
func (w *watcher) poll(reason error) {
	if !w.polling {
		w.polling = true
		w.log.Warn("Files can't be watched; looking at them every two seconds instead", "error", reason)
	}
}

// watch watches what the paths lead to now, instead of what it watched before. It returns whether anything is watched
// that was not before, so that what happened to it before must be looked for.
func (w *watcher) watch(paths []string, recursive bool) (added bool) {
	next := newPlaces()
	for _, path := range paths {
		next.add(path, recursive)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.events == nil {
		return false
	}
	var unwatched error
	for directory := range next.directories {
		// Adding again what is watched does no harm, and is needed for a directory that was replaced by another one.
		if err := w.events.Add(directory); err != nil {
			unwatched = err
			continue
		}
		added = added || !w.places.directories[directory]
	}
	for directory := range w.places.directories {
		if !next.directories[directory] {
			_ = w.events.Remove(directory) // It may be gone.
		}
	}
	w.places = next
	if unwatched == nil {
		w.polling = false
	} else {
		w.poll(unwatched)
	}
	return added
}

// run tells of changes once the files have settled.
func (w *watcher) run() {
	var events chan fsnotify.Event
	var errs chan error
	if w.events != nil {
		events, errs = w.events.Events, w.events.Errors
	}
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	var settled <-chan time.Time
	var since time.Time
	for {
		select {
		case <-w.ending:
			return
		case event := <-events:
			if !w.matters(event) {
				continue
			}
		case err := <-errs:
			// Events may have been lost.
			w.log.Debug("Watching files failed", "error", err)
		case <-poll.C:
			if !w.isPolling() {
				continue
			}
		case <-settled:
			settled, since = nil, time.Time{}
			select {
			case w.changes <- struct{}{}:
			default: // It is known already.
			}
			continue
		}
		if since.IsZero() {
			since = time.Now()
		}
		settled = time.After(min(settle, max(0, settleAtMost-time.Since(since))))
	}
}

func (w *watcher) isPolling() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.polling
}

// matters is whether an event can be about something that is read.
func (w *watcher) matters(event fsnotify.Event) bool {
	if event.Op == fsnotify.Chmod {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	name := filepath.Clean(event.Name)
	base := filepath.Base(name)
	switch {
	case w.places.names[name], w.places.directories[name]:
		return true
	case !w.places.sources[filepath.Dir(name)] || strings.HasPrefix(base, "."):
		return false
	}
	// A name without extension may be a directory.
	return manifests.IsManifestName(base) || filepath.Ext(base) == ""
}

// add adds the places that a path depends on.
func (p places) add(path string, recursive bool) {
	end, found := p.follow(path)
	if !found {
		return
	}
	if info, err := os.Stat(end); err == nil && info.IsDir() {
		p.addDirectory(end, recursive)
	}
}

// addDirectory adds a directory of manifests.
func (p places) addDirectory(directory string, recursive bool) {
	if p.sources[directory] {
		return
	}
	p.directories[directory], p.sources[directory] = true, true
	entries, err := os.ReadDir(directory)
	if err != nil {
		return
	}
	for _, entry := range entries {
		child := filepath.Join(directory, entry.Name())
		switch {
		case strings.HasPrefix(entry.Name(), "."):
		case entry.Type()&os.ModeSymlink != 0 && (recursive || manifests.IsManifestName(entry.Name())):
			p.add(child, recursive)
		case entry.IsDir() && recursive:
			p.addDirectory(child, recursive)
		}
	}
}

// maxLinks bounds the links on one path, because they can lead in a circle.
const maxLinks = 40

// follow walks a path from the root, name by name, through all links, and adds each place where a change would lead it
// elsewhere. It returns where the path ends, and false if it leads nowhere: then the last directory that is there is
// watched for what is missing.
func (p places) follow(path string) (end string, found bool) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", false
	}
	current, rest := root(absolute)
	for links := 0; len(rest) > 0; {
		next := filepath.Join(current, rest[0])
		rest = rest[1:]
		info, err := os.Lstat(next)
		if err != nil {
			p.directories[current], p.names[next] = true, true
			return next, false
		}
		if info.Mode()&os.ModeSymlink == 0 {
			current = next
			continue
		}
		p.directories[current], p.names[next] = true, true
		target, err := os.Readlink(next)
		if links++; err != nil || links > maxLinks {
			return next, false
		}
		if filepath.IsAbs(target) {
			var parts []string
			current, parts = root(target)
			rest = append(parts, rest...)
			continue
		}
		rest = append(strings.Split(filepath.Clean(target), string(filepath.Separator)), rest...)
	}
	p.directories[filepath.Dir(current)], p.names[current] = true, true
	return current, true
}

// root splits an absolute path into its root and the names below.
func root(path string) (string, []string) {
	volume := filepath.VolumeName(path)
	below := strings.Trim(path[len(volume):], string(filepath.Separator))
	top := volume + string(filepath.Separator)
	if below == "" {
		return top, nil
	}
	return top, strings.Split(below, string(filepath.Separator))
}
