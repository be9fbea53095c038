package etcd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"drydock.dev/drydock/harness/cluster"
)

// Program is etcd's process name.
const Program = "etcd"

// manifest is a member's static pod, where kubeadm made it; otherwise it is the systemd unit etcd.
const manifest = "/etc/kubernetes/manifests/etcd.yaml"

// Wipe removes a held member's data.
func Wipe(ctx context.Context, m cluster.Machine) error {
	_, err := cluster.Shell(ctx, m, "rm -rf "+DataDir+"/member")
	return err
}

// Wiped says why a member's data is not gone.
func Wiped(ctx context.Context, m cluster.Machine) error {
	if _, err := cluster.Shell(ctx, m, "test ! -e "+DataDir+"/member"); err != nil {
		return fmt.Errorf("%s still has %s/member: %w", m.Name(), DataDir, err)
	}
	return nil
}

// promoteWithin is how long a learner may take to start and catch up. As a static pod it starts late: its kubelet first deletes the
// old mirror pod through its own API server, which has no etcd then and lets each try wait for 34 s.
const promoteWithin = 3 * time.Minute

// Replace brings a member without data back as a new member: remove the old one, add a learner, start it, promote it. A learner
// has no vote, so a replacement that never comes up takes no quorum away (etcd's "Learner" design). Idempotent.
func (a *Access) Replace(ctx context.Context, machine string) error {
	m, err := a.cluster.Machine(machine)
	if err != nil {
		return err
	}
	var rest []string
	for _, n := range a.machines {
		if n != machine {
			rest = append(rest, n)
		}
	}
	if len(rest) == 0 {
		return fmt.Errorf("the only member, on %s, has lost its data: there is nothing to replace it from", machine)
	}
	c, err := a.Client(ctx, rest...)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	k, err := cluster.As[cluster.Killer](m)
	if err != nil {
		return err
	}
	if Wiped(ctx, m) != nil {
		return k.Release(ctx, Program) // its data is there: half an injection, or replaced before
	}
	peer := peerURL(m, a.scheme())
	if err := a.readd(ctx, c, peer); err != nil {
		return fmt.Errorf("replace the member on %s: %w", machine, err)
	}
	initial, err := initialCluster(ctx, c, m, peer)
	if err != nil {
		return err
	}
	if err := joinAs(ctx, m, initial); err != nil {
		return err
	}
	if err := k.Release(ctx, Program); err != nil {
		return err
	}
	return a.promote(ctx, c, peer)
}

func (a *Access) readd(ctx context.Context, c *clientv3.Client, peer string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	id, learner, err := find(ctx, c, peer)
	if err != nil || learner {
		return err
	}
	if id != 0 {
		if _, err := c.MemberRemove(ctx, id); err != nil {
			return fmt.Errorf("remove: %w", err)
		}
	}
	// etcd refuses a change of membership while it does not know all members to be well since 5 s (--strict-reconfig-check).
	return cluster.Await(ctx, "add a learner", cluster.Wait{For: 20 * time.Second}, func(ctx context.Context) error {
		_, err := c.MemberAddAsLearner(ctx, []string{peer})
		return err
	})
}

func find(ctx context.Context, c *clientv3.Client, peer string) (id uint64, learner bool, err error) {
	list, err := c.MemberList(ctx)
	if err != nil {
		return 0, false, fmt.Errorf("member list: %w", err)
	}
	for _, m := range list.Members {
		if len(m.PeerURLs) > 0 && m.PeerURLs[0] == peer {
			return m.ID, m.IsLearner, nil
		}
	}
	return 0, false, nil
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

// joinAs tells a member that it joins an existing cluster.
func joinAs(ctx context.Context, m cluster.Machine, initial string) error {
	raw, err := m.ReadFile(ctx, manifest)
	if errors.Is(err, fs.ErrNotExist) {
		return writeInitial(ctx, m, initial, "existing")
	}
	if err != nil {
		return err
	}
	return m.WriteFile(ctx, manifest, rejoin(raw, initial), 0o600)
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

func (a *Access) promote(ctx context.Context, c *clientv3.Client, peer string) error {
	return cluster.Await(ctx, "promote the learner "+peer, cluster.Wait{For: promoteWithin, Every: time.Second}, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		id, learner, err := find(ctx, c, peer)
		if err != nil {
			return err
		}
		if id != 0 && !learner {
			return nil
		}
		_, err = c.MemberPromote(ctx, id)
		return err
	})
}
