#!/usr/bin/env bash
# Gets headless Chromium and axe-core, for the tests of the HTML report: about 90 MiB of Debian's packages, unpacked into the cache. Nothing is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
. hack/env.sh
exec go run ./hack/page "$@"
