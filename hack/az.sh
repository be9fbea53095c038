#!/usr/bin/env bash
# Gets the Azure CLI, a client for the twin: about 40 MiB of Debian's packages, unpacked into the cache (700 MiB). Nothing is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
exec go run ./hack/az "$@"
