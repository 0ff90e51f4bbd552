#!/usr/bin/env bash
# Puts an image into the cluster's containerd, where pods find it under its name as if it had been pulled
# (imagePullPolicy: IfNotPresent or Never):
#
#   load-image.sh [-u UID[:GID]] NAME[:TAG] BINARY [FILE[:DEST]...]
#   load-image.sh [NAME[:TAG]] ARCHIVE.tar
#
# The first form packs a static Linux binary: it becomes the entrypoint, as /BINARY; files go into the image's root
# folder, or to DEST. -u sets the image's user (root if absent), for pods that say runAsNonRoot. The second form takes
# an OCI or "docker save" archive, and adds NAME to the names that it brings along.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

user=
while getopts u: option; do
  case $option in
    u) user=$OPTARG ;;
    *) die "usage: see the head of $0" ;;
  esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || die "usage: see the head of $0"
need_root
alive containerd || die "no cluster in $CLUSTER_DIR: run up.sh first"

is_binary() { [ "$(head -c4 "$1" | tail -c3)" = ELF ]; }
import() {
  ctr -a "$sock" -n k8s.io images import "$@" || die "${*: -1} is neither a Linux binary nor an image archive"
}

if [ $# = 1 ]; then
  [ -f "$1" ] || die "no such archive: $1"
  import "$1"
  exit
fi

name=$1 file=$2
[ -f "$file" ] || die "no such file: $file"
# Spelled out in full, as the kubelet will ask for it: with a registry, and a tag.
[[ ${name##*/} == *:* ]] || name=$name:latest
case ${name%%/*} in
  "$name") name=docker.io/library/$name ;; # no slash at all
  *.* | *:* | localhost) ;;
  *) name=docker.io/$name ;;
esac
if is_binary "$file"; then
  shift 2
  archive=$(mktemp "$CLUSTER_DIR/image.XXXXXX")
  trap 'rm -f "$archive"' EXIT
  "$bin/mkimage" -user "$user" "$name" "$file" "$@" >"$archive"
  import "$archive"
else
  [ $# = 2 ] || die "extra files go with a binary, and $file is not one"
  import --index-name "$name" "$file"
fi
