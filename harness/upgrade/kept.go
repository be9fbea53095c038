package upgrade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

// Kept is what outlives a replaced machine. Its file is there from before the machine is touched until its replacement has passed the gate.
type Kept struct {
	From        string            `json:"from"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Taints      []corev1.Taint    `json:"taints,omitempty"`
	Machine     json.RawMessage   `json:"machine,omitempty"` // what else whoever replaces it has to know of the old one
}

const keptDir = "replaced"

func (u *Upgrade) keptFile(machine string) string {
	return filepath.Join(u.Dir, keptDir, machine+".json")
}

// replacing tells the machines whose replacement is not finished, and the version they had.
func (u *Upgrade) replacing() (map[string]string, error) {
	out := map[string]string{}
	files, err := filepath.Glob(u.keptFile("*"))
	if err != nil {
		return nil, fmt.Errorf("upgrade: %w", err)
	}
	for _, f := range files {
		k, err := readKept(f)
		if err != nil {
			return nil, err
		}
		out[strings.TrimSuffix(filepath.Base(f), ".json")] = k.From
	}
	return out, nil
}

func readKept(file string) (k Kept, err error) {
	raw, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(raw, &k)
	}
	if err != nil {
		return k, fmt.Errorf("what a replaced Node carried: %s: %w", file, err)
	}
	return k, nil
}

// Kept reads what is kept of a machine; fs.ErrNotExist: its replacement has not begun.
func (u *Upgrade) Kept(machine string) (Kept, error) { return readKept(u.keptFile(machine)) }

// Keep begins a machine's replacement.
func (u *Upgrade) Keep(machine string, k Kept) error {
	if err := plan.WriteFile(u.keptFile(machine), k); err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	return nil
}

// Forget ends a machine's replacement; idempotent.
func (u *Upgrade) Forget(machine string) error {
	if err := os.Remove(u.keptFile(machine)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("upgrade: %w", err)
	}
	return nil
}

// Replacing reports whether a machine's replacement was begun and is not finished.
func (u *Upgrade) Replacing(machine string) bool {
	_, err := os.Stat(u.keptFile(machine))
	return err == nil
}

// ofMachine reports whether a label, annotation or taint says how the old machine fared, and so nothing of the new one. The check has a list of its own:
// what is forgotten here must be missed there.
func ofMachine(key string) bool {
	switch key {
	case corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable, corev1.TaintNodeUnschedulable, corev1.TaintNodeMemoryPressure, corev1.TaintNodeDiskPressure,
		corev1.TaintNodePIDPressure, corev1.TaintNodeNetworkUnavailable, // set and taken away by the node life cycle controller
		"node.cloudprovider.kubernetes.io/uninitialized", "node.cloudprovider.kubernetes.io/shutdown",
		"node.alpha.kubernetes.io/ttl",                                                              // the TTL controller's
		"csi.volume.kubernetes.io/nodeid", "volumes.kubernetes.io/controller-managed-attach-detach", // the new kubelet writes its own
		"kubeadm.alpha.kubernetes.io/cri-socket": // kubeadm join's, where it still writes it
		return true
	}
	return false
}

// Carried takes what belongs to the node's owner.
func Carried(n *corev1.Node, from string) Kept {
	k := Kept{From: from, Labels: maps.Clone(n.Labels), Annotations: maps.Clone(n.Annotations)}
	own := func(key, _ string) bool { return ofMachine(key) || key == CordonedBy }
	maps.DeleteFunc(k.Labels, own)
	maps.DeleteFunc(k.Annotations, own)
	for _, t := range n.Spec.Taints {
		if !ofMachine(t.Key) {
			t.TimeAdded = nil
			k.Taints = append(k.Taints, t)
		}
	}
	return k
}

// GiveBack puts on the new Node what the old one carried and the new one does not have of itself.
func (u *Upgrade) GiveBack(ctx context.Context, machine string) error {
	k, err := u.Kept(machine)
	if err != nil {
		return err
	}
	return u.HandOn(ctx, machine, k, u.Spec.MachineTimeout)
}

// HandOn puts what is kept on a machine's Node, as soon as there is one.
func (u *Upgrade) HandOn(ctx context.Context, machine string, k Kept, within time.Duration) error {
	nodes := u.Target.Client.CoreV1().Nodes()
	return cluster.Await(ctx, "labels, annotations and taints of "+machine, cluster.Wait{For: within}, func(ctx context.Context) error {
		n, err := nodes.Get(ctx, machine, metav1.GetOptions{})
		if err != nil || !k.onto(n) {
			return err
		}
		_, err = nodes.Update(ctx, n, metav1.UpdateOptions{})
		return err
	})
}

// onto adds to the node what it lacks, and reports whether that was anything.
func (k Kept) onto(n *corev1.Node) bool {
	changed := false
	for _, pair := range []struct {
		now  *map[string]string
		want map[string]string
	}{{&n.Labels, k.Labels}, {&n.Annotations, k.Annotations}} {
		for key, v := range pair.want {
			if _, there := (*pair.now)[key]; !there {
				if *pair.now == nil {
					*pair.now = map[string]string{}
				}
				(*pair.now)[key] = v
				changed = true
			}
		}
	}
	for _, t := range k.Taints {
		if !slices.ContainsFunc(n.Spec.Taints, func(o corev1.Taint) bool { return o.MatchTaint(&t) }) {
			n.Spec.Taints = append(n.Spec.Taints, t)
			changed = true
		}
	}
	return changed
}
