#!/usr/bin/env bash
# Builds bin/drydock. About 2 minutes the first time, seconds later.
set -euo pipefail
cd "$(dirname "$0")/.."
. hack/env.sh
[ -e bin/drydock ] || echo "== building bin/drydock (2 to 4 minutes the first time, seconds later)" >&2
go build -o bin/drydock .
