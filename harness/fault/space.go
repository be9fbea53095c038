package fault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/plan"
)

// etcdNoSpace fills etcd's database to its quota by writing one key over and over: all but its last value is history, which a compaction drops. What undoes
// it is what an operator has to do.
type etcdNoSpace struct{}

// What is written, in values of a size that etcd takes (its --max-request-bytes is 1.5 MiB).
const (
	fillKey     = "/drydock/fill"
	fillValue   = cluster.Size(1 << 20)
	fillAtMost  = cluster.Size(128 << 20)
	fillsWithin = 10 * time.Second // one of them
)

func fitsNoSpace(s Spec, t cluster.Topology) error {
	switch {
	case t.Kubernetes():
		return cluster.Usagef("%s: of etcd alone (etcd: only): where etcd takes no writes every lease of Kubernetes ends", s.Kind)
	case t.EtcdQuota == 0:
		return cluster.Usagef("%s: the cluster's etcd is full at its own quota, which is 2Gi: give it a smaller one, such as `etcdQuota: 32Mi`", s.Kind)
	case t.EtcdQuota > fillAtMost:
		return cluster.Usagef("%s: etcdQuota is %s, and no more than %s are filled", s.Kind, t.EtcdQuota, fillAtMost)
	}
	return nil
}

// Inject writes to the members until they have no space. Each looks at his own quota when he is asked to write, and whoever of all is the first to find it
// used up raises the alarm for himself; then the others come no further.
func (*etcdNoSpace) Inject(ctx context.Context, e *Env, machines []string) error {
	for _, m := range machines {
		if err := fill(ctx, e, m); err != nil {
			return fmt.Errorf("fill etcd by the member on %s: %w", m, err)
		}
	}
	return nil
}

func fill(ctx context.Context, e *Env, machine string) error {
	c, err := e.Etcd.Client(ctx, machine)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	value := strings.Repeat("x", int(fillValue))
	for range fillAtMost/fillValue + 1 {
		err := put(ctx, c, fillKey, value, fillsWithin)
		if errors.Is(err, rpctypes.ErrNoSpace) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("it has taken %s and more", fillAtMost)
}

func put(ctx context.Context, c *clientv3.Client, key, value string, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	_, err := c.Put(ctx, key, value)
	return err
}

// Recover removes what was written, which a full etcd lets one do, and makes space as an operator would. Where nothing was written and nobody has
// raised the alarm there is nothing to undo; but whoever was cut off before may have removed it and made no space yet.
func (*etcdNoSpace) Recover(ctx context.Context, e *Env, machines []string) error {
	c, err := e.Etcd.Client(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	within, cancel := context.WithTimeout(ctx, fillsWithin)
	defer cancel()
	gone, err := c.Delete(within, fillKey)
	if err != nil {
		return fmt.Errorf("remove %s: %w", fillKey, err)
	}
	full, err := e.Members.NoSpace(within, asked(e, machines))
	if err != nil || gone.Deleted == 0 && len(full) == 0 && tight(e.Members.Members(within, look), e.Cluster.Topology().EtcdQuota) == nil {
		return err
	}
	return e.Members.MakeSpace(ctx)
}

// tight refuses a database that has less than half its quota left.
func tight(members []etcd.Member, quota cluster.Size) error {
	for _, m := range members {
		if size := cluster.Size(m.DBSize); size > quota/2 {
			return fmt.Errorf("the database of the member on %s has %s of a quota of %s", m.Machine, size, quota)
		}
	}
	return nil
}

// asked is a machine whose member is asked about those of others; the first where there is no other.
func asked(e *Env, machines []string) string {
	all := e.Etcd.Machines()
	if i := slices.IndexFunc(all, func(m string) bool { return !slices.Contains(machines, m) }); i >= 0 {
		return all[i]
	}
	return all[0]
}

// Effective: a member that was not written to has an alarm in its list. The victims and it refuse to write for that reason, and it still reads.
func (*etcdNoSpace) Effective(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	ask := asked(e, machines)
	within, cancel := context.WithTimeout(ctx, 2*look)
	defer cancel()
	full, err := e.Members.NoSpace(within, ask)
	if err != nil {
		return nil, err
	}
	if len(full) == 0 {
		return nil, fmt.Errorf("the member on %s lists no alarm NOSPACE", ask)
	}
	out := []plan.Evidence{saw("alarms on "+ask, "NOSPACE of %s", strings.Join(full, ", "))}
	for _, m := range append(slices.Clone(machines), ask) {
		err := writeBy(within, e, m)
		switch {
		case err == nil:
			return nil, fmt.Errorf("the member on %s still writes", m)
		case !errors.Is(err, rpctypes.ErrNoSpace):
			return nil, fmt.Errorf("the member on %s does not refuse to write for want of space: %w", m, err)
		}
		out = append(out, saw("a write by "+m, "refused: %v", err))
	}
	c, err := e.Etcd.Client(ctx, ask)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Get(within, fillKey, clientv3.WithKeysOnly()); err != nil {
		return nil, controlError{fmt.Errorf("reads should not be affected, and a linearizable one by the member on %s: %w", ask, err)}
	}
	return others(ctx, e, machines, append(out, saw("a read by "+ask, "answered")))
}

// writeBy has a member write something of no meaning, and remove it.
func writeBy(ctx context.Context, e *Env, machine string) error {
	c, err := e.Etcd.Client(ctx, machine)
	if err != nil {
		return err
	}
	err = put(ctx, c, stirKey, "", look)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, look)
		defer cancel()
		_, err = c.Delete(ctx, stirKey)
	}
	return errors.Join(err, c.Close())
}

// Recovered: no member has an alarm, all write, and each has room below the quota.
func (*etcdNoSpace) Recovered(ctx context.Context, e *Env, _ []string) ([]plan.Evidence, error) {
	out, err := agreed(ctx, e) // which no member with an alarm does
	if err != nil {
		return nil, err
	}
	for _, name := range e.Etcd.Machines() {
		if err := writeBy(ctx, e, name); err != nil {
			return nil, fmt.Errorf("a write by the member on %s: %w", name, err)
		}
	}
	quota, members := e.Cluster.Topology().EtcdQuota, e.Members.Members(ctx, look)
	if err := tight(members, quota); err != nil {
		return nil, err
	}
	for _, m := range members {
		if m.Error != "" {
			return nil, fmt.Errorf("what the member on %s has is not known: %s", m.Machine, m.Error)
		}
		out = append(out, saw("etcd status", "the member on %s writes, and its database has %s of a quota of %s", m.Machine, cluster.Size(m.DBSize), quota))
	}
	return out, nil
}
