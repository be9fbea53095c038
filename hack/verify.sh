#!/usr/bin/env bash
# Runs every check of the tree and fails at the end if one did.
set -uo pipefail
cd "$(dirname "$0")/.."
. hack/env.sh
failed=0
check() { echo "== $1"; shift; "$@" || failed=1; }
formatted() { out=$(gofmt -l main.go fixtures harness reports scenarios suites); [ -z "$out" ] || { echo "gofmt: $out"; return 1; }; }
tidy() { go mod tidy -diff; }
check "format" formatted
check "go.mod" tidy
check "vet" go vet ./...
check "lint" hack/lint.sh
exit $failed
