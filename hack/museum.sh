#!/usr/bin/env bash
# hack/museum.sh FILE…: adds up what `drydock museum NAME… --json` printed into these files, puts it into scenarios/museum.json in the place of what the
# same exhibits showed before, and writes the README's table anew of it. Measure on a host that has nothing else to do. Only runs of one scenario add up: that is
# known by its sum, and where the scenario has changed since the table says so.
set -euo pipefail
: "${1:?usage: hack/museum.sh FILE…; drydock museum --times 10 --json > FILE}"
files=()
for f in "$@"; do files+=("$(realpath "$f")"); done
twice=$(sha256sum "${files[@]}" | sort | uniq -w 64 -d | cut -c 67-)
[ -z "$twice" ] || { echo "hack/museum.sh: given twice: $twice" >&2; exit 2; }
cd "$(dirname "$0")/.."
. hack/env.sh
all=scenarios/museum.json
trap 'rm -f "$all.new"' EXIT
jq -S -s --slurpfile before "$all" '
  def plus($more): {releases, runs: (.runs + $more.runs), asMeant: (.asMeant + $more.asMeant), inconclusive: (.inconclusive + $more.inconclusive), took: (.took + $more.took | sort)};
  reduce (.[] | to_entries[]) as {$key, $value} ({};
    if ($value.scenario // "") == "" then error("\($key): no sum of its scenario beside the rates: nobody knows what was measured")
    elif $value.bad.runs == 0 or $value.fixed.runs == 0 then error("\($key): a side of it was not run: that is no rate, and the museum was interrupted perhaps")
    elif has($key) | not then .[$key] = $value
    elif .[$key].scenario != $value.scenario then error("\($key): its scenario has changed between two of these files: \(.[$key].scenario), \($value.scenario)")
    else .[$key].bad |= plus($value.bad) | .[$key].fixed |= plus($value.fixed) end)
  | $before[0] + .' "${files[@]}" > "$all.new"
mv "$all.new" "$all"
go test ./harness/cli -run TestTheMuseumIsInTheREADME -update
