#!/usr/bin/env bash
# golangci-lint, built from hack/tools: about 5 minutes the first time.
set -euo pipefail
cd "$(dirname "$0")/.."
. hack/env.sh
cache="${XDG_CACHE_HOME:-$HOME/.cache}/drydock/tools"
version=$(sed -n 's/.*golangci-lint\/v2 \(v[0-9.]*\).*/\1/p' hack/tools/go.mod | head -n 1)
lint="$cache/golangci-lint-$version"
if [ ! -x "$lint" ]; then
  echo "building golangci-lint $version (about 5 minutes, once)"
  mkdir -p "$cache"
  (cd hack/tools && go build -o "$lint.$$" github.com/golangci/golangci-lint/v2/cmd/golangci-lint)
  mv "$lint.$$" "$lint"
fi
# Its own lock is one file of the host's: whoever is not who made it is told that a linter runs.
exec "$lint" run --allow-parallel-runners "$@" ./...
