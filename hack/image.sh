#!/usr/bin/env bash
# Builds the project's image without Docker and without any registry: with ko, on a base that is empty. Called by
# `make image` and `make sbom`:
#
#   image.sh NAME:TAG OUT ARCH…
#
# For each architecture, OUT gets image-ARCH.tar, an archive as "docker save" makes it, and sbom-ARCH.spdx.json, the list
# of all modules in the binary.
set -euo pipefail
: "${KO:?is set by make image}" "${VERSION?is set by make image}"
[ $# -ge 3 ] || {
  echo "usage: image.sh NAME:TAG OUT ARCH…" >&2
  exit 1
}
name=$1 out=$(realpath -m "$2")
shift 2
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# ko takes base images that it has in its cache from there, by digest, and asks no registry. The cache is an OCI image
# layout; this one has an image without any files, for both architectures.
export KOCACHE=$out/.ko
layout=$KOCACHE/img
blob() { # MEDIA-TYPE CONTENT [FIELDS]: stores a blob and prints its descriptor
  local digest
  digest=$(printf %s "$2" | sha256sum | cut -d' ' -f1)
  printf %s "$2" >"$layout/blobs/sha256/$digest"
  printf '{"mediaType":"%s","digest":"sha256:%s","size":%d%s}' "$1" "$digest" "${#2}" "${3:-}"
}
oci=application/vnd.oci.image
image() { # ARCH
  local config
  config=$(blob $oci.config.v1+json "{\"architecture\":\"$1\",\"os\":\"linux\",\"config\":{\"User\":\"65532:65532\",\"WorkingDir\":\"/\"},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}")
  blob $oci.manifest.v1+json \
    "{\"schemaVersion\":2,\"mediaType\":\"$oci.manifest.v1+json\",\"config\":$config,\"layers\":[]}" \
    ",\"platform\":{\"os\":\"linux\",\"architecture\":\"$1\"}"
}
index() { # DESCRIPTORS
  printf '{"schemaVersion":2,"mediaType":"%s","manifests":[%s]}' $oci.index.v1+json "$1"
}
rm -rf "$layout"
mkdir -p "$layout/blobs/sha256"
echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
images=$(image amd64),$(image arm64)
base=$(blob $oci.index.v1+json "$(index "$images")")
index "$base,$images" >"$layout/index.json"
digest=${base#*'"digest":"'}
export KO_DEFAULTBASEIMAGE=localhost/scratch@${digest%%'"'*}

# The same commit gives the same image.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo 0)
export SOURCE_DATE_EPOCH VERSION KO_DOCKER_REPO=${name%:*}
for arch; do
  echo ">> building $out/image-$arch.tar ($name)" >&2
  "$KO" build --bare --push=false --platform "linux/$arch" --tags "${name##*:}" --tarball "$out/image-$arch.tar" \
    --sbom-dir "$KOCACHE" ./cmd >"$KOCACHE/log" 2>&1 || {
    cat "$KOCACHE/log" >&2
    exit 1
  }
  mv "$KOCACHE/cmd-linux-$arch.spdx.json" "$out/sbom-$arch.spdx.json"
done
