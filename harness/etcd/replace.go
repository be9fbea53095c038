package etcd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"drydock.dev/drydock/harness/cluster"
)

// The replacement of a member in steps, each of which can be done again: Remove the old one from the list, Wipe its data, AddLearner, start it, Promote
// it. A learner has no vote, so a replacement that never comes up takes no quorum away (etcd's "Learner" design). The members on the other machines are
// asked, and a quorum of all stands behind each answer.

// How long the steps may take. As a static pod a member starts late: its kubelet first deletes the old mirror pod through its own API server, which has no
// etcd then and lets each try wait for 34 s.
const (
	changeWithin  = 30 * time.Second
	promoteWithin = 3 * time.Minute
)

// Replace brings a held member without data back as a new member. Idempotent.
func (a *Access) Replace(ctx context.Context, machine string) error {
	m, err := a.cluster.Machine(machine)
	if err != nil {
		return err
	}
	k, err := cluster.As[cluster.Killer](m)
	if err != nil {
		return err
	}
	if Wiped(ctx, m) != nil {
		return k.Release(ctx, Program) // its data is there: half an injection, or replaced before
	}
	old, err := a.Entry(ctx, machine)
	if err != nil {
		return fmt.Errorf("replace the member on %s: %w", machine, err)
	}
	if old.ID != 0 && !old.Learner {
		if err := a.Remove(ctx, machine, old.ID); err != nil {
			return err
		}
	}
	if err := a.AddLearner(ctx, machine); err != nil {
		return err
	}
	if err := k.Release(ctx, Program); err != nil {
		return err
	}
	return a.Promote(ctx, machine)
}

// others connects to the members on all machines but one.
func (a *Access) others(ctx context.Context, machine string) (*clientv3.Client, error) {
	rest := slices.DeleteFunc(slices.Clone(a.machines), func(n string) bool { return n == machine })
	if len(rest) == 0 {
		return nil, fmt.Errorf("%s has the only member: there is nobody to ask, and nothing to replace it from", machine)
	}
	return a.Client(ctx, rest...)
}

// Entry is a machine's entry in the member list, as the others have it; the zero one when there is none.
func (a *Access) Entry(ctx context.Context, machine string) (Listed, error) {
	c, err := a.others(ctx, machine)
	if err != nil {
		return Listed{}, err
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(ctx, changeWithin)
	defer cancel()
	return a.entry(ctx, c, machine)
}

func (a *Access) entry(ctx context.Context, c *clientv3.Client, machine string) (Listed, error) {
	list, err := c.MemberList(ctx)
	if err != nil {
		return Listed{}, fmt.Errorf("member list, as the others have it: %w", err)
	}
	for _, l := range a.listed(list) {
		if l.Machine == machine {
			return l, nil
		}
	}
	return Listed{}, nil
}

// Remove takes a member off the list. One that is not there is none to remove.
func (a *Access) Remove(ctx context.Context, machine string, id uint64) error {
	c, err := a.others(ctx, machine)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	// etcd refuses a change of membership while it does not know all members to be well since 5 s (--strict-reconfig-check).
	return cluster.Await(ctx, fmt.Sprintf("remove member %x of %s", id, machine), cluster.Wait{For: changeWithin}, func(ctx context.Context) error {
		l, err := a.entry(ctx, c, machine)
		if err != nil || l.ID != id {
			return err
		}
		_, err = c.MemberRemove(ctx, id)
		return err
	})
}

// AddLearner puts a new member on the list for a machine that has none, and tells the machine which cluster it joins. It starts nothing.
func (a *Access) AddLearner(ctx context.Context, machine string) error {
	m, err := a.cluster.Machine(machine)
	if err != nil {
		return err
	}
	c, err := a.others(ctx, machine)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	peer := peerURL(m, a.scheme())
	err = cluster.Await(ctx, "add a learner for "+machine, cluster.Wait{For: changeWithin}, func(ctx context.Context) error {
		l, err := a.entry(ctx, c, machine)
		if err != nil || l.ID != 0 {
			return err
		}
		_, err = c.MemberAddAsLearner(ctx, []string{peer})
		return err
	})
	if err != nil {
		return err
	}
	initial, err := initialCluster(ctx, c, m, peer)
	if err != nil {
		return err
	}
	return joinAs(ctx, m, initial)
}

// Promote gives a machine's learner its vote, once it has caught up with the leader: until then etcd refuses.
func (a *Access) Promote(ctx context.Context, machine string) error {
	c, err := a.others(ctx, machine)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	return cluster.Await(ctx, "promote the learner on "+machine, cluster.Wait{For: promoteWithin, Every: time.Second}, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		l, err := a.entry(ctx, c, machine)
		switch {
		case err != nil:
			return err
		case l.ID == 0:
			return errors.New("there is none: somebody has removed it")
		case !l.Learner:
			return nil
		}
		_, err = c.MemberPromote(ctx, l.ID)
		return err
	})
}

func initialCluster(ctx context.Context, c *clientv3.Client, m cluster.Machine, peer string) (string, error) {
	list, err := c.MemberList(ctx)
	if err != nil {
		return "", fmt.Errorf("member list: %w", err)
	}
	var parts []string
	for _, member := range list.Members {
		name := member.Name
		if member.PeerURLs[0] == peer {
			name = m.Name()
		}
		parts = append(parts, name+"="+member.PeerURLs[0])
	}
	return strings.Join(parts, ","), nil
}

// joinAs tells a member that it joins an existing cluster, by its static pod's manifest, which may lie where it is not started, or its unit's settings.
func joinAs(ctx context.Context, m cluster.Machine, initial string) error {
	for _, file := range []string{manifest, StoppedDir + "/" + path.Base(manifest)} {
		raw, err := m.ReadFile(ctx, file)
		if err == nil {
			err = m.WriteFile(ctx, file, rejoin(raw, initial), 0o600)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return writeInitial(ctx, m, initial, "existing")
}

// rejoin rewrites the flags of a static pod's manifest that say which cluster the member belongs to.
func rejoin(manifest []byte, initial string) []byte {
	var out []string
	for line := range strings.Lines(string(manifest)) {
		flag := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(flag, "- --initial-cluster-state="):
			continue
		case strings.HasPrefix(flag, "- --initial-cluster="):
			indent := line[:strings.Index(line, "-")]
			line = indent + "- --initial-cluster=" + initial + "\n" + indent + "- --initial-cluster-state=existing\n"
		}
		out = append(out, line)
	}
	return []byte(strings.Join(out, ""))
}
