#!/usr/bin/env bash
# Holds what bin/drydock links to the licences it may have (hack/audit), and to the vulnerabilities that are known of it (govulncheck). Exit code 3: one of
# them could not be looked at, and nothing is known of it; DRYDOCK_VULNDB=URL is another vulnerability database, file:///DIR a copy of one.
set -uo pipefail
cd "$(dirname "$0")/.."
. hack/env.sh
hack/build.sh || exit 2
cache="${XDG_CACHE_HOME:-$HOME/.cache}/drydock/tools"
mkdir -p "$cache"
(cd hack/audit && go build -o "$cache/audit" . && go build -o "$cache/govulncheck" golang.org/x/vuln/cmd/govulncheck) || exit 2

echo "== licences"
worst=0
"$cache/audit" licences bin/drydock >"$cache/licences.txt" || worst=1
tail -n 1 "$cache/licences.txt"

echo "== known vulnerabilities"
db="${DRYDOCK_VULNDB:-https://vuln.go.dev}"
"$cache/govulncheck" -db "$db" -mode binary bin/drydock >"$cache/vulnerabilities.txt" 2>&1
case $? in
  0) tail -n 1 "$cache/vulnerabilities.txt" ;;
  3) cat "$cache/vulnerabilities.txt" >&2; worst=1 ;;
  *)
    echo "NOT CHECKED: known vulnerabilities. govulncheck has said: $(tail -n 1 "$cache/vulnerabilities.txt")" >&2
    echo "The database is $db; where it cannot be reached, set DRYDOCK_VULNDB to one that can." >&2
    [ "$worst" != 0 ] || worst=3
    ;;
esac
exit "$worst"
