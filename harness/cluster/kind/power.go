package kind

import (
	"context"
	"fmt"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

// Off kills the container's first process, and with it the kernel kills all others.
func (m *Machine) Off(ctx context.Context) error {
	_, err := m.docker().out(ctx, "kill", m.name)
	if said(err, "is not running") {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("%s: off: %w", m.name, err)
	}
	return cluster.Await(ctx, m.name+" off", cluster.Wait{For: time.Minute, Every: 50 * time.Millisecond}, func(ctx context.Context) error {
		on, err := m.Powered(ctx)
		if err == nil && on {
			err = fmt.Errorf("its container still runs")
		}
		return err
	})
}

// answersWithin is how long a node may take from its start until its systemd answers.
const answersWithin = 2 * time.Minute

// On starts the container, with the address it had: etcd knows its members by their addresses, and Docker gives the lowest that is free. That is asked
// for while the container is off, in a network of the cluster's own where nobody else takes it.
func (m *Machine) On(ctx context.Context) error {
	on, err := m.Powered(ctx)
	if err != nil {
		return err
	}
	if !on {
		network := prefix + m.cluster.record.Topology.Name
		if _, err := m.docker().out(ctx, "network", "disconnect", network, m.name); err != nil && !said(err, "is not connected") {
			return fmt.Errorf("%s: on: %w", m.name, err)
		}
		if _, err := m.docker().out(ctx, "network", "connect", "--ip", m.addr.String(), network, m.name); err != nil && !said(err, "already exists") {
			return fmt.Errorf("%s: on: its address %s: %w", m.name, m.addr, err)
		}
		if _, err := m.docker().out(ctx, "start", m.name); err != nil {
			return fmt.Errorf("%s: on: %w", m.name, err)
		}
	}
	return cluster.Await(ctx, m.name+" on", cluster.Wait{For: answersWithin, Every: 200 * time.Millisecond}, func(ctx context.Context) error {
		got, there, err := m.docker().inspect(ctx, m.name)
		if err != nil || !there {
			return fmt.Errorf("its container (there: %t): %w", there, err)
		}
		if at := got.NetworkSettings.Networks[prefix+m.cluster.record.Topology.Name].IPAddress; at != m.addr.String() {
			return fmt.Errorf("it has the address %q and not its own, %s", at, m.addr)
		}
		r, err := m.Exec(ctx, cluster.Command{Args: []string{"systemctl", "show", "--property=Version"}})
		if err != nil {
			return fmt.Errorf("its systemd: %q: %w", r.Stdout, err)
		}
		return nil
	})
}

// Reboot cuts the power and gives it back.
func (m *Machine) Reboot(ctx context.Context) error {
	if err := m.Off(ctx); err != nil {
		return err
	}
	return m.On(ctx)
}

// BootID is when Docker started the container: the kernel, and its boot id, are the host's.
func (m *Machine) BootID(ctx context.Context) (string, error) {
	c, there, err := m.docker().inspect(ctx, m.name)
	if err == nil && !there {
		err = fmt.Errorf("%s: there is no such container", m.name)
	}
	return c.State.StartedAt, err
}

// Powered asks Docker, not the node.
func (m *Machine) Powered(ctx context.Context) (bool, error) {
	c, there, err := m.docker().inspect(ctx, m.name)
	if err == nil && !there {
		err = fmt.Errorf("%s: there is no such container", m.name)
	}
	return c.State.Running, err
}

// Pause stops everything in the container (the freezer of cgroups(7)).
func (m *Machine) Pause(ctx context.Context) error {
	if _, err := m.docker().out(ctx, "pause", m.name); err != nil && !said(err, "already paused") {
		return fmt.Errorf("%s: pause: %w", m.name, err)
	}
	return nil
}

// Resume lets it go on.
func (m *Machine) Resume(ctx context.Context) error {
	if _, err := m.docker().out(ctx, "unpause", m.name); err != nil && !said(err, "is not paused", "is not running") {
		return fmt.Errorf("%s: resume: %w", m.name, err)
	}
	return nil
}

// Paused asks Docker.
func (m *Machine) Paused(ctx context.Context) (bool, error) {
	c, there, err := m.docker().inspect(ctx, m.name)
	if err == nil && !there {
		err = fmt.Errorf("%s: there is no such container", m.name)
	}
	return c.State.Paused, err
}
