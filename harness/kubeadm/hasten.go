package kubeadm

import (
	"strings"

	"drydock.dev/drydock/harness/cluster"
)

// hastened runs a kubeadm command and, beside it, restarts the kubelet each time the old process of a static pod with a new manifest has ended. A
// kubelet lets 10 to 15 s pass between the old and the new pod of one name (backOffPeriod in pod_workers.go of Kubernetes), and nothing in its
// configuration shortens that; one that has just started has nothing to wait for. A third of what kubeadm takes on a control plane is that wait, and
// it is no part of what is tested: fast timing leaves it out, production keeps it. The kubelet is restarted once for each pod at the most, and never
// for a process that is gone while its manifest is the old one: that is somebody's fault. A kubelet that has started without its API server replaces no
// pod of the same name until it has reached one (sourcesReady in kubelet.go); where kubeadm gave up and put the old manifest of an API server back,
// it would wait for the one that it does not start. It is restarted once more then.
const hastened = `began=$(mktemp)
hasten() {
  waiting="$*"
  while [ -n "$waiting" ]; do
    sleep 0.5
    running=" $(cat /proc/[0-9]*/comm 2>/dev/null | tr '\n' ' ')"
    still=
    for pod in $waiting; do
      manifest=` + ManifestDir + `/$pod.yaml
      if [ "$manifest" -nt "$began" ] && [ "${running#* $(printf %.15s "$pod") }" = "$running" ]; then
        echo "$pod" >>"$began.restarted"
        systemctl restart kubelet
      else
        still="$still $pod"
      fi
    done
    waiting=$still
  done
}
hasten "$@" >&2 &
beside=$!
ended() {
  code=$?
  kill $beside 2>/dev/null
  if [ $code -ne 0 ] && [ -e "$began.restarted" ]; then systemctl restart kubelet >&2; fi
  rm -f "$began" "$began.restarted"
  exit $code
}
trap ended EXIT
`

// Hastened reports whether the kubelets of control planes are restarted during kubeadm upgrade, which with production's timing nobody does.
func Hastened(t cluster.Topology) bool { return t.Timing == cluster.TimingFast }

// hasten makes the command that is hastened out of one that is not.
func hasten(t cluster.Topology, args []string) []string {
	return append([]string{"/bin/sh", "-c", hastened + strings.Join(args, " "), "hasten"}, StaticPods(t)...)
}
