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

package proxy

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestUntilLeft(t *testing.T) {
	errWatch := errors.New("watch")
	for name, test := range map[string]struct {
		delay    time.Duration
		endAfter time.Duration // when run returns by itself; 0: when its context ends
		took     time.Duration
		left     bool
		err      error
	}{
		"at once":                     {took: time.Minute},
		"after the delay":             {delay: 10 * time.Second, took: 70 * time.Second, left: true},
		"an error before the end":     {delay: 10 * time.Second, endAfter: time.Second, took: time.Second, err: errWatch},
		"an error in the delay":       {delay: 10 * time.Second, endAfter: 65 * time.Second, took: 65 * time.Second, left: true, err: errWatch},
		"an error, and without delay": {endAfter: time.Second, took: time.Second, err: errWatch},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				begun, left := time.Now(), false
				err := untilLeft(ctx, test.delay, func() { left = true }, func(ctx context.Context) error {
					if test.endAfter == 0 {
						<-ctx.Done()
						return nil
					}
					time.Sleep(test.endAfter)
					return errWatch
				})
				if took := time.Since(begun); took != test.took || left != test.left || !errors.Is(err, test.err) {
					t.Errorf("took %s, left %t, %v", took, left, err)
				}
			})
		})
	}
}
