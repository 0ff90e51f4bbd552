#!/usr/bin/env bash
# Builds the project's image without Docker and without any registry: with ko, on a base that is empty. Called by
# `make image` and `make sbom`:
#
#   image.sh NAME:TAG OUT ARCH…
#
# For each architecture, OUT gets image-ARCH.tar, an archive as "docker save" makes it, and sbom-ARCH.spdx.json, the list
# of all modules in the binary.
set -euo pipefail
[ $# -ge 3 ] || {
  echo "usage: image.sh NAME:TAG OUT ARCH…" >&2
  exit 1
}
name=$1 out=$(realpath -m "$2")
shift 2
cd "$(dirname "${BASH_SOURCE[0]}")/.."
KOCACHE=$out/.ko
. hack/ko.sh

for arch; do
  echo ">> building $out/image-$arch.tar ($name)" >&2
  ko_build "${name%:*}" "${name##*:}" --push=false --platform "linux/$arch" --tarball "$out/image-$arch.tar"
  mv "$KOCACHE/cmd-linux-$arch.spdx.json" "$out/sbom-$arch.spdx.json"
done
