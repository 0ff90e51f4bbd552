#!/usr/bin/env bash
# Takes the cluster away, with all that was in it, and checks that no process, mount, network namespace, link, nftables
# table or cgroup of it stays behind. Nothing here needs a working cluster: it also clears up after a failed up.sh.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

need_root
if [ ! -e "$CLUSTER_DIR" ]; then
  log "no cluster in $CLUSTER_DIR"
  exit
fi
[ -e "$CLUSTER_DIR/.cluster" ] || die "$CLUSTER_DIR is not a cluster's: nothing done"
lock

left=()
until_gone() { # WHAT COMMAND...: waits while the command still prints something
  local what=$1 rest
  shift
  for _ in {1..50}; do
    rest=$("$@") || true
    [ -n "$rest" ] || return 0
    sleep 0.1
  done
  left+=("$what: ${rest//$'\n'/ }")
}

### Processes. All state goes away with them, so none gets the time to say goodbye.

daemons() {
  local file
  for file in "$CLUSTER_DIR"/pid/*; do
    alive "${file##*/}" && cut -d' ' -f1 "$file"
  done
}
for pid in $(daemons); do kill -9 "$pid" || true; done
until_gone "daemon processes" daemons

# containerd's shims record no pid. They are the processes whose command line names our socket; all processes of the
# pods are below them.
shims() {
  local proc args i
  for proc in /proc/[0-9]*; do
    mapfile -t -d '' args 2>/dev/null <"$proc/cmdline" || continue
    [[ ${args[0]-} == *containerd-shim* ]] || continue
    for i in "${!args[@]}"; do
      [ "${args[i]}" != -address ] || [ "${args[i + 1]-}" != "$sock" ] || echo "${proc#/proc/}"
    done
  done
}
descendants() {
  local child
  # shellcheck disable=SC2013 # words are wanted
  for child in $(cat "/proc/$1/task/"*/children 2>/dev/null); do
    descendants "$child"
    [ -z "$(start_time "$child")" ] || echo "$child"
  done
}
for _ in {1..50}; do # again, for one that was just being started
  found=$(shims)
  [ -n "$found" ] || break
  for shim in $found; do
    # Stopped, it starts nothing new while its pods are taken from below it.
    kill -STOP "$shim" 2>/dev/null || continue
    for _ in {1..50}; do
      pids=$(descendants "$shim")
      [ -n "$pids" ] || break
      # shellcheck disable=SC2086 # one pid a word
      kill -9 $pids 2>/dev/null || true
      sleep 0.05
    done
    kill -9 "$shim" 2>/dev/null || true
  done
  sleep 0.1
done
until_gone "shim processes" shims

### Mounts (the pods' network namespaces are among them), links, nftables, cgroups

mounts() { awk -v dir="$CLUSTER_DIR/" 'index($5, dir) == 1 { print $5 }' /proc/self/mountinfo | sort -r; }
unmount() {
  mounts | while read -r mount; do umount "$mount" 2>/dev/null || true; done
  mounts
}
until_gone mounts unmount

veths() { ip -o link show master cni0 2>/dev/null; }
until_gone "pods' network interfaces" veths # the kernel takes a namespace apart in its own time
ip link delete cni0 2>/dev/null || true

for table in "ip dynamic-mcp-cluster" "ip kube-proxy" "ip6 kube-proxy"; do
  # shellcheck disable=SC2086 # family and name
  nft delete table $table 2>/dev/null || true
done

cgroups() { # of version 2 and 1, deepest first
  find /sys/fs/cgroup/kubepods /sys/fs/cgroup/*/kubepods -depth -type d 2>/dev/null || true
}
remove_cgroups() {
  cgroups | while read -r dir; do rmdir "$dir" 2>/dev/null || true; done
  cgroups
}
until_gone cgroups remove_cgroups

### Files. A few have fixed places outside of CLUSTER_DIR.

grep -slF "$CLUSTER_DIR/" /var/lib/cni/results/* | xargs -r rm -f || true
for socket in /run/containerd/s/*; do # the shims'; one on which nobody listens is of no use to anybody
  grep -qF " $socket" /proc/net/unix || rm -f "$socket"
done
find /var/log/containers -type l -lname "$CLUSTER_DIR/*" -delete 2>/dev/null || true
rm -f /var/lib/kubelet/device-plugins/kubelet.sock
for dir in /var/log/containers /var/lib/kubelet/device-plugins /var/lib/kubelet \
  /var/lib/cni/results /var/lib/cni /run/containerd/s /run/containerd; do
  rmdir "$dir" 2>/dev/null || true # only an empty one
done

if [ -e "$CLUSTER_DIR/sysctl.saved" ]; then
  while read -r key value; do
    [ "$(cat "/proc/sys/$key")" = "$value" ] || echo "$value" >"/proc/sys/$key"
  done <"$CLUSTER_DIR/sysctl.saved"
fi

ip -o link show cni0 >/dev/null 2>&1 && left+=("link cni0")
tables=$(nft list tables | grep -E 'dynamic-mcp-cluster|kube-proxy' || true)
[ -z "$tables" ] || left+=("nftables: $tables")
if [ ${#left[@]} -gt 0 ]; then
  for item in "${left[@]}"; do log "still there: $item"; done
  die "$CLUSTER_DIR is kept; run again"
fi
rm -rf --one-file-system "$CLUSTER_DIR"
log "gone: $CLUSTER_DIR"
