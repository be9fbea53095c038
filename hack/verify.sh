#!/usr/bin/env bash
# Runs every check of the tree and fails at the end if one did; exit code 3: none did, and one could not be made.
set -uo pipefail
cd "$(dirname "$0")/.."
. hack/env.sh
failed=0 unknown=""
check() {
  echo "== $1"
  local name=$1 code=0
  shift
  "$@" || code=$?
  case $code in
    0) ;;
    3) unknown="$unknown $name;" ;;
    *) failed=1 ;;
  esac
}
formatted() { out=$(gofmt -l main.go fixtures harness reports scenarios suites); [ -z "$out" ] || { echo "gofmt: $out"; return 1; }; }
tidy() { go mod tidy -diff; }
check "format" formatted
check "go.mod" tidy
check "vet" go vet ./...
check "lint" hack/lint.sh
check "licences and known vulnerabilities" hack/audit.sh
[ -z "$unknown" ] || echo "NOT CHECKED, see above:$unknown" >&2
[ $failed != 0 ] || [ -z "$unknown" ] || exit 3
exit $failed
