#!/usr/bin/env bash
# Builds bin/drydock. About 2 minutes the first time, seconds later.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v go >/dev/null || { echo "Go 1.26 or newer is needed: https://go.dev/dl" >&2; exit 2; }
[ -e bin/drydock ] || echo "== building bin/drydock (2 to 4 minutes the first time, seconds later)" >&2
CGO_ENABLED=0 go build -trimpath -o bin/drydock .
