#!/usr/bin/env bash
# The main job: an upgrade of 3 control planes and 3 workers, with the etcd leader crashing in the middle of it; about 6 minutes warm.
# Cold, two versions of Kubernetes and etcd are built from Go modules first: 10 to 25 minutes on 2 cores, once.
set -euo pipefail
cd "$(dirname "$0")/.."
hack/build.sh
exec bin/drydock run upgrade-leader-crash "$@"
