#!/usr/bin/env bash
# Unit tests with the race detector, then the quick-tier suites on the lab.
set -euo pipefail
cd "$(dirname "$0")/.."
. hack/env.sh
hack/build.sh
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp bin/drydock "$scratch"
export DRYDOCK_PROGRAM="$scratch/drydock" # of all suites, whatever is built meanwhile
echo "== unit tests (about a minute warm)"
race=-race cgo=1
command -v "$(CGO_ENABLED=1 go env CC)" >/dev/null || { race= cgo=0; echo "no C compiler: without the race detector"; }
go list ./... | grep -v /suites/ | CGO_ENABLED=$cgo xargs go test $race -short -timeout 30m
echo "== Kubernetes and etcd of the suites (nothing to do warm; cold, downloaded, or built in 10 to 20 minutes: no spec has the time to wait for that)"
"$DRYDOCK_PROGRAM" fetch v1.35 v1.36 v3.6.10 v3.6.11 # the last two are of the museum, a minute and a half each to build
echo "== quick suites on the lab (about 5 minutes, three at a time: most of it is waiting)"
go test ./suites/{quorum,trust,upgrade} ./suites/... -p 3 -count=1 -timeout 55m -v -ginkgo.label-filter='tier: containsAny quick' -ginkgo.fail-on-pending -ginkgo.fail-on-empty -ginkgo.poll-progress-after=120s
