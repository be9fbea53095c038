#!/usr/bin/env bash
# hack/museum.sh FILE…: puts what `drydock museum --times N --json` printed into scenarios/museum.json, in the place of what these exhibits showed before,
# and writes the README's table anew of it. Measure on a host that has nothing else to do.
set -euo pipefail
: "${1:?usage: hack/museum.sh FILE…; drydock museum --times 10 --json > FILE}"
files=()
for f in "$@"; do files+=("$(realpath "$f")"); done
cd "$(dirname "$0")/.."
. hack/env.sh
all=scenarios/museum.json
jq -S -s add "$all" "${files[@]}" > "$all.new"
mv "$all.new" "$all"
go test ./harness/cli -run TestTheMuseumIsInTheREADME -update
