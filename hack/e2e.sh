#!/usr/bin/env bash
# Runs the end-to-end tests in pods (test/e2e/pods) on a real cluster. Called by `make test-e2e`. The cluster is, in this
# order:
#
#   1. that of $KUBECONFIG, if $IMAGE_LOAD_COMMAND says how to give it images: the command gets the path of an archive as
#      its last argument ("minikube image load", "k3d image import -c test"); with E2E_LOAD_BALANCER=yes if Services of type
#      LoadBalancer get addresses that answer on this machine;
#   2. kind, where Docker runs and CLUSTER is not hack;
#   3. hack/cluster, where CLUSTER is not kind.
#
# A cluster that this script started is removed at the end, unless KEEP=yes. Arguments go to go test. At the end there is a
# table of the stories, which is in bin/e2e/stories.md too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
repo=$PWD

: "${BIN:?is set by make test-e2e}" "${KIND:?is set by make test-e2e}" "${KUSTOMIZE:?is set by make test-e2e}"
: "${HELM:?is set by make test-e2e}"
kind_cluster=dynamic-mcp-e2e
lb_range=10.97.0.0/16

log() { echo ">> $*" >&2; }
die() {
  echo "${0##*/}: $*" >&2
  exit 1
}

ends=()
at_end() {
  local end
  for end in "${ends[@]}"; do $end || true; done
}
trap at_end EXIT

# {turn} is open while this script has its turn: see use_hack_cluster.
exec {turn}</dev/null

# run COMMAND…: a process group of its own, which a signal reaches at once. bash would heed it only when the command has
# ended, and from `make` or a CI system it often reaches this script alone.
job=
run() {
  local status=0
  set -m
  "$@" {turn}<&- & # what outlives this script does not keep the others waiting
  job=$!
  set +m
  wait "$job" || status=$?
  job=
  return "$status"
}
interrupted() {
  trap '' INT TERM
  if [ -n "$job" ]; then
    log "interrupted: waiting for what runs to end, and cleaning up"
    kill -INT -- "-$job" 2>/dev/null || true
    wait "$job" || true
  fi
  exit 130
}
trap interrupted INT TERM
unless_kept() { [ "${KEEP:-}" = yes ] || ends+=("$1"); }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

use_kind() {
  make "$KIND"
  if ! "$KIND" get clusters 2>/dev/null | grep -qx $kind_cluster; then
    unless_kept delete_kind
    run "$KIND" create cluster --name $kind_cluster --wait 120s --kubeconfig "$BIN/e2e.kubeconfig" >&2
  else
    "$KIND" export kubeconfig --name $kind_cluster --kubeconfig "$BIN/e2e.kubeconfig" >&2
  fi
  export KUBECONFIG=$BIN/e2e.kubeconfig
  local manifest=/etc/kubernetes/manifests/kube-apiserver.yaml node=$kind_cluster-control-plane
  export E2E_STOP_APISERVER="docker exec $node mv $manifest /etc/kubernetes/"
  export E2E_START_APISERVER="docker exec $node mv /etc/kubernetes/kube-apiserver.yaml $manifest"
  load() { "$KIND" load image-archive --name $kind_cluster "$1" >&2; }
  start_lb "$(docker inspect -f '{{.NetworkSettings.Networks.kind.IPAddress}}' $node)"
}
delete_kind() { "$KIND" delete cluster --name $kind_cluster >&2; }

# start_lb NODE: kind has no load balancer. That of hack/cluster gives Services addresses, and a route to the node makes
# them answer on this machine. Without the rights for it, the stories that need an address are skipped.
start_lb() {
  as_root ip route replace $lb_range via "$1" 2>/dev/null || {
    log "no route to the node: Services of type LoadBalancer get no address"
    return
  }
  ends+=(stop_lb)
  CGO_ENABLED=0 hack/go-build.sh -trimpath -o "$BIN/lb" ./hack/cluster/lb
  "$BIN/lb" -kubeconfig "$KUBECONFIG" -range $lb_range >"$BIN/lb.log" 2>&1 &
  lb_pid=$!
  export E2E_LOAD_BALANCER=yes
}
stop_lb() {
  kill "$lb_pid"
  as_root ip route del $lb_range
}

use_hack_cluster() {
  hack/cluster/check.sh || die "needs Docker, for kind; or root on Debian, for hack/cluster; or KUBECONFIG and IMAGE_LOAD_COMMAND"
  # There can be one such cluster on a machine, so runs take turns.
  local folder=${XDG_CACHE_HOME:-$HOME/.cache}/dynamic-mcp/cluster
  mkdir -p "$folder"
  exec {turn}<"$folder"
  flock -n "$turn" || {
    log "waiting for another run to end"
    flock "$turn"
  }
  if [ -e "${CLUSTER_DIR:-/var/tmp/dynamic-mcp-cluster}" ]; then
    log "the cluster is there already, and stays"
  else
    unless_kept "$repo/hack/cluster/down.sh"
  fi
  run hack/cluster/up.sh >"$BIN/e2e.up"
  KUBECONFIG=$(cat "$BIN/e2e.up")
  KUBECTL=$(hack/cluster/build.sh kubectl 2>/dev/null)/kubectl
  export KUBECONFIG KUBECTL
  export E2E_LOAD_BALANCER=yes
  export E2E_STOP_APISERVER="$repo/hack/cluster/stop.sh apiserver" E2E_START_APISERVER="$repo/hack/cluster/up.sh"
  load() { hack/cluster/load-image.sh "$1" >&2; }
}

docker_runs() { command -v docker >/dev/null && docker info >/dev/null 2>&1; }

begin=$SECONDS
if [ -n "${IMAGE_LOAD_COMMAND:-}" ]; then
  : "${KUBECONFIG:?must be set with IMAGE_LOAD_COMMAND}"
  load() { $IMAGE_LOAD_COMMAND "$1" >&2; }
  log "cluster: that of KUBECONFIG=$KUBECONFIG"
elif [ "${CLUSTER:-kind}" = kind ] && docker_runs; then
  log "cluster: kind"
  use_kind
elif [ "${CLUSTER:-hack}" = hack ]; then
  log "cluster: hack/cluster"
  use_hack_cluster
else
  die "CLUSTER=${CLUSTER}: Docker does not run, or it is neither kind nor hack"
fi
"${KUBECTL:=kubectl}" version >/dev/null || die "no answer from the cluster"
export KUBECTL
log "cluster: up after $((SECONDS - begin)) s"

arch=$("$KUBECTL" get nodes -o jsonpath='{.items[0].status.nodeInfo.architecture}')
run make image ARCHS="$arch" IMG=dynamic-mcp:dev
load "$BIN/image-$arch.tar"
run test/node/image/build.sh >"$BIN/e2e.server"
load "$(cat "$BIN/e2e.server")"
log "images: loaded after $((SECONDS - begin)) s"

export E2E_KUBECONFIG=$KUBECONFIG
log "stories: compiling"
run go test -v -count=1 -timeout "${TEST_TIMEOUT:-40m}" ./test/e2e/pods "$@"
log "make test-e2e: $((SECONDS - begin)) s"
