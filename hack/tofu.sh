#!/usr/bin/env bash
# Builds OpenTofu and Terraform's provider azapi, clients for the twin, from their modules' sources into the cache: some ten minutes of one processor, once.
set -euo pipefail
cd "$(dirname "$0")/.."
. hack/env.sh
exec go run ./hack/tofu "$@"
