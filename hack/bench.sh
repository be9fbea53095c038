#!/usr/bin/env bash
# Time to ready, memory and time of down, and an upgrade against the same kubeadm commands run bare, in one run. On a noisy machine compare the lines of one run with each other, not runs.
set -euo pipefail
cd "$(dirname "$0")/.."
hack/build.sh
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
d() { bin/drydock --state-dir "$state" -q "$@"; }
seconds() { local t0 t1; t0=$(date +%s.%N); "$@" >/dev/null; t1=$(date +%s.%N); awk -v a="$t0" -v b="$t1" 'BEGIN{printf "%.1f", b-a}'; }
line() { printf '%-44s %8s s\n' "$1" "$2"; }
#   hack/bench.sh [upgrade|arm|providers]     all of it but providers, or one part; providers needs Docker and hack/kind/build
echo "load average before: $(cut -d' ' -f1-3 /proc/loadavg), $(nproc) cores"
part=${1:-all}
# The same cluster of every provider that makes some here: until it is whole, until it is whole at the next version, until nothing of it is left.
providers() {
  local p v
  for p in lab kind; do
    for v in v1.35 v1.36; do
      [ "$p" = kind ] || line "$p, 1+1 $v, by kubeadm, ready" "$(seconds d up --provider "$p" --version "$v" --workers 1 --name b --no-image)"
      [ "$p" = kind ] || d down b --provider "$p" >/dev/null
      line "$p, 1+1 $v, ready" "$(seconds d up --provider "$p" --version "$v" --workers 1 --name b)"
      [ "$v" = v1.36 ] || line "$p, 1+1 v1.35 to v1.36" "$(seconds d upgrade --provider "$p" --to v1.36 --name b)"
      line "$p, 1+1 $v, down" "$(seconds d down b --provider "$p")"
    done
  done
}
if [ "$part" = providers ]; then providers; echo "load average after: $(cut -d' ' -f1-3 /proc/loadavg)"; exit; fi
if [ "$part" != upgrade ]; then
  go test ./harness/azure -run none -bench 'Get|Memory' -cpu 1 -benchtime 3s | tee "$state/arm.txt" | grep ^Benchmark
  awk '/Get\/bare/{b=$3} /Get\/twin/{t=$3} END{printf "%-44s %8.2f (aim 0.5)\n", "twin, GETs of a second against a bare handler", b/t}' "$state/arm.txt"
  awk '/Get\/ratio-changing/{for (i = 1; i < NF; i++) if ($(i+1) == "ratio-cpu") printf "%-44s %8.2f (aim 0.8)\n", "and one with such headers, of processor time", $i}' "$state/arm.txt"
fi
if [ "$part" = arm ]; then exit; fi
if [ "$part" != upgrade ]; then
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
fi

# The same commands by hand, one after another as kubeadm's documentation has them: the lower bound of any upgrade that waits for nodes.
bare() {
  local to=v1.36.3 kc; kc() { d kubectl --name b "$@"; }
  on() { d shell --name b "$1" -- /bin/sh -ec "$2"; }
  local verb="apply $to -y"
  for m in control-plane-1 control-plane-2 control-plane-3 worker-1 worker-2 worker-3; do
    case $m in worker*) kc drain "$m" --ignore-daemonsets --delete-emptydir-data ;; esac
    on "$m" "ln -sf /opt/drydock/releases/kubernetes/$to/kubeadm /opt/drydock/bin/kubeadm; kubeadm upgrade $verb --ignore-preflight-errors=all"
    verb=node
    on "$m" "ln -sf /opt/drydock/releases/kubernetes/$to/kubelet /opt/drydock/bin/kubelet; systemctl restart kubelet"
    case $m in worker*) kc uncordon "$m" ;; esac
    until kc get node "$m" -o 'jsonpath={.status.nodeInfo.kubeletVersion} {.status.conditions[?(@.type=="Ready")].status}' | grep -q "^$to True"; do read -rt 1 <> <(:) || :; done
    case $m in control*) until kc get pods -n kube-system -o 'jsonpath={range .items[?(@.spec.nodeName=="'"$m"'")]}{.status.conditions[?(@.type=="Ready")].status} {end}' | grep -qv False; do read -rt 1 <> <(:) || :; done ;; esac
  done
}
d up --control-planes 3 --workers 3 --version v1.35 --name b >/dev/null
without=$(seconds bare); d down b >/dev/null
line "3+3 v1.35 to v1.36, kubeadm's commands bare" "$without"
d up --control-planes 3 --workers 3 --version v1.35 --name b >/dev/null
with=$(seconds d upgrade --to v1.36 --name b); d down b >/dev/null
line "3+3 v1.35 to v1.36, drydock upgrade" "$with"
awk -v a="$with" -v b="$without" 'BEGIN{printf "%-44s %8.2f (aim 1.10)\n", "ratio", a/b}'
