#!/usr/bin/env bash
# Checks what a reviewer should not have to: that everything generated is up to date, that the code is formatted and
# lints, and that config/ builds. All checks run; each failure is named at the end. Called by `make verify`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

: "${KUSTOMIZE:?is set by make verify}" "${HELM:?is set by make verify}" "${GOLANGCI_LINT:?is set by make verify}"
: "${ACTIONLINT:?is set by make verify}"
failed=()

# check WHAT COMMAND…
check() {
  local what=$1 begin=$SECONDS
  shift
  echo ">> $what" >&2
  if "$@"; then
    echo "   ok, $((SECONDS - begin)) s" >&2
  else
    failed+=("$what")
    echo "   FAILED: $what" >&2
  fi
}

# A fingerprint of every file that git knows or would add, so that uncommitted work doesn't count as a failure, and a
# file that a generator changes does.
files() {
  git ls-files -z -co --exclude-standard | xargs -0 -n 200 sha256sum 2>/dev/null | sort -k 2 || true
}

generated() {
  local before after
  before=$(files)
  make generate manifests docs vendor-gateway-api build-installer IMG=dynamic-mcp:dev || return 1
  after=$(files)
  [ "$before" = "$after" ] || {
    echo "Generated files were out of date. They are up to date now; add them to the commit:" >&2
    diff <(echo "$before") <(echo "$after") | sed -n 's/^[<>] [0-9a-f]*  /  /p' | sort -u >&2
    return 1
  }
}

tidy() {
  local module ok=true
  while read -r module; do
    (cd "$(dirname "$module")" && GOWORK=off go mod tidy -diff) || {
      echo "$module: run go mod tidy in its folder" >&2
      ok=false
    }
  done < <(git ls-files -co --exclude-standard -- 'go.mod' '*/go.mod')
  $ok
}

modules_verify() { go mod verify >/dev/null; }

tools_vet() { (cd hack/tools/golangci-lint && GOWORK=off go vet ./...); }

kustomizations() {
  local folder ok=true
  while read -r folder; do
    # Components build only with config/default: test/install does that.
    ! grep -q '^kind: Component' "$folder/kustomization.yaml" || continue
    "$KUSTOMIZE" build "$folder" >/dev/null || ok=false
  done < <(git ls-files -co --exclude-standard -- 'config/**/kustomization.yaml' | xargs -n 1 dirname)
  $ok
}

shell_scripts() {
  if ! command -v shellcheck >/dev/null; then
    echo "   shellcheck is not installed; skipped" >&2
    return
  fi
  git ls-files -z -co --exclude-standard -- '*.sh' .ci/run | xargs -0 shellcheck
}

# Tags of actions move, commits don't.
workflows() {
  local unpinned
  "$ACTIONLINT" .github/workflows/*.yaml || return 1
  unpinned=$(grep -nE '^ *(- )?(&[a-z]+ )?uses:' .github/workflows/*.yaml |
    grep -vE 'uses: (\./[^ ]+|[^ @]+@[0-9a-f]{40} # v[0-9]+\.[0-9]+\.[0-9]+)$') || return 0
  echo "name actions by commit, with the version behind it: uses: owner/action@<commit> # v1.2.3" >&2
  echo "$unpinned" >&2
  return 1
}

check "generated files" generated
check "go mod tidy" tidy
check "go mod verify" modules_verify
check "go vet" go vet ./...
check "go vet of hack/tools" tools_vet
check "golangci-lint config" "$GOLANGCI_LINT" config verify
check "golangci-lint" "$GOLANGCI_LINT" run ./...
check "kustomize build" kustomizations
check "helm lint" make helm-lint
check "shellcheck" shell_scripts
check "workflows" workflows

if [ ${#failed[@]} -gt 0 ]; then
  printf '\nmake verify failed:\n' >&2
  printf '  %s\n' "${failed[@]}" >&2
  exit 1
fi
echo "make verify: all ok, $SECONDS s" >&2
