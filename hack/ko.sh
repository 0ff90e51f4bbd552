# What image.sh and release.sh have in common: ko, on a base without any files that it takes from its own cache, by digest.
# It asks no registry, so what is tested without one is what is released. Sourced, from the top of the repository; a caller
# sets KO, VERSION and KOCACHE. Gives ko_build.
# shellcheck shell=bash
: "${KO:?is set by make}" "${VERSION?is set by make}" "${KOCACHE:?is set by the caller}"
export KOCACHE VERSION

# The cache is an OCI image layout. This one has an image without any files, for both architectures.
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
export SOURCE_DATE_EPOCH

# ko_build NAME TAG FLAGS…: builds ./cmd, and what ko says is shown only if it fails.
ko_build() {
  local name=$1 tag=$2
  shift 2
  KO_DOCKER_REPO=$name "$KO" build --bare --tags "$tag" --sbom-dir "$KOCACHE" "$@" ./cmd >"$KOCACHE/log" 2>&1 || {
    cat "$KOCACHE/log" >&2
    return 1
  }
}
