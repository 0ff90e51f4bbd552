#!/usr/bin/env bash
# go build, with a line of progress if there is much to compile: the first time takes minutes. Takes the arguments of
# go build; the last one is the package.
set -euo pipefail

# -v names each package when its turn comes; everything else that go says is shown as it is.
progress() {
  local line total count=0
  while IFS= read -r line; do
    case $line in
    go:\ * | \#* | *\ * | *:* | '')
      if [ -t 2 ]; then printf '\r\033[K'; fi
      printf '%s\n' "$line"
      ;;
    *)
      count=$((count + 1))
      ((count > 1)) || total=$(go list -deps "$1" | wc -l | tr -d ' ')
      if [ -t 2 ]; then
        printf '\r   %d of at most %d packages compiled ' "$count" "$total"
      elif ((count % 100 == 0)); then
        printf '   %d of at most %d packages compiled\n' "$count" "$total"
      fi
      ;;
    esac
  done
  if ((count > 0)) && [ -t 2 ]; then printf '\n'; fi
}

go build -v "$@" 2>&1 >/dev/null | progress "${@: -1}" >&2
