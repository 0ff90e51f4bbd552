#!/usr/bin/env bash
# Prints the folder with kube-apiserver, etcd and kubectl for envtest (KUBEBUILDER_ASSETS), and gets them first if need
# be. In this order:
#
#   1. $KUBEBUILDER_ASSETS, if it is set and complete;
#   2. what an earlier run built;
#   3. setup-envtest's download;
#   4. a build from their Go modules (hack/cluster/build.sh), once, into the user's cache.
#
# Standard output has only the folder; progress goes to standard error. Runs at the same time share one download or
# build.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
setup_envtest_version=v0.25.1
programs=(kube-apiserver etcd kubectl)

# Defines here, cache, bin, k8s_version, log, die and with_heartbeat.
# shellcheck source=../cluster/lib.sh
. "$repo/hack/cluster/lib.sh"

state=${XDG_CACHE_HOME:-$HOME/.cache}/dynamic-mcp/envtest
unreachable=$state/unreachable # its time says when a download last failed
retry_after_minutes=1440

complete() { # FOLDER: are all programs there?
  local name
  for name in "${programs[@]}"; do
    [ -x "$1/$name" ] || return 1
  done
}

# built: is there a build of exactly these versions? The stamps are build.sh's.
built() {
  local name module
  complete "$bin" || return 1
  for name in "${programs[@]}"; do
    module=kubernetes
    [ "$name" != etcd ] || module=etcd
    [ "$(cat "$cache/$name.stamp" 2>/dev/null)" = "$(cat "$here/go/$module"/* | sha256sum)" ] || return 1
  done
}

# download: prints the folder that setup-envtest downloaded to. A machine that can't reach the download says so within
# half a minute, once a day.
download() {
  local tool=$state/setup-envtest-$setup_envtest_version wanted=${k8s_version#v} folder
  wanted=${wanted%.*}.x
  if [ -n "$(find "$unreachable" -mmin "-$retry_after_minutes" 2>/dev/null)" ]; then
    return 1
  fi
  if [ ! -x "$tool" ]; then
    log "setup-envtest $setup_envtest_version: building"
    GOWORK=off GOFLAGS='' GOBIN=$state/.build go install \
      "sigs.k8s.io/controller-runtime/tools/setup-envtest@$setup_envtest_version" >&2 || return 1
    mv "$state/.build/setup-envtest" "$tool"
  fi
  log "envtest $wanted: asking for a download"
  # The list is small: it tells quickly whether the download can be reached at all.
  if timeout 30 "$tool" --bin-dir "$state" list "$wanted" >/dev/null 2>"$state/log" &&
    folder=$(with_heartbeat "downloading envtest" timeout 900 "$tool" --bin-dir "$state" -p path use "$wanted" \
      2>"$state/log") && complete "$folder"; then
    rm -f "$unreachable"
    echo "$folder"
    return
  fi
  log "envtest $wanted: no download ($(tail -n 1 "$state/log" | cut -c -160))"
  touch "$unreachable"
  return 1
}

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  if complete "$KUBEBUILDER_ASSETS"; then
    echo "$KUBEBUILDER_ASSETS"
    exit
  fi
  log "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS has not all of: ${programs[*]}; ignored"
fi

if built; then
  echo "$bin"
  exit
fi
command -v go >/dev/null || die "needs Go, or KUBEBUILDER_ASSETS set to a folder with ${programs[*]}"

mkdir -p "$state"
exec {lock}>"$state/lock"
if ! flock -n "$lock"; then
  with_heartbeat "waiting for another run that gets the same" flock "$lock"
fi

if built; then
  echo "$bin"
elif ! download; then
  log "Kubernetes $k8s_version for tests: building from Go modules into $bin"
  log "once per version; 2 cores with empty Go caches need about 7 minutes"
  # The lock is this script's: a build left behind by a kill must not hold it.
  with_heartbeat "compiling" "$repo/hack/cluster/build.sh" envtest {lock}>&-
fi
