#!/usr/bin/env bash
# Runs every fuzz target for $FUZZTIME, one after the other, and fails if any of them found something.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fuzztime=${FUZZTIME:-30s}
failed=()
count=0
while IFS=: read -r file target; do
  count=$((count + 1))
  echo ">> $target (./$(dirname "$file")) for $fuzztime" >&2
  go test -run '^$' -fuzz "^$target\$" -fuzztime "$fuzztime" "./$(dirname "$file")" || failed+=("$target")
done < <(git ls-files -co --exclude-standard -- '*_test.go' |
  xargs grep -oE '^func Fuzz[A-Za-z0-9_]*' /dev/null | sed 's/:func /:/' | sort)

if [ ${#failed[@]} -gt 0 ]; then
  echo "failed: ${failed[*]}; the input is in testdata/fuzz of the package: keep it as a test case" >&2
  exit 1
fi
echo "$count fuzz targets ran for $fuzztime each" >&2
