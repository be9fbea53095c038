#!/usr/bin/env bash
# Time to ready, memory and time of down, in one run. On a noisy machine compare the lines of one run with each other, not runs.
set -euo pipefail
cd "$(dirname "$0")/.."
hack/build.sh
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
d() { bin/drydock --state-dir "$state" -q "$@"; }
seconds() { local t0 t1; t0=$(date +%s.%N); "$@" >/dev/null; t1=$(date +%s.%N); awk -v a="$t0" -v b="$t1" 'BEGIN{printf "%.1f", b-a}'; }
line() { printf '%-44s %8s s\n' "$1" "$2"; }
echo "load average before: $(cut -d' ' -f1-3 /proc/loadavg), $(nproc) cores"
line "etcd-only, 5 members, ready" "$(seconds d up --etcd only --etcd-members 5 --name b5)"
line "etcd-only, 5 members, down" "$(seconds d down b5)"
for shape in "1 1" "3 3"; do
  set -- $shape
  line "$1+$2 by kubeadm, saved and booted, ready" "$(seconds d up --control-planes "$1" --workers "$2" --name b --no-image)"
  d down b >/dev/null
  line "$1+$2 from the saved cluster, ready" "$(seconds d up --control-planes "$1" --workers "$2" --name b)"
  [ "$shape" = "3 3" ] && d status b --usage
  line "$1+$2 down" "$(seconds d down b)"
done
