package fault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

// imagePullFails keeps the runtimes of machines from pulling images. What it does is seen on pods whose image no node has yet: one on each of the
// machines, and one on another.
type imagePullFails struct{}

// fitsAnother refuses a fault on all nodes at once: nobody would be left to show what can be had where it is not.
func fitsAnother(s Spec, t cluster.Topology) error {
	if len(t.KubernetesMachines()) <= max(len(s.Machines), 1) {
		return cluster.Usagef("%s of %s: no node is left to compare with", s.Kind, s.Target)
	}
	return nil
}

// witnessOn is the name of a machine's witness.
func witnessOn(machine string) string { return "drydock-witness-" + machine }

// unharmed are the nodes that neither this fault nor another one holds.
func unharmed(e *Env, machines []string) []string {
	return slices.DeleteFunc(e.without(e.Cluster.Topology().KubernetesMachines()), func(m string) bool { return slices.Contains(machines, m) })
}

// Inject has all that will be looked at pull first: where one cannot do that before, nothing it is seen not to do would be the fault's. It is not begun then:
// undoing it would want to see a pull where none succeeds, and the fault would be in place for good.
func (*imagePullFails) Inject(ctx context.Context, e *Env, machines []string) error {
	client, err := e.client(ctx)
	if err != nil {
		return err
	}
	others := unharmed(e, machines)
	if len(others) == 0 {
		return errors.New("no node is left that pulls the image")
	}
	asked := append(slices.Clone(machines), others[0])
	if err := pulled(ctx, client, asked); err != nil {
		err = fmt.Errorf("%s: before it was injected: %w", strings.Join(asked, ", "), err)
		return notBegun(ctx, client, witnessLabel, err)
	}
	if late := e.late(); late != nil {
		return notBegun(ctx, client, witnessLabel, late)
	}
	if err := capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, p cluster.Puller) error { return p.RefusePulls(ctx) }); err != nil {
		return err
	}
	return startWitnesses(ctx, client, asked)
}

// notBegun removes the pods of a fault that was prepared and is not begun; where that fails it is left to who undoes it.
func notBegun(ctx context.Context, client kubernetes.Interface, label string, why error) error {
	if err := removePods(context.WithoutCancel(ctx), client, label); err != nil {
		return errors.Join(why, err)
	}
	return notBegunError{why}
}

// pulled has a new witness on each machine pull its image, and removes it.
func pulled(ctx context.Context, client kubernetes.Interface, machines []string) (err error) {
	defer func() { err = errors.Join(err, removePods(ctx, client, witnessLabel)) }()
	if err := startWitnesses(ctx, client, machines); err != nil {
		return err
	}
	return cluster.Await(ctx, "an image pulled on "+strings.Join(machines, ", "), cluster.Wait{For: pullsWithin}, func(ctx context.Context) error {
		for _, m := range machines {
			if _, err := ran(ctx, client, m); err != nil {
				return err
			}
		}
		return nil
	})
}

func startWitnesses(ctx context.Context, client kubernetes.Interface, machines []string) error {
	for _, m := range machines {
		pod := witness(witnessOn(m))
		pod.Spec.NodeName = m
		if _, err := client.CoreV1().Pods(metav1.NamespaceDefault).Create(ctx, pod, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("witness on %s: %w", m, err)
		}
	}
	return nil
}

// witnessGone is how long a pod that does nothing may take to end, and pullsWithin how long a pull may take.
const (
	witnessGone = 30 * time.Second
	pullsWithin = 30 * time.Second
)

// removePods removes all there are of a label, and waits for it: another of its name is not made beside one that is ending.
func removePods(ctx context.Context, client kubernetes.Interface, label string) error {
	if err := client.CoreV1().Pods(metav1.NamespaceDefault).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: label}); err != nil {
		return fmt.Errorf("pods of %s: %w", label, err)
	}
	return cluster.Await(ctx, "the end of the pods of "+label, cluster.Wait{For: witnessGone}, func(ctx context.Context) error { return noPods(ctx, client, label) })
}

// Recover lets the machines pull again, and has a new witness on each of them do so: the old one's kubelet waits longer after every failure.
func (*imagePullFails) Recover(ctx context.Context, e *Env, machines []string) error {
	if err := capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, p cluster.Puller) error { return p.AllowPulls(ctx) }); err != nil {
		return err
	}
	client, err := e.client(ctx)
	if err != nil {
		return err
	}
	if err := removePods(ctx, client, witnessLabel); err != nil {
		return err
	}
	return pulled(ctx, client, machines)
}

// waits gives why a machine's witness does not run; empty: it does, or has.
func waits(ctx context.Context, client kubernetes.Interface, machine string) (reason, message string, err error) {
	ctx, cancel := context.WithTimeout(ctx, look)
	defer cancel()
	p, err := client.CoreV1().Pods(metav1.NamespaceDefault).Get(ctx, witnessOn(machine), metav1.GetOptions{})
	if err != nil {
		return "", "", fmt.Errorf("no witness on %s: %w", machine, err)
	}
	if len(p.Status.ContainerStatuses) == 0 {
		return string(corev1.PodPending), "its kubelet has said nothing of it", nil
	}
	if w := p.Status.ContainerStatuses[0].State.Waiting; w != nil {
		return w.Reason, w.Message, nil
	}
	return "", "", nil
}

// ran says that a machine's witness has pulled its image and runs.
func ran(ctx context.Context, client kubernetes.Interface, machine string) (plan.Evidence, error) {
	reason, message, err := waits(ctx, client, machine)
	if err == nil && reason != "" {
		err = fmt.Errorf("the witness on %s is %s: %s", machine, reason, message)
	}
	return saw("API server", "the witness on %s has pulled its image and runs", machine), err
}

// Effective: the machines' kubelets say that the image cannot be pulled, and another has pulled it.
func (*imagePullFails) Effective(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	client, err := e.client(ctx)
	if err != nil {
		return nil, err
	}
	var out []plan.Evidence
	for _, m := range machines {
		reason, message, err := waits(ctx, client, m)
		if err != nil {
			return nil, err
		}
		if reason != "ErrImagePull" && reason != "ImagePullBackOff" {
			return nil, fmt.Errorf("the witness on %s does not fail to pull its image, it is %q: %s", m, reason, message)
		}
		out = append(out, saw("kubelet of "+m, "%s: %s", reason, message))
	}
	well, err := elsewhere(e, machines, "no other node has been asked to pull the image", func(m string) (plan.Evidence, error) { return ran(ctx, client, m) })
	if err != nil {
		return nil, err
	}
	return append(out, well...), nil
}

// elsewhere looks at what a pod beside those on the machines says: that one should be well. none says that there is no such pod.
func elsewhere(e *Env, machines []string, none string, look func(machine string) (plan.Evidence, error)) ([]plan.Evidence, error) {
	var out []plan.Evidence
	for _, m := range unharmed(e, machines) {
		seen, err := look(m)
		switch {
		case apierrors.IsNotFound(err): // it is on one of them
		case err != nil:
			return nil, controlError{fmt.Errorf("it should not be affected, and: %w", err)}
		default:
			out = append(out, seen)
		}
	}
	if len(out) == 0 && len(e.besides) == 0 { // else it may be on one that another fault holds by now
		return nil, controlError{errors.New(none)}
	}
	return out, nil
}

// noPods says which pod of a label is still there.
func noPods(ctx context.Context, client kubernetes.Interface, label string) error {
	left, err := client.CoreV1().Pods(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{LabelSelector: label})
	if err == nil && len(left.Items) > 0 {
		err = fmt.Errorf("%s is there", left.Items[0].Name)
	}
	if err != nil {
		return fmt.Errorf("pods of %s: %w", label, err)
	}
	return nil
}

// Recovered: Recover has seen the image pulled; no witness is left.
func (*imagePullFails) Recovered(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	client, err := e.client(ctx)
	if err != nil {
		return nil, err
	}
	if err := noPods(ctx, client, witnessLabel); err != nil {
		return nil, err
	}
	return []plan.Evidence{saw("API server", "a new witness has pulled its image on %s, and none is left", strings.Join(machines, ", "))}, nil
}
