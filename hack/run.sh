#!/usr/bin/env bash
# The main job. Cold, Kubernetes and etcd are built from Go modules first: about 10 to 20 minutes on 2 cores, once.
set -euo pipefail
cd "$(dirname "$0")/.."
hack/build.sh
exec bin/drydock run etcd-quorum-table control-plane-power-loss "$@"
