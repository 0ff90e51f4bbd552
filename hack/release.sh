#!/usr/bin/env bash
# Makes a release of a tag in bin/release and, if $REGISTRY is set, publishes it. Called by `make release`:
#
#   release.sh vX.Y.Z
#
#   REGISTRY=ghcr.io/dynamic-mcp        where to: the image is REGISTRY/dynamic-mcp, the chart REGISTRY/charts/dynamic-mcp
#   REGISTRY_USER, REGISTRY_PASSWORD    who pushes; without them, whom `docker login` knows
#   DRY_RUN=yes                         builds everything and publishes nothing, as without REGISTRY; of any tree
#   COSIGN_FLAGS                        flags of cosign's signing commands; without any, it signs as the workflow or the
#                                       person that runs this, and the public transparency log says so
#
# bin/release gets
#
#   dynamic-mcp-vX.Y.Z.oci.tar          the image for amd64 and arm64, an OCI image layout (ctr images import, skopeo copy)
#   dynamic-mcp-vX.Y.Z-linux-ARCH.spdx.json    the SBOM of each
#   dynamic-mcp-X.Y.Z.tgz               the Helm chart
#   install.yaml                        the same for kubectl
#   digests.txt                         names and digests of what was pushed
#   checksums.txt, checksums.txt.sigstore.json    of all of these; signed
#
# Chart and manifest name the image by its digest. The same commit and the same version of Go give the same image, whoever
# builds it.
#
# Who wants to know where a release is from, asks cosign v3 or later (V=v1.2.3):
#
#   id=(--certificate-oidc-issuer=https://token.actions.githubusercontent.com
#     --certificate-identity=https://github.com/dynamic-mcp/dynamic-mcp/.github/workflows/release.yaml@refs/tags/$V)
#   cosign verify "${id[@]}" ghcr.io/dynamic-mcp/dynamic-mcp:$V
#   cosign verify "${id[@]}" ghcr.io/dynamic-mcp/charts/dynamic-mcp:${V#v}
#   cosign verify-blob "${id[@]}" --bundle checksums.txt.sigstore.json checksums.txt && sha256sum -c checksums.txt
#
# and for the SBOM of one architecture, whose digest is in digests.txt, and for the provenance, gh too:
#
#   cosign verify-attestation "${id[@]}" --type spdxjson ghcr.io/dynamic-mcp/dynamic-mcp@sha256:…
#   cosign verify-attestation "${id[@]}" --type slsaprovenance1 ghcr.io/dynamic-mcp/dynamic-mcp:$V
#   gh attestation verify oci://ghcr.io/dynamic-mcp/dynamic-mcp:$V --repo dynamic-mcp/dynamic-mcp
#   gh attestation verify install.yaml --repo dynamic-mcp/dynamic-mcp
set -euo pipefail

log() { echo ">> $*" >&2; }
die() {
  echo "${0##*/}: $*" >&2
  exit 1
}

[ $# -eq 1 ] || die "usage: release.sh vX.Y.Z"
VERSION=$1
cd "$(dirname "${BASH_SOURCE[0]}")/.."
: "${KO:?is set by make release}" "${HELM:?is set by make release}" "${KUSTOMIZE:?is set by make release}"
archs=(amd64 arm64)

# Semantic versions, without build metadata: tags of images have no "+".
number='(0|[1-9][0-9]*)' identifier='(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)'
[[ $VERSION =~ ^v$number\.$number\.$number(-$identifier(\.$identifier)*)?$ ]] ||
  die "VERSION=$VERSION is not like v1.2.3 or v1.2.3-rc.1: say which tag to release"

registry=${REGISTRY:-ghcr.io/dynamic-mcp}
registry=${registry%/}
[[ $registry =~ ^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*$ ]] ||
  die "REGISTRY=$registry is not like ghcr.io/dynamic-mcp: a host and, in small letters, what names begin with"
push=false
if [ -n "${REGISTRY:-}" ] && [ "${DRY_RUN:-}" != yes ]; then
  push=true
  : "${COSIGN:?is set by make release}"
  changed=$(git status --porcelain)
  [ -z "$changed" ] || die "the working tree is not what the commit says; commit, or DRY_RUN=yes:"$'\n'"$changed"
  tagged=$(git rev-parse --quiet --verify "refs/tags/$VERSION^{commit}") ||
    die "there is no tag $VERSION; git tag it, or DRY_RUN=yes"
  [ "$tagged" = "$(git rev-parse HEAD)" ] || die "the tag $VERSION is not on this commit; check it out, or DRY_RUN=yes"
else
  log "dry run: nothing is published"
fi

out=$PWD/bin/release work=$PWD/bin/.release
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
rm -rf "$out" "$work"
mkdir -p "$out"
mkdir -m 700 "$work"

# The credentials are in a file that ko, helm and cosign read, and on no command line.
if $push && [ -n "${REGISTRY_USER:-}" ]; then
  auth=$(printf %s:%s "$REGISTRY_USER" "${REGISTRY_PASSWORD:?is not set, and REGISTRY_USER is}" | base64 | tr -d '\n')
  export DOCKER_CONFIG=$work/docker HELM_REGISTRY_CONFIG=$work/docker/config.json
  mkdir "$DOCKER_CONFIG"
  printf '{"auths":{"%s":{"auth":"%s"}}}' "${registry%%/*}" "$auth" >"$HELM_REGISTRY_CONFIG"
fi
unset REGISTRY_PASSWORD auth

KOCACHE=$work/ko
. hack/ko.sh

image=$registry/dynamic-mcp
log "building $image:$VERSION (${archs[*]})"
platforms=$(printf ',linux/%s' "${archs[@]}")
# ko takes the layout's path for a name too, which has no capitals: so it is not the whole path.
ko_build "$image" "$VERSION" --push=$push --platform "${platforms#,}" --oci-layout-path bin/.release/layout \
  --image-refs "$work/refs"
# The index is the first one; each SBOM says which image it is of.
digest=$(sed -n '1s/.*@//p' "$work/refs")
[[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || die "ko named no digest"
echo "image $image $digest" >"$out/digests.txt"
declare -A of=()
for arch in "${archs[@]}"; do
  sbom=$out/dynamic-mcp-$VERSION-linux-$arch.spdx.json
  mv "$KOCACHE/cmd-linux-$arch.spdx.json" "$sbom"
  of[$arch]=$(sed -n 's/^  "name": "sbom-\(sha256:[0-9a-f]*\)",$/\1/p' "$sbom")
  grep -q "@${of[$arch]:-none}\$" "$work/refs" || die "the SBOM for $arch is of no image of the index"
  echo "linux/$arch $image ${of[$arch]}" >>"$out/digests.txt"
done

# With the name, so that who imports the archive finds the image under it.
printf '{"schemaVersion":2,"mediaType":"%s","manifests":[{"mediaType":"%s","digest":"%s","size":%d,"annotations":%s}]}' \
  $oci.index.v1+json $oci.index.v1+json "$digest" "$(wc -c <"$work/layout/blobs/sha256/${digest#*:}")" \
  "{\"io.containerd.image.name\":\"$image:$VERSION\",\"org.opencontainers.image.ref.name\":\"$VERSION\"}" \
  >"$work/layout/index.json"
chmod -R a=,u+rwX,go+rX "$work/layout"
tar --create --file "$out/dynamic-mcp-$VERSION.oci.tar" --directory "$work/layout" --sort=name --format=ustar \
  --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" blobs index.json oci-layout

log "install.yaml and chart"
# has_image WHAT FILE: does it install the image that was built, and no other?
has_image() {
  local images
  images=$(sed -n 's/^ *-\{0,1\} *image: *\(..*\)/\1/p' "$2" | sort -u)
  [ "$images" = "$image@$digest" ] || die "$1 names the image ${images:-of nobody}, not $image@$digest"
}
hack/installer.sh manifest "$image@$digest" >"$out/install.yaml"
has_image install.yaml "$out/install.yaml"

cp -R charts/dynamic-mcp "$work/dynamic-mcp"
sed -i "/^image:/,/^[^ ]*:/{s|^  repository: .*|  repository: $image|;s|^  digest: .*|  digest: $digest|}" \
  "$work/dynamic-mcp/values.yaml"
find "$work/dynamic-mcp" -exec touch --date="@$SOURCE_DATE_EPOCH" {} +
chart=$out/dynamic-mcp-${VERSION#v}.tgz
"$HELM" package --destination "$out" --version "${VERSION#v}" --app-version "$VERSION" "$work/dynamic-mcp" >/dev/null
"$HELM" template dynamic-mcp "$chart" --namespace dynamic-mcp-system >"$work/rendered.yaml"
has_image "${chart##*/}" "$work/rendered.yaml"

if $push; then
  log "pushing $registry/charts/dynamic-mcp:${VERSION#v}"
  helm_flags=()
  case $registry in
    localhost[:/]* | 127.0.0.1[:/]*) helm_flags=(--plain-http) ;; # as ko and cosign do of themselves
  esac
  "$HELM" push "${helm_flags[@]}" "$chart" "oci://$registry/charts" >"$work/pushed" 2>&1 || {
    cat "$work/pushed" >&2
    exit 1
  }
  chart_digest=$(sed -n 's/^Digest: *//p' "$work/pushed")
  [[ $chart_digest =~ ^sha256:[0-9a-f]{64}$ ]] || die "helm named no digest"
  echo "chart $registry/charts/dynamic-mcp $chart_digest" >>"$out/digests.txt"
fi
(cd "$out" && sha256sum -- * >"$work/checksums.txt")
mv "$work/checksums.txt" "$out/checksums.txt"

if $push; then
  log "signing"
  read -ra flags <<<"${COSIGN_FLAGS:-}"
  # sign COMMAND…: what cosign says is shown only if it fails.
  sign() {
    local command=$1
    shift
    "$COSIGN" "$command" --yes "${flags[@]}" "$@" >"$work/signed" 2>&1 || {
      cat "$work/signed" >&2
      die "cosign $command failed"
    }
  }
  sign sign --recursive "$image@$digest"
  sign sign "$registry/charts/dynamic-mcp@$chart_digest"
  for arch in "${archs[@]}"; do
    sign attest --type spdxjson --predicate "$out/dynamic-mcp-$VERSION-linux-$arch.spdx.json" "$image@${of[$arch]}"
  done
  sign sign-blob --bundle "$out/checksums.txt.sigstore.json" "$out/checksums.txt"
fi
log "$VERSION is in $out"
