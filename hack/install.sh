#!/usr/bin/env bash
# Installs or removes, in the cluster of the current kubeconfig:
#
#   install.sh install      this project's CRDs, and the Gateway API's where they are missing
#   install.sh uninstall    this project's CRDs, and with them every Backend and all GatewayParameters
#   install.sh deploy       the same as install, and the manager of the image $IMG with all that it needs
#   install.sh undeploy     all of it but the Gateway API's CRDs
#
# CRDs belong to the whole cluster, so nothing of anybody else is replaced: Gateway API CRDs that are newer, or of the
# experimental channel, stay; older ones are upgraded only with UPGRADE_GATEWAY_API=yes; and a CRD of another project that
# has the name of one of ours is an error. Installing again changes nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

kubectl=${KUBECTL:-kubectl}
kustomize=${KUSTOMIZE:?is set by make install}
group=gateway.networking.k8s.io
manager=dynamic-mcp-install
own_crds=(backends.gateway.kgateway.dev gatewayparameters.gateway.kgateway.dev)

log() { echo "$*" >&2; }
die() {
  log "$*"
  exit 1
}

# apply FOLDER
apply() { "$kustomize" build "$1" | "$kubectl" apply --server-side --field-manager="$manager" -f -; }

# check_owners: are the CRDs with our names, if there are any, this project's?
check_owners() {
  local crd owner
  for crd in "${own_crds[@]}"; do
    owner=$("$kubectl" get crd "$crd" --ignore-not-found \
      -o jsonpath='{.metadata.name}:{.metadata.labels.app\.kubernetes\.io/part-of}')
    case $owner in
      '' | "$crd:dynamic-mcp") ;;
      *) die "CRD $crd is there already and not labelled app.kubernetes.io/part-of=dynamic-mcp: it belongs to" \
        "another project (kgateway has one of this name). Nothing was changed; use another cluster." ;;
    esac
  done
}

# installed: "name version channel" of each Gateway API CRD in the cluster; "-" for what is not said.
installed() {
  local name version channel
  "$kubectl" get crd -o jsonpath="{range .items[?(@.spec.group=='$group')]}{.metadata.name}{'|'}{.metadata.annotations.gateway\.networking\.k8s\.io/bundle-version}{'|'}{.metadata.annotations.gateway\.networking\.k8s\.io/channel}{'\n'}{end}" |
    while IFS='|' read -r name version channel; do echo "$name ${version:--} ${channel:--}"; done
}

# older A B: is version A older than B?
older() { [ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

install_gateway_api() {
  local ours found name version channel stays=() old=() same=()
  ours=$(sed -n "s,.*$group/bundle-version: ,,p" "config/crd/gateway-api/${group}_gateways.yaml" | head -n 1)
  found=$(installed)
  while read -r name version channel; do
    [ -n "$name" ] || continue
    if [ "$version" = - ] || [ "$channel" != standard ] || older "$ours" "$version"; then
      stays+=("$name ($version, $channel)")
    elif older "$version" "$ours"; then
      old+=("$name ($version)")
    else
      same+=("$name")
    fi
  done <<<"$found"

  if [ ${#stays[@]} -gt 0 ]; then
    log "Gateway API CRDs that are newer than $ours, or not of the standard channel, stay as they are:"
    printf '  %s\n' "${stays[@]}" >&2
    log "The Gateway API was not installed; tested with $ours."
    return
  fi
  if [ ${#old[@]} -gt 0 ] && [ "${UPGRADE_GATEWAY_API:-}" != yes ]; then
    log "Gateway API CRDs are installed that are older than $ours, which dynamic-mcp needs:"
    printf '  %s\n' "${old[@]}" >&2
    die "They may be another implementation's too. To upgrade them: make install UPGRADE_GATEWAY_API=yes"
  fi
  if [ ${#old[@]} -eq 0 ] && [ ${#same[@]} -ge "$(grep -l "^kind: CustomResourceDefinition" config/crd/gateway-api/* | wc -l)" ]; then
    log "Gateway API CRDs $ours: installed already"
    return
  fi
  log "Gateway API CRDs $ours:"
  # What is there is older, and is to be upgraded, or of this version: then only its owner changes.
  if [ ${#old[@]} -gt 0 ] || [ ${#same[@]} -gt 0 ]; then
    "$kustomize" build config/crd/gateway-api |
      "$kubectl" apply --server-side --field-manager="$manager" --force-conflicts -f -
  else
    apply config/crd/gateway-api
  fi
}

own_controller=dynamic-mcp.dev/gateway

# own_classes: the names of our GatewayClasses.
own_classes() {
  "$kubectl" get gatewayclass --ignore-not-found \
    -o jsonpath="{range .items[?(@.spec.controllerName=='$own_controller')]}{.metadata.name}{'\n'}{end}" 2>/dev/null || true
}

# check_gateways: without the manager nobody tells the owners of Gateways what happens to them.
check_gateways() {
  local class gateways=()
  while read -r class; do
    [ -n "$class" ] || continue
    mapfile -t -O "${#gateways[@]}" gateways < <("$kubectl" get gateways.$group -A \
      -o jsonpath="{range .items[?(@.spec.gatewayClassName=='$class')]}{.metadata.namespace}/{.metadata.name}{'\n'}{end}")
  done <<<"$(own_classes)"
  [ ${#gateways[@]} -eq 0 ] || die "delete these Gateways first, and their proxies go with them: ${gateways[*]}"
}

command -v "$kubectl" >/dev/null ||
  die "$kubectl: not found. Install it, or set KUBECTL; \"\$(make envtest)/kubectl\" is one."
"$kubectl" version >/dev/null || die "no answer from the cluster of the current kubeconfig"

case ${1:-} in
  install)
    check_owners
    install_gateway_api
    log "CRDs of this project:"
    apply config/crd
    "$kubectl" wait --for=condition=Established --timeout=60s "${own_crds[@]/#/crd/}"
    ;;
  uninstall)
    check_owners
    "$kustomize" build config/crd | "$kubectl" delete --ignore-not-found -f -
    log "The Gateway API CRDs stay: others may use them. To remove them, and every Gateway and route of the cluster:"
    log "  kubectl delete -k config/crd/gateway-api"
    ;;
  deploy)
    check_owners
    install_gateway_api
    log "dynamic-mcp, image ${IMG:?is set by make deploy}:"
    hack/installer.sh manifest "$IMG" | "$kubectl" apply --server-side --field-manager="$manager" -f -
    "$kubectl" -n dynamic-mcp-system rollout status --timeout=120s deployment/dynamic-mcp-controller-manager
    ;;
  undeploy)
    check_owners
    check_gateways
    for class in $(own_classes); do
      "$kubectl" delete gatewayclass "$class"
    done
    "$kustomize" build config/default | "$kubectl" delete --ignore-not-found -f -
    log "The Gateway API CRDs stay: others may use them. To remove them, and every Gateway and route of the cluster:"
    log "  kubectl delete -k config/crd/gateway-api"
    ;;
  *) die "usage: install.sh install|uninstall|deploy|undeploy" ;;
esac
