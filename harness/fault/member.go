package fault

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/plan"
)

const look = 2 * time.Second // how long one observation may take

// memberCrash kills etcd and keeps it down.
type memberCrash struct{}

func (*memberCrash) Inject(ctx context.Context, e *Env, machines []string) error {
	return capability(ctx, e, machines, func(ctx context.Context, m cluster.Machine, k cluster.Killer) error {
		return hold(ctx, m.Name(), k, etcd.Program)
	})
}

// hold kills a program so that it stays dead.
func hold(ctx context.Context, machine string, k cluster.Killer, program string) error {
	if _, err := k.Hold(ctx, program); err != nil { // one way or the other: it stays down
		return err
	}
	return kill(ctx, machine, k, program)
}

func kill(ctx context.Context, machine string, k cluster.Killer, program string) error {
	n, err := k.Kill(ctx, program)
	if err == nil && n == 0 { // it was dead before, whoever did that
		err = fmt.Errorf("no process named %s was there to kill on %s", program, machine)
	}
	return err
}

func (*memberCrash) Recover(ctx context.Context, e *Env, machines []string) error {
	return capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, k cluster.Killer) error {
		return k.Release(ctx, etcd.Program)
	})
}

// Effective: the victim refuses connections, which only a dead process does, and the others still answer.
func (*memberCrash) Effective(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	var out []plan.Evidence
	for _, name := range machines {
		err := dialMember(ctx, e, name)
		if err == nil {
			return nil, fmt.Errorf("the member on %s still accepts connections", name)
		}
		if cluster.FailureOf(err) != cluster.Refused {
			return nil, fmt.Errorf("the member on %s is not dead: %w", name, err)
		}
		out = append(out, saw("lab network", "the member on %s refuses connections: %v", name, err))
	}
	return others(ctx, e, machines, out)
}

func (*memberCrash) Recovered(ctx context.Context, e *Env, _ []string) ([]plan.Evidence, error) {
	return agreed(ctx, e)
}

// dialMember connects to a member's client port from outside its machine.
func dialMember(ctx context.Context, e *Env, name string) error {
	m, err := e.Cluster.Machine(name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, look)
	defer cancel()
	conn, err := e.Cluster.Dial(ctx, "tcp", net.JoinHostPort(m.Addr().String(), strconv.Itoa(etcd.ClientPort)))
	if err != nil {
		return err
	}
	return conn.Close()
}

// others adds that the members which should not be affected answer: the control of the experiment.
func others(ctx context.Context, e *Env, machines []string, out []plan.Evidence) ([]plan.Evidence, error) {
	down := map[string]bool{}
	for _, m := range append(slices.Clone(machines), e.besides...) {
		down[m] = true
	}
	var up []string
	for _, m := range e.Members.Members(ctx, look) {
		if down[m.Machine] {
			continue
		}
		if m.Error != "" {
			return nil, controlError{fmt.Errorf("the member on %s should not be affected, and: %s", m.Machine, m.Error)}
		}
		up = append(up, m.Machine)
	}
	if len(up) > 0 {
		out = append(out, saw("etcd status", "unaffected members answer: %s%s", strings.Join(up, ", "), e.held()))
	}
	return out, nil
}

// agreed: every member that no other fault holds answers, votes and follows the same leader.
func agreed(ctx context.Context, e *Env) ([]plan.Evidence, error) {
	members := slices.DeleteFunc(e.Members.Members(ctx, look), func(m etcd.Member) bool { return slices.Contains(e.besides, m.Machine) })
	if err := etcd.Agree(members); err != nil {
		return nil, err
	}
	return []plan.Evidence{saw("etcd status", "all %d members answer, vote and follow leader %x in term %d%s", len(members), members[0].Leader, members[0].Term, e.held())}, nil
}

// memberFreeze stops etcd with its sockets open.
type memberFreeze struct{}

func (*memberFreeze) Inject(ctx context.Context, e *Env, machines []string) error {
	return capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, f cluster.Freezer) error {
		return f.Freeze(ctx, etcd.Program)
	})
}

func (*memberFreeze) Recover(ctx context.Context, e *Env, machines []string) error {
	return capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, f cluster.Freezer) error {
		return f.Thaw(ctx, etcd.Program)
	})
}

// statuses are what the members say, by machine.
func statuses(ctx context.Context, e *Env) map[string]etcd.Member {
	out := map[string]etcd.Member{}
	for _, m := range e.Members.Members(ctx, look) {
		out[m.Machine] = m
	}
	return out
}

// Effective: the kernel still accepts connections to the victim, and nobody answers on them.
func (*memberFreeze) Effective(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	var out []plan.Evidence
	status := statuses(ctx, e)
	for _, name := range machines {
		if err := dialMember(ctx, e, name); err != nil {
			return nil, fmt.Errorf("the member on %s is not frozen but gone: %w", name, err)
		}
		if status[name].Error == "" {
			return nil, fmt.Errorf("the member on %s still answers", name)
		}
		out = append(out, saw("lab network", "the member on %s accepts connections and answers nothing: %s", name, status[name].Error))
	}
	return others(ctx, e, machines, out)
}

func (*memberFreeze) Recovered(ctx context.Context, e *Env, _ []string) ([]plan.Evidence, error) {
	return agreed(ctx, e)
}

// memberDataLoss kills etcd and takes its data away; the member comes back as a new one, by way of a learner.
type memberDataLoss struct{}

func (*memberDataLoss) Inject(ctx context.Context, e *Env, machines []string) error {
	return capability(ctx, e, machines, func(ctx context.Context, m cluster.Machine, k cluster.Killer) error {
		if err := hold(ctx, m.Name(), k, etcd.Program); err != nil {
			return err
		}
		return etcd.Wipe(ctx, m)
	})
}

func (*memberDataLoss) Recover(ctx context.Context, e *Env, machines []string) error {
	var errs []error
	for _, name := range machines { // one at a time: the cluster takes one learner at a time
		errs = append(errs, e.Etcd.Replace(ctx, name))
	}
	return errors.Join(errs...)
}

// Effective: the victim is dead and its disk has no data any more.
func (*memberDataLoss) Effective(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	out, err := (&memberCrash{}).Effective(ctx, e, machines)
	if err != nil {
		return nil, err
	}
	for _, name := range machines {
		m, err := e.Cluster.Machine(name)
		if err != nil {
			return nil, err
		}
		if err := etcd.Wiped(ctx, m); err != nil {
			return nil, err
		}
		out = append(out, saw("disk of "+name, "%s is gone", etcd.DataDir+"/member"))
	}
	return out, nil
}

func (*memberDataLoss) Recovered(ctx context.Context, e *Env, _ []string) ([]plan.Evidence, error) {
	return agreed(ctx, e)
}

// peerOf finds a machine that is not among the victims, of this fault or of another, to observe from.
func peerOf(e *Env, victims []string) (cluster.Machine, cluster.Dialer, error) {
	for _, m := range e.Cluster.Machines() {
		victim := false
		for _, v := range append(slices.Clone(victims), e.besides...) {
			victim = victim || v == m.Name()
		}
		if d, err := cluster.As[cluster.Dialer](m); !victim && err == nil {
			return m, d, nil
		}
	}
	return nil, nil, errors.New("no machine is left to observe from")
}

// reach connects from a peer to a port of a machine.
func reach(ctx context.Context, d cluster.Dialer, addr netip.Addr, port int) error {
	ctx, cancel := context.WithTimeout(ctx, look)
	defer cancel()
	conn, err := d.Dial(ctx, "tcp", net.JoinHostPort(addr.String(), strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return conn.Close()
}
