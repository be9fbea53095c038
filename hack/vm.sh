#!/usr/bin/env bash
# Gets a kernel and QEMU for machines with a kernel of their own: about 60 MiB of Debian's packages, unpacked into the cache. Nothing is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
exec go run ./hack/vm "$@"
