#!/usr/bin/env bash
# hack/museum.sh FILE…: adds up what `drydock museum NAME… --json` printed into these files, puts it into scenarios/museum.json in the place of what the
# same exhibits showed before, and writes the README's table anew of it. Measure on a host that has nothing else to do.
set -euo pipefail
: "${1:?usage: hack/museum.sh FILE…; drydock museum --times 10 --json > FILE}"
files=()
for f in "$@"; do files+=("$(realpath "$f")"); done
cd "$(dirname "$0")/.."
. hack/env.sh
all=scenarios/museum.json
jq -S -s --slurpfile before "$all" '
  def plus($more): if .releases != $more.releases then error("\(.releases) and \($more.releases) of one exhibit") else
    {releases, runs: (.runs + $more.runs), asMeant: (.asMeant + $more.asMeant), inconclusive: (.inconclusive + $more.inconclusive), took: (.took + $more.took | sort)} end;
  reduce (.[] | to_entries[]) as {$key, $value} ({};
    if has($key) then .[$key].bad |= plus($value.bad) | .[$key].fixed |= plus($value.fixed) else .[$key] = $value end)
  | $before[0] + .' "${files[@]}" > "$all.new"
mv "$all.new" "$all"
go test ./harness/cli -run TestTheMuseumIsInTheREADME -update
