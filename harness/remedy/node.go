package remedy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// recoverNode is what is done about a node that does not work, in the order in which it costs least. The node is kept from taking work before anything is
// done: one that comes back would else be given pods as soon as its taint is gone, beside those that it has still to end.
func recoverNode() Runbook {
	return Runbook{
		Name: "recover-node", Symptom: "a node is not Ready: its machine is off, stands still or is gone, or its kubelet does not run or is known to nobody",
		Does:       "keep new pods off it, switch its machine on, renew the kubelet's certificate, start the kubelet or put a new machine in its place, whatever is called for; let it take work when it is empty and clean",
		Kubernetes: true, Replaces: true, machines: cluster.Topology.KubernetesMachines,
		diagnose: diagnoseNode,
		steps: func(r *Remedy) []*plan.Step {
			s := nodeRecovery{r}
			kubelet, all := s.disrupts(observe.Kubelet), s.disrupts()
			return []*plan.Step{
				{Name: "cordon", About: "keep new pods off the node; one that somebody else has cordoned stays so", Run: s.cordon, Looks: true},
				{Name: "power", About: "switch its machine on, off before where it stands still", Run: s.power, Disrupts: all, Lingers: true},
				{Name: "replace", About: "make a new machine of its name where it is gone or given up", Run: s.replace, Disrupts: all, Lingers: true},
				{Name: "certificate", About: "have a control plane sign the kubelet a new one", Run: s.certificate, Disrupts: kubelet, Lingers: true},
				{Name: "kubelet", About: "start it, or start it anew", Run: s.kubelet, Disrupts: kubelet, Lingers: true},
				{Name: "ready", About: "the machine is well: Ready with the boot it has, untainted, every component there", Run: s.ready, Disrupts: kubelet, Lingers: true, Looks: true},
				{Name: "clean", About: "nothing of before is left on it: no pod that is to go, no container, directory or mount of one that is gone", Run: s.clean, Looks: true},
				{Name: "uncordon", About: "let it take work", Run: s.uncordon, Looks: true},
			}
		},
	}
}

// cordonedBy is the annotation of a node that a plan has cordoned, an upgrade's too, and byRecovery its value for this one.
const (
	cordonedBy = "drydock.dev/cordoned-by"
	byRecovery = "recover-node"
)

// nodeRecovery has the steps.
type nodeRecovery struct{ *Remedy }

// disrupts is what is down while a step runs. Which machine it is may be the diagnosis's to say.
func (r nodeRecovery) disrupts(components ...string) []plan.Disruption {
	if r.Spec.Machine != "" {
		return []plan.Disruption{{Machines: []string{r.Spec.Machine}, Components: components}}
	}
	return []plan.Disruption{{Machines: r.Topology.KubernetesMachines(), Components: components, AtMost: 1}}
}

// onNode does something with the Node object, again when an API server does not answer for a while.
func (r nodeRecovery) onNode(ctx context.Context, what string, do func(ctx context.Context, n *corev1.Node) error) error {
	const within = time.Minute
	return cluster.Await(ctx, what+" "+r.found.Machine, cluster.Wait{For: within}, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, looked)
		defer cancel()
		n, err := r.Target.Client.CoreV1().Nodes().Get(ctx, r.found.Machine, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			n, err = nil, nil
		}
		if err != nil {
			return err
		}
		return do(ctx, n)
	})
}

func (r nodeRecovery) patch(ctx context.Context, patch string) error {
	_, err := r.Target.Client.CoreV1().Nodes().Patch(ctx, r.found.Machine, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

func (r nodeRecovery) cordon(ctx context.Context) error {
	if l := r.look(ctx); l.unread == "" && l.ill() == "" && !r.givenUp(l) {
		return fmt.Errorf("%w: the node is well by now", plan.ErrSkip)
	}
	skip := ""
	err := r.onNode(ctx, "cordon", func(ctx context.Context, n *corev1.Node) error {
		switch {
		case n == nil:
			skip = "it has no Node; its kubelet makes one"
		case n.Spec.Unschedulable && n.Annotations[cordonedBy] == byRecovery:
			skip = "it was cordoned before the interrupt"
		case n.Spec.Unschedulable:
			skip = "somebody else has cordoned it, and has it to uncordon"
		default:
			return r.patch(ctx, fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}},"spec":{"unschedulable":true}}`, cordonedBy, byRecovery))
		}
		return nil
	})
	return skipped(err, skip)
}

// skipped is a skip with its reason, where there is one and nothing went wrong.
func skipped(err error, why string) error {
	if err == nil && why != "" {
		return fmt.Errorf("%w: %s", plan.ErrSkip, why)
	}
	return err
}

// look is how the machine is now.
func (r nodeRecovery) look(ctx context.Context) nodeLook {
	return lookAt(ctx, r.Remedy, r.found.Machine)
}

// stillFree refuses to end what runs on the machine where that would by now cost a quorum or a budget.
func (r nodeRecovery) stillFree(ctx context.Context, l nodeLook) error {
	stands, err := costs(ctx, r.Remedy, l)
	if err != nil {
		return err
	}
	return plan.Refusal("to go on with the runbook "+r.book.Name, stands)
}

func (r nodeRecovery) power(ctx context.Context) error {
	l := r.look(ctx)
	if !l.there {
		return fmt.Errorf("%w: there is no machine of that name", plan.ErrSkip)
	}
	if !l.off && l.silent == "" {
		return fmt.Errorf("%w: it is on and answers", plan.ErrSkip)
	}
	if r.givenUp(l) {
		return fmt.Errorf("%w: it is given up", plan.ErrSkip)
	}
	m, err := r.Target.Cluster.Machine(r.found.Machine)
	if err != nil {
		return err
	}
	p, err := cluster.As[cluster.Power](m)
	if err != nil {
		return fmt.Errorf("%s does not answer (%s), and cannot be switched on from here: %w", r.found.Machine, l.silent, err)
	}
	if l.off {
		return p.On(ctx)
	}
	if err := r.stillFree(ctx, l); err != nil {
		return err
	}
	return p.Reboot(ctx)
}

func (r nodeRecovery) replace(ctx context.Context) error {
	l := r.look(ctx)
	given, unfinished := r.givenUp(l), r.isRemoved() && (l.blank || l.joining)
	if l.there && !given && !unfinished {
		return fmt.Errorf("%w: its machine is there and is a node", plan.ErrSkip)
	}
	s, ok := r.Target.Cluster.(cluster.Scaler)
	if !ok {
		return fmt.Errorf("machines cannot be added to this cluster: %w", cluster.ErrUnsupported)
	}
	if given {
		if err := r.stillFree(ctx, l); err != nil {
			return err
		}
	}
	version := r.Topology.Version
	err := r.onNode(ctx, "nobody to heartbeat for", func(_ context.Context, n *corev1.Node) error {
		if n != nil && n.Status.NodeInfo.KubeletVersion != "" {
			version = n.Status.NodeInfo.KubeletVersion
		}
		return nil
	})
	for _, do := range []func() error{
		func() error { return s.RemoveMachine(ctx, r.found.Machine) }, // or what is left of a new one that was begun before an interrupt
		r.markRemoved,
		func() error { return r.noLonger(ctx) },
	} {
		if err == nil {
			err = do()
		}
	}
	if err != nil {
		return err
	}
	m, err := s.AddMachine(ctx, cluster.MachineSpec{Name: r.found.Machine, Role: cluster.Worker})
	if err != nil {
		return err
	}
	return kubeadm.Join(ctx, r.Target.Cluster, m, version)
}

// removed is the mark on this host that the machine which was given up is gone: one of its name that is there is the new one.
func (r nodeRecovery) removed() string {
	return filepath.Join(r.Dir, "removed-"+r.found.Machine+"-"+r.stamp())
}

func (r nodeRecovery) isRemoved() bool {
	_, err := os.Stat(r.removed())
	return err == nil
}

// givenUp reports whether the machine that is there is the one to be taken away.
func (r nodeRecovery) givenUp(l nodeLook) bool { return r.Spec.Replace && l.there && !r.isRemoved() }

func (r nodeRecovery) markRemoved() error {
	if err := os.MkdirAll(r.Dir, 0o755); err != nil {
		return fmt.Errorf("recover-node: %w", err)
	}
	if err := os.WriteFile(r.removed(), nil, 0o600); err != nil {
		return fmt.Errorf("recover-node: %w", err)
	}
	return nil
}

// noLonger waits until the Node of a machine that is gone is not Ready any more: kubeadm joins none to a node that lives. Whoever is to miss it may just be starting
// anew himself.
func (r nodeRecovery) noLonger(ctx context.Context) error {
	t := kubeadm.NodeLoss(r.Topology.Timing)
	return cluster.Await(ctx, "the node life cycle controller to miss "+r.found.Machine, cluster.Wait{For: t.Grace + 2*t.Monitor + r.Spec.Timeout}, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, looked)
		defer cancel()
		n, err := r.Target.Client.CoreV1().Nodes().Get(ctx, r.found.Machine, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err == nil && kubeadm.NodeReady(n) == nil {
			err = errors.New("its node is Ready still")
		}
		return err
	})
}

func (r nodeRecovery) certificate(ctx context.Context) error {
	l := r.look(ctx)
	if l.expired.IsZero() && !l.renewed {
		return fmt.Errorf("%w: the kubelet's certificate has not run out", plan.ErrSkip)
	}
	m, err := r.Target.Cluster.Machine(r.found.Machine)
	if err != nil {
		return err
	}
	return kubeadm.RenewKubelet(ctx, r.Target.Cluster, m)
}

// How long a kubelet that was started may take to answer, and its node to be Ready, until it is started anew.
const (
	answersWithin = 15 * time.Second
	readyWithin   = 30 * time.Second
)

// kubelet starts it where nobody has. One that runs is given some time first: that of a machine that has just booted needs it.
func (r nodeRecovery) kubelet(ctx context.Context) error {
	m, err := r.Target.Cluster.Machine(r.found.Machine)
	if err != nil {
		return err
	}
	if k, err := cluster.As[cluster.Killer](m); err == nil { // whoever held it down has not let it go
		if err := k.Release(ctx, observe.Kubelet); err != nil {
			return err
		}
	}
	began, err := cluster.Shell(ctx, m, `case "$(systemctl is-active kubelet || true)" in active|activating|reloading) ;; *) systemctl start kubelet; echo started;; esac`)
	if err != nil {
		return err
	}
	awaitReady := func(within time.Duration) error {
		return cluster.Await(ctx, "node "+r.found.Machine+" Ready", cluster.Wait{For: within, Every: time.Second}, func(ctx context.Context) error {
			if l := r.look(ctx); l.unwell != "" || l.notReady() != "" {
				return errors.New(strings.TrimPrefix(l.unwell+"; "+l.notReady(), "; "))
			}
			return nil
		})
	}
	if strings.TrimSpace(began) == "started" {
		return nil // ready sees what comes of it
	}
	err = cluster.Await(ctx, "an answer of the kubelet on "+r.found.Machine, cluster.Wait{For: answersWithin, Every: time.Second}, func(ctx context.Context) error {
		if l := r.look(ctx); l.unwell != "" {
			return errors.New(l.unwell)
		}
		return nil
	})
	if err == nil && awaitReady(readyWithin) == nil {
		return fmt.Errorf("%w: it runs, and its node is Ready", plan.ErrSkip)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	_, err = cluster.Shell(ctx, m, "systemctl restart "+observe.Kubelet)
	return err
}

// ready is health's own word for a machine that is well.
func (r nodeRecovery) ready(ctx context.Context) error {
	wanted := health.Wanted{Topology: r.Topology}
	_, err := r.Observer.AwaitSteady(ctx, r.found.Machine+" well", r.Spec.Timeout, health.Steady(r.Topology), func(o observe.Observation) error {
		if err := health.MachineWhole(o, r.found.Machine, wanted); err != nil {
			return err
		}
		return untainted(o, r.found.Machine)
	})
	if err == nil && r.isRemoved() {
		err = r.onNode(ctx, "see another machine as", r.another)
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("%w%s; it stays cordoned", err, lastWords(ctx, r.Target.Cluster, r.found.Machine))
}

// another proves, where the machine was given up or gone, that its Node is of a new one.
func (r nodeRecovery) another(_ context.Context, n *corev1.Node) error {
	if n == nil {
		return errNoNode
	}
	if err := kubeadm.Another(n, r.found.Was); err != nil {
		return err
	}
	now, was := kubeadm.IdentityOf(n), r.found.Was
	r.note(n.Name, "another machine: boot %s, before %q; machine %s, before %q", now.BootID, was.BootID, now.MachineID, was.MachineID)
	return nil
}

// errNoNode is that a machine has none where it should.
var errNoNode = errors.New("it has no Node")

// untainted says by what pods would still be evicted from a node.
func untainted(o observe.Observation, machine string) error {
	i := slices.IndexFunc(o.Nodes, func(n observe.Node) bool { return n.Name == machine })
	if i >= 0 && len(o.Nodes[i].NoExecute) > 0 {
		return fmt.Errorf("node %s is tainted %s still", machine, o.Nodes[i].NoExecute[0].Key)
	}
	return nil
}

func (r nodeRecovery) clean(ctx context.Context) error {
	err := cluster.Await(ctx, r.found.Machine+" empty and clean", cluster.Wait{For: r.Spec.Timeout, Every: time.Second}, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*looked)
		defer cancel()
		left, err := leftovers(ctx, r.Target, r.found.Machine)
		if err == nil && len(left) > 0 {
			err = errors.New(strings.Join(left, "; "))
		}
		return err
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w; it stays cordoned: end what is left by hand, and go on", err)
	}
	return err
}

func (r nodeRecovery) uncordon(ctx context.Context) error {
	skip := ""
	err := r.onNode(ctx, "uncordon", func(ctx context.Context, n *corev1.Node) error {
		switch {
		case n == nil:
			return errNoNode
		case n.Annotations[cordonedBy] != byRecovery:
			skip = "this runbook has not cordoned it"
			return nil
		}
		skip = ""
		return r.patch(ctx, fmt.Sprintf(`{"metadata":{"annotations":{%q:null}},"spec":{"unschedulable":null}}`, cordonedBy))
	})
	return skipped(err, skip)
}
