#!/usr/bin/env bash
# golangci-lint, built from hack/tools: about 5 minutes the first time.
set -euo pipefail
cd "$(dirname "$0")/.."
cache="${XDG_CACHE_HOME:-$HOME/.cache}/drydock/tools"
version=$(sed -n 's/.*golangci-lint\/v2 \(v[0-9.]*\).*/\1/p' hack/tools/go.mod | head -n 1)
lint="$cache/golangci-lint-$version"
if [ ! -x "$lint" ]; then
  echo "building golangci-lint $version (about 5 minutes, once)"
  mkdir -p "$cache"
  (cd hack/tools && CGO_ENABLED=0 go build -o "$lint.$$" github.com/golangci/golangci-lint/v2/cmd/golangci-lint)
  mv "$lint.$$" "$lint"
fi
exec "$lint" run "$@" ./...
