package fault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// serviceFault does something to a service of machines.
type serviceFault struct {
	act, name string

	mu    sync.Mutex
	lines map[string]*line // to the processes from before, of who is to be seen to end
	done  bool             // by this process: another must have taken their place
}

func (f *serviceFault) service() service {
	s, _ := findService(f.name) // what is unknown was refused
	return s
}

func (f *serviceFault) Inject(ctx context.Context, e *Env, machines []string) error {
	s := f.service()
	if f.ends() {
		for _, m := range machines {
			if _, err := f.before(ctx, e, m); err != nil {
				return fmt.Errorf("who is to end is not known: %w", err)
			}
		}
		f.mu.Lock()
		f.done = true
		f.mu.Unlock()
	}
	switch f.act {
	case frozen:
		return capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, z cluster.Freezer) error { return z.Freeze(ctx, s.name) })
	case killed:
		return capability(ctx, e, machines, func(ctx context.Context, m cluster.Machine, k cluster.Killer) error {
			return kill(ctx, m.Name(), k, s.name)
		})
	case restarted:
		return systemctl(ctx, e, machines, "systemctl restart "+s.name)
	}
	if !s.unit(e.Cluster.Topology()) {
		return capability(ctx, e, machines, func(ctx context.Context, m cluster.Machine, k cluster.Killer) error {
			return hold(ctx, m.Name(), k, s.name)
		})
	}
	// Held first: so it is not started by whoever comes, and where a machine undoes a fault by itself it knows what to undo.
	err := capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, k cluster.Killer) error {
		_, err := k.Hold(ctx, s.name)
		return err
	})
	return errors.Join(err, systemctl(ctx, e, machines, "systemctl stop "+s.name))
}

// systemctl runs a script of it on all the machines at once.
func systemctl(ctx context.Context, e *Env, machines []string, script string) error {
	return capability(ctx, e, machines, func(ctx context.Context, m cluster.Machine, _ cluster.Machine) error {
		_, err := cluster.Shell(ctx, m, script)
		return err
	})
}

func (f *serviceFault) Recover(ctx context.Context, e *Env, machines []string) error {
	s := f.service()
	var err error
	switch f.act {
	case frozen:
		return capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, z cluster.Freezer) error { return z.Thaw(ctx, s.name) })
	case stopped:
		err = capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, k cluster.Killer) error { return k.Release(ctx, s.name) })
	}
	if !s.unit(e.Cluster.Topology()) {
		return err // its kubelet starts it
	}
	// What systemd is about to start anew by itself is left to it.
	start := fmt.Sprintf(`case "$(systemctl is-active %[1]s || true)" in active|activating|reloading) ;; *) systemctl start %[1]s;; esac`, s.name)
	return errors.Join(err, systemctl(ctx, e, machines, start))
}

// ends reports whether the fault is over as soon as it is done: the process ends, and another takes its place.
func (f *serviceFault) ends() bool { return f.act == killed || f.act == restarted }

// before gives the line to the process a machine had at the first look, which is before the fault.
func (f *serviceFault) before(ctx context.Context, e *Env, machine string) (*line, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.lines[machine]; l != nil {
		return l, nil
	}
	l, err := f.service().open(ctx, e, machine)
	if err != nil {
		return nil, err
	}
	if err := l.learn(ctx); err != nil {
		l.close()
		return nil, err
	}
	if f.lines == nil {
		f.lines = map[string]*line{}
	}
	f.lines[machine] = l
	return l, nil
}

// Effective: a service that is stopped refuses connections; one that is frozen accepts them, answers nothing and is in state T; one that was killed or
// restarted listens no more, or another process answers in its place. The same service answers wherever nothing was done to it.
func (f *serviceFault) Effective(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	var out []plan.Evidence
	for _, m := range machines {
		seen, err := f.effect(ctx, e, m)
		if err != nil {
			return nil, err
		}
		out = append(out, seen...)
	}
	return f.service().unaffected(ctx, e, machines, out)
}

func (f *serviceFault) effect(ctx context.Context, e *Env, machine string) ([]plan.Evidence, error) {
	s := f.service()
	if f.ends() {
		l, err := f.before(ctx, e, machine)
		if err != nil {
			return nil, err
		}
		how, err := l.ended(ctx)
		if err != nil {
			return nil, err
		}
		return []plan.Evidence{saw(s.from(machine), "%s on %s, of %s: %s", s.name, machine, l.started.Format(time.TimeOnly), how)}, nil
	}
	l, err := s.open(ctx, e, machine)
	if err != nil {
		return nil, err
	}
	defer l.close()
	err = l.answers(ctx)
	if err == nil {
		return nil, fmt.Errorf("%s on %s still answers", s.name, machine)
	}
	if f.act == stopped {
		if cluster.FailureOf(err) != cluster.Refused {
			return nil, fmt.Errorf("%s on %s has not ended: %w", s.name, machine, err)
		}
		return []plan.Evidence{saw(s.from(machine), "%s on %s refuses connections: %v", s.name, machine, err)}, nil
	}
	if cluster.FailureOf(err) != cluster.Deadline {
		return nil, fmt.Errorf("%s on %s is not frozen but gone: %w", s.name, machine, err)
	}
	if err := l.knock(ctx); err != nil {
		return nil, fmt.Errorf("%s on %s is not frozen but gone: %w", s.name, machine, err)
	}
	out := []plan.Evidence{saw(s.from(machine), "%s on %s accepts connections and answers nothing: %v", s.name, machine, err)}
	err = capability(ctx, e, []string{machine}, func(ctx context.Context, m cluster.Machine, z cluster.Freezer) error {
		state, err := z.State(ctx, s.name)
		if err == nil && state != "T" {
			err = fmt.Errorf("%s on %s is in state %q and not stopped", s.name, m.Name(), state)
		}
		return err
	})
	return append(out, saw("/proc of "+machine, "%s is stopped (T)", s.name)), err
}

// from is where a look at the service comes from.
func (s service) from(machine string) string {
	if s.inside {
		return "loopback of " + machine
	}
	return "network"
}

// unaffected adds that the service answers on all other machines, the control of the experiment; where it has none, that the other services of its
// machines do which it does not touch.
func (s service) unaffected(ctx context.Context, e *Env, machines []string, out []plan.Evidence) ([]plan.Evidence, error) {
	if s.name == etcd.Program {
		return others(ctx, e, machines, out)
	}
	type place struct {
		service
		machine string
	}
	var places []place
	t := e.Cluster.Topology()
	for _, m := range s.on(t) {
		if !slices.Contains(append(slices.Clone(machines), e.besides...), m) {
			places = append(places, place{s, m})
		}
	}
	if len(places) == 0 {
		for _, x := range services() {
			for _, m := range machines {
				if !slices.Contains(s.touches, x.name) && slices.Contains(x.on(t), m) {
					places = append(places, place{x, m})
				}
			}
		}
	}
	var g errgroup.Group
	var said []string
	for _, p := range places {
		said = append(said, p.name+" on "+p.machine)
		g.Go(func() error {
			l, err := p.open(ctx, e, p.machine)
			if err != nil {
				return err
			}
			defer l.close()
			return l.answers(ctx)
		})
	}
	if err := g.Wait(); err != nil {
		return nil, controlError{fmt.Errorf("it should not be affected, and: %w", err)}
	}
	if len(said) > 0 {
		out = append(out, saw("network", "what is not affected answers: %s%s", strings.Join(said, ", "), e.held()))
	}
	return out, nil
}

// Recovered: the service answers that it is well, as another process where it was to be one, and what hangs on it has come back: a kubelet's node is
// Ready, an API server is, the leases are held and renewed, the members agree.
func (f *serviceFault) Recovered(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	s := f.service()
	var out []plan.Evidence
	for _, m := range machines {
		l, err := s.open(ctx, e, m)
		if err != nil {
			return nil, err
		}
		defer l.close()
		if err := l.well(ctx); err != nil {
			return nil, err
		}
		if f.ends() {
			if err := l.learn(ctx); err != nil {
				return nil, err
			}
			f.mu.Lock()
			old, done := f.lines[m], f.done
			f.mu.Unlock()
			if done && !l.started.After(old.started) {
				return nil, fmt.Errorf("%s on %s is of %s, the process from before", s.name, m, l.started.Format(time.TimeOnly))
			}
			out = append(out, saw(s.from(m), "%s on %s says that it started at %s", s.name, m, l.started.Format(time.TimeOnly)))
		}
		out = append(out, saw(s.from(m), "%s on %s answers that it is well", s.name, m))
	}
	back, err := s.served(ctx, e, machines)
	return append(out, back...), err
}

// served adds that what hangs on the service is there again.
func (s service) served(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	switch s.name {
	case etcd.Program:
		return agreed(ctx, e)
	case observe.APIServer:
		return served(ctx, e, machines)
	}
	client, err := kubeadm.AdminClient(ctx, e.Cluster)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, look)
	defer cancel()
	if s.name == observe.Kubelet {
		return nodesBack(ctx, client, machines)
	}
	lease, err := client.CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, s.name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("lease %s: %w", s.name, err)
	}
	x := lease.Spec
	if x.HolderIdentity == nil || *x.HolderIdentity == "" || x.RenewTime == nil || x.LeaseDurationSeconds == nil {
		return nil, fmt.Errorf("nobody holds the lease %s", s.name)
	}
	if old := time.Since(x.RenewTime.Time); old > time.Duration(*x.LeaseDurationSeconds)*time.Second {
		return nil, fmt.Errorf("the lease %s of %s was renewed %s ago", s.name, *x.HolderIdentity, old.Round(100*time.Millisecond))
	}
	return []plan.Evidence{saw("API server", "the lease %s is held by %s and renewed", s.name, *x.HolderIdentity)}, nil
}

// nodesBack: the nodes are Ready, and nothing evicts pods from them.
func nodesBack(ctx context.Context, client kubernetes.Interface, machines []string) ([]plan.Evidence, error) {
	var out []plan.Evidence
	for _, m := range machines {
		n, err := client.CoreV1().Nodes().Get(ctx, m, metav1.GetOptions{})
		if err != nil {
			return nil, fmt.Errorf("node %s: %w", m, err)
		}
		if err := kubeadm.NodeReady(n); err != nil {
			return nil, err
		}
		for _, t := range n.Spec.Taints {
			if t.Effect == corev1.TaintEffectNoExecute && strings.HasPrefix(t.Key, "node.kubernetes.io/") {
				return nil, fmt.Errorf("node %s is Ready, and tainted %s", m, t.Key)
			}
		}
		out = append(out, saw("API server", "node %s is Ready and has no taint that evicts", m))
	}
	return out, nil
}
