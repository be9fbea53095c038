package etcd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"drydock.dev/drydock/harness/cluster"
)

// A member whose database comes to its quota (--quota-backend-bytes) raises an alarm, and from then on all members refuse what would write more. What has to
// be done, in this order: compact what is of no use any more, defragment every member so that its file shrinks, and disarm the alarm, which nobody does by
// himself (etcd's operations guide, "Space quota").

// Times of the remedy. A member answers nobody while it is defragmented, the longer the more is in it.
const (
	compactWithin    = 30 * time.Second
	defragmentWithin = 2 * time.Minute
	backWithin       = 30 * time.Second
)

// NoSpace names the members that have raised the alarm, by machine, as the member on another machine says; an alarm of a stranger is under his number. It
// is asked through the log that all members share.
func (w *Watcher) NoSpace(ctx context.Context, ask string) ([]string, error) {
	c, _, err := w.to(ctx, ask)
	if err != nil {
		return nil, fmt.Errorf("no member is on %s: %w", ask, err)
	}
	list, err := c.AlarmList(ctx)
	if err != nil {
		return nil, fmt.Errorf("alarms, as the member on %s has them: %w", ask, err)
	}
	members, err := c.MemberList(ctx)
	if err != nil {
		return nil, fmt.Errorf("member list: %w", err)
	}
	owner := map[uint64]string{}
	for _, m := range w.access.listed(members) {
		owner[m.ID] = m.Machine
	}
	var out []string
	for _, a := range list.Alarms {
		if a.Alarm == etcdserverpb.AlarmType_NOSPACE {
			out = append(out, cmp.Or(owner[a.MemberID], fmt.Sprintf("%x", a.MemberID)))
		}
	}
	slices.Sort(out)
	return out, nil
}

// MakeSpace does all three. It can be done again after it was cut off, and where there is space.
func (w *Watcher) MakeSpace(ctx context.Context) error {
	if err := w.Compact(ctx); err != nil {
		return err
	}
	if err := w.Defragment(ctx); err != nil {
		return err
	}
	return w.DisarmNoSpace(ctx)
}

// any asks one member after another until one answers.
func (w *Watcher) any(ctx context.Context, do func(ctx context.Context, c *clientv3.Client) error) error {
	var errs []error
	for _, m := range w.access.machines {
		ctx, cancel := context.WithTimeout(ctx, compactWithin/3)
		c, _, err := w.to(ctx, m)
		if err == nil {
			err = do(ctx, c)
		}
		cancel()
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("by the member on %s: %w", m, err))
	}
	return errors.Join(errs...)
}

// Compact drops all that was before the revision there is now: what a key is now stays, what it was is gone. Who reads or watches from an earlier revision
// is refused from then on.
func (w *Watcher) Compact(ctx context.Context) error {
	err := w.any(ctx, func(ctx context.Context, c *clientv3.Client) error {
		now, err := c.Get(ctx, lastKey)
		if err != nil {
			return err
		}
		_, err = c.Compact(ctx, now.Header.Revision, clientv3.WithCompactPhysical())
		if errors.Is(err, rpctypes.ErrCompacted) { // somebody was quicker
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	return nil
}

// Defragment has each member in turn rewrite its database, the leader last, so that leadership moves once at most. One that is defragmented answers nobody:
// it is not begun where the others are no quorum without it, and the next waits until it is back.
func (w *Watcher) Defragment(ctx context.Context) error {
	var order []string
	err := cluster.Await(ctx, "an answer of every member", cluster.Wait{For: backWithin, Every: time.Second}, func(ctx context.Context) (err error) { // one may just be starting
		order, err = w.leaderLast(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("defragment: %w", err)
	}
	for _, machine := range order {
		// A compaction goes on in the background of each member, and what it had not come to stays in the file.
		err := cluster.Await(ctx, "room in its database", cluster.Wait{For: defragmentWithin, Every: time.Second}, func(ctx context.Context) error {
			if err := w.spares(ctx, machine); err != nil {
				return err
			}
			return w.defragment(ctx, machine)
		})
		if err != nil {
			return fmt.Errorf("defragment the member on %s: %w", machine, err)
		}
	}
	return nil
}

func (w *Watcher) leaderLast(ctx context.Context) ([]string, error) {
	var order []string
	leader := ""
	for _, m := range w.Members(ctx, refusalWithin*10) {
		switch {
		case m.Error != "":
			return nil, fmt.Errorf("the member on %s does not answer, and its file would stay as it is: %s", m.Machine, m.Error)
		case m.IsLeader():
			leader = m.Machine
		default:
			order = append(order, m.Machine)
		}
	}
	if leader == "" {
		return nil, errors.New("nobody leads")
	}
	return append(order, leader), nil
}

// spares refuses to have a member away that is needed for a quorum.
func (w *Watcher) spares(ctx context.Context, machine string) error {
	all, well := 0, 0
	var ill []string
	for _, m := range w.Members(ctx, refusalWithin*10) {
		switch all++; {
		case m.Machine == machine:
		case m.Healthy():
			well++
		default:
			ill = append(ill, m.Machine)
		}
	}
	if need := cluster.Quorum(all); all > 1 && well < need {
		return fmt.Errorf("%d of %d members would be left, a quorum is %d: not well besides is %s", well, all, need, strings.Join(ill, ", "))
	}
	return nil
}

func (w *Watcher) defragment(ctx context.Context, machine string) error {
	c, endpoint, err := w.to(ctx, machine)
	if err != nil {
		return err
	}
	if _, err := c.Defragment(ctx, endpoint); err != nil {
		return err
	}
	var st *clientv3.StatusResponse
	err = cluster.Await(ctx, "its answer", cluster.Wait{For: backWithin}, func(ctx context.Context) (err error) {
		if st, err = c.Status(ctx, endpoint); err == nil && st.Leader == 0 {
			err = errors.New("it follows nobody")
		}
		return err
	})
	if err == nil && st.DbSizeQuota > 0 && st.DbSize >= st.DbSizeQuota { // etcd tells its quota since v3.6
		err = fmt.Errorf("it has %s of a quota of %s still, %s of that in use", cluster.Size(st.DbSize), cluster.Size(st.DbSizeQuota), cluster.Size(st.DbSizeInUse))
	}
	return err
}

// DisarmNoSpace takes the alarms back. A member that still has no space raises its own again with the next write.
func (w *Watcher) DisarmNoSpace(ctx context.Context) error {
	err := w.any(ctx, func(ctx context.Context, c *clientv3.Client) error {
		list, err := c.AlarmList(ctx)
		if err != nil {
			return err
		}
		for _, a := range list.Alarms {
			if a.Alarm != etcdserverpb.AlarmType_NOSPACE {
				continue
			}
			if _, err := c.AlarmDisarm(ctx, &clientv3.AlarmMember{MemberID: a.MemberID, Alarm: a.Alarm}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("disarm: %w", err)
	}
	return nil
}
