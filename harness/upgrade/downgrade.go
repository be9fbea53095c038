package upgrade

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// downgrade is what comes before members may go down to an older minor version.
type downgrade struct {
	*Upgrade
	from, version string
}

// gone is how far it has come: members that run the older version, or that the cluster is at it.
func (d downgrade) gone(ctx context.Context) (members []string, enabled bool, err error) {
	enabled = true
	for _, name := range d.Topology.EtcdMachines() {
		v, err := d.Target.Etcd.Versions(ctx, name)
		if err != nil {
			return nil, false, err
		}
		if etcd.Older(v.Server, d.from) {
			members = append(members, name)
		}
		enabled = enabled && etcd.Minor(v.Cluster) == etcd.Minor(d.version) && (v.Storage == "" || etcd.Minor(v.Storage) == etcd.Minor(d.version))
	}
	return members, enabled, nil
}

// enable has etcd go down, and waits until every member's data is what the older version can read.
func (d downgrade) enable(ctx context.Context) error {
	members, enabled, err := d.gone(ctx)
	switch {
	case err != nil:
		return err
	case enabled, len(members) > 0:
		return fmt.Errorf("%w: the cluster is at %s already", plan.ErrSkip, etcd.Minor(d.version))
	}
	down, err := d.Target.Members.Downgrading(ctx, d.Topology.EtcdMachines()[0])
	if err != nil {
		return err
	}
	if down != etcd.Minor(d.version) {
		if err := d.Target.Etcd.BeginDowngrade(ctx, etcd.Minor(d.version)); err != nil {
			return err
		}
	}
	return cluster.Await(ctx, "the cluster and its data at "+etcd.Minor(d.version), cluster.Wait{For: d.Spec.MachineTimeout, Every: observe.Every}, func(ctx context.Context) error {
		_, enabled, err := d.gone(ctx)
		if err == nil && !enabled {
			err = errors.New("not every member has them there")
		}
		return err
	})
}

// cancel takes the cluster up again where none of its members has gone down.
func (d downgrade) cancel(ctx context.Context) error {
	members, _, err := d.gone(ctx)
	switch {
	case err != nil:
		return err
	case len(members) > 0:
		return fmt.Errorf("%w: the members on %s have gone down already; the same command again goes on with the others", plan.ErrSkip, strings.Join(members, ", "))
	}
	down, err := d.Target.Members.Downgrading(ctx, d.Topology.EtcdMachines()[0])
	if err != nil {
		return err
	}
	if down == "" {
		return fmt.Errorf("%w: the cluster was not told to go down", plan.ErrSkip)
	}
	return d.Target.Etcd.CancelDowngrade(ctx)
}
