package remedy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
)

// staticUID is the annotation of a static pod's mirror with the UID that its kubelet and its directory know it by (ConfigHashAnnotationKey of Kubernetes).
const staticUID = "kubernetes.io/config.hash"

// leftovers are what a node has of before and should not take work with: pods that are to go, containers of pods that are not the node's any more, as they
// run beside those that have replaced them, and the directories and mounts of such.
func leftovers(ctx context.Context, t *observe.Target, machine string) ([]string, error) {
	pods, err := t.Client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + machine})
	if err != nil {
		return nil, fmt.Errorf("pods on %s: %w", machine, err)
	}
	raw, err := t.Client.CoreV1().RESTClient().Get().AbsPath("/api/v1/nodes", machine, "proxy", "runningpods/").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("what the kubelet on %s says that it runs: %w", machine, err)
	}
	var running corev1.PodList
	if err := json.Unmarshal(raw, &running); err != nil {
		return nil, fmt.Errorf("what the kubelet on %s says that it runs: %w", machine, err)
	}
	m, err := t.Cluster.Machine(machine)
	if err != nil {
		return nil, err
	}
	const script = `cd /var/lib/kubelet/pods 2>/dev/null && for d in *; do [ ! -d "$d" ] || echo "directory $d"; done
awk '$2 ~ "^/var/lib/kubelet/pods/" {split($2, p, "/"); print "mount " p[6]}' /proc/mounts | sort -u`
	kept, err := cluster.Shell(ctx, m, script)
	if err != nil {
		return nil, err
	}
	return left(pods.Items, running.Items, kept), nil
}

// left compares the pods that are bound to a node with those that its kubelet runs, and with the lines "directory UID" and "mount UID" of what is on its
// disk.
func left(bound, running []corev1.Pod, kept string) []string {
	var out []string
	of := map[types.UID]bool{}
	for i := range bound {
		p := &bound[i]
		if p.DeletionTimestamp != nil {
			out = append(out, fmt.Sprintf("pod %s/%s is to go and has not gone", p.Namespace, p.Name))
		}
		of[p.UID] = true
		if static := p.Annotations[staticUID]; static != "" {
			of[types.UID(static)] = true
		}
	}
	told := map[string]bool{}
	for i := range running {
		if p := &running[i]; !of[p.UID] {
			told[string(p.UID)] = true
			out = append(out, fmt.Sprintf("containers of pod %s/%s run, which is the node's no more", p.Namespace, p.Name))
		}
	}
	var uids []string
	for line := range strings.Lines(kept) {
		what, uid, ok := strings.Cut(strings.TrimSpace(line), " ")
		if ok && !of[types.UID(uid)] && !told[uid] && !slices.Contains(uids, uid) {
			uids = append(uids, uid)
			out = append(out, fmt.Sprintf("a %s of pod %s is there, which is the node's no more", what, uid))
		}
	}
	return out
}
