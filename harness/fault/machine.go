package fault

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// machinePowerOff cuts a machine's power.
type machinePowerOff struct {
	apart time.Duration     // between two machines
	boots map[string]string // boot ids from before, when this process injected it
}

func (f *machinePowerOff) Inject(ctx context.Context, e *Env, machines []string) error {
	f.boots = map[string]string{}
	for _, name := range machines {
		id, err := bootID(ctx, e, name)
		if err != nil {
			return err
		}
		f.boots[name] = id
	}
	off := func(machines ...string) error {
		return capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, p cluster.Power) error { return p.Off(ctx) })
	}
	if f.apart == 0 {
		return off(machines...)
	}
	for i, name := range machines {
		if i > 0 {
			select {
			case <-time.After(f.apart):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if err := off(name); err != nil {
			return err
		}
	}
	return nil
}

func bootID(ctx context.Context, e *Env, name string) (string, error) {
	m, err := e.Cluster.Machine(name)
	if err != nil {
		return "", err
	}
	p, err := cluster.As[cluster.Power](m)
	if err != nil {
		return "", err
	}
	return p.BootID(ctx)
}

func (f *machinePowerOff) Recover(ctx context.Context, e *Env, machines []string) error {
	return capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, p cluster.Power) error {
		return p.On(ctx)
	})
}

// Effective: the machine's address is dead on the network, from a peer where there is one, and its power is off.
func (f *machinePowerOff) Effective(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	var out []plan.Evidence
	for _, name := range machines {
		err := dialMachine(ctx, e, machines, name)
		if err == nil {
			return nil, fmt.Errorf("%s still answers on the network", name)
		}
		out = append(out, saw("network", "%s does not answer: %v", name, err))
	}
	if err := capability(ctx, e, machines, func(ctx context.Context, m cluster.Machine, p cluster.Power) error {
		on, err := p.Powered(ctx)
		if err == nil && on {
			err = fmt.Errorf("%s is still on", m.Name())
		}
		return err
	}); err != nil {
		return nil, err
	}
	return others(ctx, e, machines, append(out, saw("provider", "%s off", strings.Join(machines, ", "))))
}

// dialMachine connects to a port that is open while the machine is well: etcd's, or the kubelet's.
func dialMachine(ctx context.Context, e *Env, victims []string, name string) error {
	ctx, cancel := context.WithTimeout(ctx, look)
	defer cancel()
	conn, err := connect(ctx, e, victims, name)
	if err != nil {
		return err
	}
	return conn.Close()
}

// connect does so from a peer that is no victim, where there is one, and else from outside the machines.
func connect(ctx context.Context, e *Env, victims []string, name string) (net.Conn, error) {
	m, err := e.Cluster.Machine(name)
	if err != nil {
		return nil, err
	}
	dial := e.Cluster.Dial
	if _, d, err := peerOf(e, victims); err == nil {
		dial = d.Dial
	}
	return dial(ctx, "tcp", net.JoinHostPort(m.Addr().String(), strconv.Itoa(servicePort(e, name))))
}

func servicePort(e *Env, name string) int {
	const kubeletPort = 10250
	if slices.Contains(e.Etcd.Machines(), name) {
		return etcd.ClientPort
	}
	return kubeletPort
}

// Recovered: a new boot id, and everything the machine served is served again.
func (f *machinePowerOff) Recovered(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	var out []plan.Evidence
	for _, name := range machines {
		id, err := bootID(ctx, e, name)
		if err != nil {
			return nil, err
		}
		if before := f.boots[name]; before == id {
			return nil, fmt.Errorf("%s has the boot id from before the power cut", name)
		}
		out = append(out, saw("boot id", "%s has booted: %s, before %s", name, id, f.boots[name]))
	}
	back, err := served(ctx, e, machines)
	return append(out, back...), err
}

// served: members agree, the machines' own API servers are ready and their kubelets say that they are well.
func served(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	out, err := agreed(ctx, e)
	if err != nil {
		return nil, err
	}
	t := e.Cluster.Topology()
	for _, name := range machines {
		if slices.Contains(t.WorkerMachines(), name) {
			if err := wellKubelet(ctx, e, name); err != nil {
				return nil, err
			}
			out = append(out, saw("network", "the kubelet on %s answers that it is well", name))
		}
		if !t.Kubernetes() || !slices.Contains(t.ControlPlaneMachines(), name) {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, look)
		err := kubeadm.Health(ctx, e.Cluster, name, "/readyz")
		cancel()
		if err != nil {
			return nil, err
		}
		out = append(out, saw("API server", "%s is ready", name))
	}
	return out, nil
}

// wellKubelet asks a machine's kubelet: that somebody listens there says nothing of one that is stopped.
func wellKubelet(ctx context.Context, e *Env, machine string) error {
	s, err := findService(observe.Kubelet)
	if err != nil {
		return err
	}
	l, err := s.open(ctx, e, machine)
	if err != nil {
		return err
	}
	defer l.close()
	return l.well(ctx)
}

// machineIsolate cuts a machine off from everybody.
type machineIsolate struct{}

func (*machineIsolate) Inject(ctx context.Context, e *Env, machines []string) error {
	return capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, l cluster.Links) error {
		return l.Cut(ctx, cluster.BothWays)
	})
}

func (*machineIsolate) Recover(ctx context.Context, e *Env, machines []string) error {
	return capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, l cluster.Links) error {
		return l.HealLinks(ctx)
	})
}

// Effective: a peer cannot reach the machine, another it can, and packets were dropped. The counter alone would be the injector's word.
func (*machineIsolate) Effective(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	peer, d, err := peerOf(e, machines)
	if err != nil {
		return nil, err
	}
	var out []plan.Evidence
	for _, name := range machines {
		m, err := e.Cluster.Machine(name)
		if err != nil {
			return nil, err
		}
		err = reach(ctx, d, m.Addr(), servicePort(e, name))
		if err == nil {
			return nil, fmt.Errorf("%s still reaches %s", peer.Name(), name)
		}
		if cluster.FailureOf(err) == cluster.Refused {
			return nil, fmt.Errorf("%s is not cut off, it refuses %s: %w", name, peer.Name(), err)
		}
		out = append(out, saw(peer.Name(), "%s cannot be reached: %v", name, err))
	}
	if err := capability(ctx, e, machines, func(ctx context.Context, m cluster.Machine, l cluster.Links) error {
		n, err := l.Dropped(ctx)
		if err == nil && n == 0 {
			err = errors.New(m.Name() + " has dropped no packet")
		}
		return err
	}); err != nil {
		return nil, err
	}
	return others(ctx, e, machines, out)
}

func (*machineIsolate) Recovered(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	return served(ctx, e, machines)
}
