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
	"context"
	"time"

	"github.com/go-logr/logr"
)

const (
	// awaitLimit is how long the manager waits for the API server at its start. The kubelet's probes should not end it
	// before.
	awaitLimit = time.Minute
	awaitPause = time.Second
)

// await calls check until it succeeds, the limit has passed, or ctx ends, and returns its last error. In a pod the manager
// waits for an API server that is away: it starts there when it has lost its lease because of that, and each time that it
// ended at once, the kubelet would take longer to start it again.
func await(ctx context.Context, limit time.Duration, log logr.Logger, check func() error) error {
	for deadline := time.Now().Add(limit); ; {
		err := check()
		if err == nil || ctx.Err() != nil || !time.Now().Add(awaitPause).Before(deadline) {
			return err
		}
		log.Info("The API server does not answer yet, asking again", "error", err.Error())
		select {
		case <-ctx.Done():
		case <-time.After(awaitPause):
		}
	}
}
