#!/usr/bin/env bash
# Can the cluster run on this machine? Installs the Debian packages that are missing, and tries what the node needs of the
# kernel, without a trace. Exits with
#
#   0    yes
#   1    no, but that can be helped: a package can't be installed, say
#   2    no: the kernel, or what this user may do, makes it impossible
#
# and says why not on standard error.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

impossible() {
  log "hack/cluster can't run here: $*"
  exit 2
}

[ "$(uname -s)" = Linux ] || impossible "it needs Linux"
[ "$(id -u)" = 0 ] || impossible "it needs root"
for program in dpkg-query apt-get; do
  command -v $program >/dev/null || die "needs Debian's packages, and there is no $program"
done
unshare --mount --uts --ipc --net --pid --fork true 2>/dev/null || impossible "root may not make namespaces (a container without privileges?)"

missing=()
for package in containerd runc containernetworking-plugins nftables iproute2 openssl; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  log "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get -qq update && apt-get -qq install -y --no-install-recommends "${missing[@]}"; } >/dev/null ||
    die "cannot install the Debian packages ${missing[*]}"
fi

# Pods' file systems. The folder is on the file system of CLUSTER_DIR.
mkdir -p "${CLUSTER_DIR%/*}"
work=$(mktemp -d "${CLUSTER_DIR%/*}/.cluster-check.XXXXXX")
cgroups=()
clean() {
  rmdir "${cgroups[@]}" 2>/dev/null || true
  rm -rf "$work"
}
trap clean EXIT
mkdir "$work"/{lower,upper,work,merged}
# shellcheck disable=SC2016 # for the other shell
unshare --mount sh -c 'cd "$1" && mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged' sh "$work" 2>/dev/null ||
  impossible "no overlayfs on the file system of ${CLUSTER_DIR%/*}; another CLUSTER_DIR may be on one that can"

# Pods' networks and Services.
unshare --net sh -c 'ip link add bridge0 type bridge && ip link add pod0 type veth peer name pod1' 2>/dev/null ||
  impossible "root may not make network bridges, or the kernel has none"
unshare --net nft 'add table ip t; add chain ip t c { type nat hook postrouting priority srcnat; }; add rule ip t c masquerade' 2>/dev/null ||
  impossible "the kernel lacks nftables with address translation"
[ -e /proc/sys/net/bridge ] || modprobe br_netfilter 2>/dev/null ||
  impossible "the kernel lacks br_netfilter: a pod could not reach itself or its neighbours through a Service"
forward=$(cat /proc/sys/net/ipv4/ip_forward)
echo "$forward" 2>/dev/null >/proc/sys/net/ipv4/ip_forward || impossible "root may not change kernel settings"

# Pods' cgroups, of version 2 or 1.
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  controllers=$(cat /sys/fs/cgroup/cgroup.controllers)
  for controller in cpu memory pids; do
    [[ " $controllers " == *" $controller "* ]] || impossible "there is no cgroup controller $controller"
  done
  hierarchies=(/sys/fs/cgroup)
else
  hierarchies=(/sys/fs/cgroup/{cpu,memory,pids})
fi
for hierarchy in "${hierarchies[@]}"; do
  mkdir "$hierarchy/dynamic-mcp-check.$$" 2>/dev/null || impossible "root may not make cgroups in $hierarchy"
  cgroups+=("$hierarchy/dynamic-mcp-check.$$")
done
