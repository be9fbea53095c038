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

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/plan"
)

// Surge replaces workers instead of changing them: one machine more than before is there throughout, so that no capacity is missing. What
// a worker's Node object carries for its owner is kept in a file from before its drain until its replacement has passed the gate; that
// file also says, to a second run, that the replacement is not finished.

// SurgeMachine is the machine that is there for the time of the upgrade.
const SurgeMachine = "surge-1"

// replacement takes a worker away and puts a new machine of the same name in its place.
type replacement struct{ *machineUpgrade }

// kept is what outlives a replaced machine.
type kept struct {
	From        string            `json:"from"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Taints      []corev1.Taint    `json:"taints,omitempty"`
}

const keptDir = "replaced"

// surge is the order of the steps: a new machine, every worker in turn, and the new machine away again.
func (u *Upgrade) surge(from, version string) []*plan.Step {
	extra := &replacement{&machineUpgrade{Upgrade: u, machine: SurgeMachine, from: from, version: version}}
	whole := func(machine string) []plan.Disruption { return []plan.Disruption{{Machines: []string{machine}}} }
	steps := []*plan.Step{{Name: "surge", About: SurgeMachine + ", for the time of the upgrade", Children: []*plan.Step{
		{Name: "surge/add", About: "join a new machine at " + version, Run: extra.join, Disrupts: whole(SurgeMachine), Lingers: true},
		{Name: "surge/gate", About: "well at the new version, or go no further", Run: extra.joined, Disrupts: whole(SurgeMachine)},
		{Name: "surge/rollback", About: "when a step above fails: remove it", Run: extra.end, Rollback: true, Disrupts: whole(SurgeMachine)},
	}}}
	for i, name := range u.Topology.WorkerMachines() {
		r := &replacement{&machineUpgrade{Upgrade: u, machine: name, from: from, version: version}}
		id := fmt.Sprintf("worker/%d", i+1)
		steps = append(steps, &plan.Step{Name: id, About: name, Children: []*plan.Step{
			{Name: id + "/drain", About: fmt.Sprintf("cordon and evict within %s", u.Spec.DrainTimeout), Run: r.drain},
			{Name: id + "/remove", About: "take the machine and its Node away", Run: r.remove, Disrupts: whole(name), Lingers: true},
			{Name: id + "/add", About: "join a new machine of that name at " + version, Run: r.add, Disrupts: whole(name), Lingers: true},
			{Name: id + "/gate", About: "well at the new version, or go no further", Run: r.gate, Disrupts: whole(name)},
			{Name: id + "/rollback", About: "when a step above fails: a machine at the version before", Run: r.rollback, Rollback: true, Disrupts: whole(name)},
		}})
	}
	return append(steps, &plan.Step{Name: "surge/end", About: SurgeMachine, Children: []*plan.Step{
		{Name: "surge/drain", About: fmt.Sprintf("cordon and evict within %s", u.Spec.DrainTimeout), Run: extra.empty},
		{Name: "surge/remove", About: "take the machine and its Node away", Run: extra.end, Disrupts: whole(SurgeMachine)},
	}})
}

func (u *Upgrade) scaler() (cluster.Scaler, error) {
	s, ok := u.Target.Cluster.(cluster.Scaler)
	if !ok {
		return nil, fmt.Errorf("machines cannot be added to this cluster: %w", cluster.ErrUnsupported)
	}
	return s, nil
}

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

func readKept(file string) (k kept, err error) {
	raw, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(raw, &k)
	}
	if err != nil {
		return k, fmt.Errorf("what a replaced Node carried: %s: %w", file, err)
	}
	return k, nil
}

func (r *replacement) write(k kept) error {
	file := r.keptFile(r.machine)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	raw, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	if err := os.WriteFile(file+".new", raw, 0o600); err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	return os.Rename(file+".new", file)
}

func (r *replacement) forget() error {
	if err := os.Remove(r.keptFile(r.machine)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("upgrade: %w", err)
	}
	return nil
}

// begun reports whether the worker's replacement was begun and is not finished.
func (r *replacement) begun() bool { return r.underReplacement(r.machine) }

func (u *Upgrade) underReplacement(machine string) bool {
	_, err := os.Stat(u.keptFile(machine))
	return err == nil
}

func (r *replacement) skipIfDone(ctx context.Context) error {
	if r.begun() {
		return nil
	}
	return r.machineUpgrade.skipIfDone(ctx)
}

// drain keeps what the Node carries and evicts its pods. Of a replacement that was begun only a Node that is still there is drained.
func (r *replacement) drain(ctx context.Context) error {
	if err := r.skipIfDone(ctx); err != nil {
		return err
	}
	node, err := r.Target.Client.CoreV1().Nodes().Get(ctx, r.machine, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && r.begun():
		return fmt.Errorf("%w: the Node of %s is removed already", plan.ErrSkip, r.machine)
	case err != nil:
		return fmt.Errorf("drain %s: %w", r.machine, err)
	case !r.begun():
		if err := r.write(keep(node, r.from)); err != nil {
			return err
		}
	default:
		if err := r.skipIfNew(ctx); err != nil {
			return err
		}
	}
	return r.evict(ctx)
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

// skipIfNew is a skip when the machine is the new one already.
func (r *replacement) skipIfNew(ctx context.Context) error {
	if r.Spec.Force {
		return nil
	}
	yes, err := r.at(ctx, r.version)
	if err == nil && yes {
		return fmt.Errorf("%w: %s is the new machine already", plan.ErrSkip, r.machine)
	}
	return err
}

// keep takes what belongs to the node's owner.
func keep(n *corev1.Node, from string) kept {
	k := kept{From: from, Labels: maps.Clone(n.Labels), Annotations: maps.Clone(n.Annotations)}
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

// remove takes the old machine and its Node away; the new one, if that is there already, stays.
func (r *replacement) remove(ctx context.Context) error {
	if err := r.skipIfDone(ctx); err != nil {
		return err
	}
	if err := r.skipIfNew(ctx); err != nil {
		return err
	}
	return r.leave(ctx)
}

// leave removes the machine, then its Node: the other way round its kubelet would go on for nobody.
func (r *replacement) leave(ctx context.Context) error {
	s, err := r.scaler()
	if err != nil {
		return err
	}
	if err := s.RemoveMachine(ctx, r.machine); err != nil {
		return err
	}
	err = r.Target.Client.CoreV1().Nodes().Delete(ctx, r.machine, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove node %s: %w", r.machine, err)
	}
	return nil
}

// add makes the new machine and joins it. One that was begun and does not run the version is thrown away: nobody knows how far it came.
func (r *replacement) add(ctx context.Context) error {
	if err := r.skipIfDone(ctx); err != nil {
		return err
	}
	return r.addAt(ctx, r.version)
}

func (r *replacement) addAt(ctx context.Context, version string) error {
	there, err := r.at(ctx, version)
	if err != nil {
		return err
	}
	if !there {
		if err := r.leave(ctx); err != nil {
			return err
		}
		s, err := r.scaler()
		if err != nil {
			return err
		}
		m, err := s.AddMachine(ctx, cluster.MachineSpec{Name: r.machine, Role: cluster.Worker})
		if err != nil {
			return err
		}
		if err := kubeadm.Join(ctx, r.Target.Cluster, m, version); err != nil {
			return err
		}
	}
	return r.giveBack(ctx)
}

// giveBack puts on the new Node what the old one carried and the new one does not have of itself.
func (r *replacement) giveBack(ctx context.Context) error {
	k, err := readKept(r.keptFile(r.machine))
	if err != nil {
		return err
	}
	nodes := r.Target.Client.CoreV1().Nodes()
	return cluster.Await(ctx, "labels, annotations and taints of "+r.machine, cluster.Wait{For: r.Spec.MachineTimeout}, func(ctx context.Context) error {
		n, err := nodes.Get(ctx, r.machine, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if !k.onto(n) {
			return nil
		}
		_, err = nodes.Update(ctx, n, metav1.UpdateOptions{})
		return err
	})
}

// onto adds to the node what it lacks, and reports whether that was anything.
func (k kept) onto(n *corev1.Node) bool {
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

// gate waits until the new machine is well, and forgets the old one.
func (r *replacement) gate(ctx context.Context) error {
	if err := r.skipIfDone(ctx); err != nil {
		return err
	}
	if err := r.awaitWell(ctx, r.version); err != nil {
		return err
	}
	return r.forget()
}

// rollback puts a machine at the version before in the worker's place, or lets the old one work again when it was not removed yet.
func (r *replacement) rollback(ctx context.Context) error {
	if !r.begun() {
		return fmt.Errorf("%w: nothing was changed", plan.ErrSkip)
	}
	if err := r.addAt(ctx, r.from); err != nil {
		return err
	}
	if err := r.awaitWell(ctx, r.from); err != nil {
		return err
	}
	return errors.Join(unskip(r.uncordon(ctx)), r.forget())
}

// join adds the surge machine, unless every worker is done.
func (r *replacement) join(ctx context.Context) error {
	if err := r.workersDone(ctx); err != nil {
		return err
	}
	if err := r.write(kept{From: r.from}); err != nil { // it carries nothing, and a second run knows whose it is
		return err
	}
	return r.addAt(ctx, r.version)
}

// end removes the surge machine.
func (r *replacement) end(ctx context.Context) error {
	if err := r.leave(ctx); err != nil {
		return err
	}
	return r.forget()
}

func (r *replacement) joined(ctx context.Context) error {
	if err := r.workersDone(ctx); err != nil {
		return err
	}
	return r.awaitWell(ctx, r.version)
}

// workersDone is a skip when nothing is left to replace.
func (r *replacement) workersDone(ctx context.Context) error {
	if r.Spec.Force {
		return nil
	}
	for _, name := range r.Topology.WorkerMachines() {
		w := &replacement{&machineUpgrade{Upgrade: r.Upgrade, machine: name, from: r.from, version: r.version}}
		if _, err := w.open(); err != nil {
			return nil //nolint:nilerr // removed and not yet replaced
		}
		if err := w.skipIfDone(ctx); !errors.Is(err, plan.ErrSkip) {
			return err
		}
	}
	return fmt.Errorf("%w: every worker was observed at %s and well", plan.ErrSkip, r.version)
}

// empty moves everything off the surge machine.
func (r *replacement) empty(ctx context.Context) error {
	_, err := r.Target.Client.CoreV1().Nodes().Get(ctx, r.machine, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("%w: there is no %s", plan.ErrSkip, r.machine)
	}
	if err != nil {
		return fmt.Errorf("drain %s: %w", r.machine, err)
	}
	return r.evict(ctx)
}
