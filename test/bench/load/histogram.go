//go:build linux

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

package load

import (
	"math"
	"math/bits"
	"time"
)

// Histogram is log-linear: 128 buckets for each power of two, so that a quantile is at most 0.8 % off. It never grows.
type Histogram struct {
	counts [58 * buckets]uint32
	n      uint64
	sum    time.Duration
	max    time.Duration
}

const buckets = 128

func bucketOf(v uint64) int {
	if v < buckets {
		return int(v)
	}
	shift := bits.Len64(v) - 8
	return (shift+1)*buckets + int(v>>shift) - buckets
}

// largestIn returns the largest value that falls into a bucket.
func largestIn(bucket int) uint64 {
	if bucket < buckets {
		return uint64(bucket)
	}
	shift := bucket/buckets - 1
	return uint64(bucket%buckets+buckets+1)<<shift - 1
}

// Add counts a value; a negative one as zero.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(uint64(d))]++
	h.n++
	h.sum += d
	h.max = max(h.max, d)
}

// Max returns the largest value, exactly.
func (h *Histogram) Max() time.Duration { return h.max }

// Quantile returns the smallest value that at least a share q of all values do not exceed.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	want := max(uint64(math.Ceil(q*float64(h.n))), 1)
	var seen uint64
	for i, c := range h.counts {
		if seen += uint64(c); seen >= want {
			return min(time.Duration(largestIn(i)), h.max)
		}
	}
	return h.max
}

// Mean returns the mean, exactly.
func (h *Histogram) Mean() time.Duration {
	if h.n == 0 {
		return 0
	}
	return h.sum / time.Duration(h.n)
}
