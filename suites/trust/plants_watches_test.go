package trust

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	. "github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega/gexec"
	clientv3 "go.etcd.io/etcd/client/v3"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab"
	"drydock.dev/drydock/harness/etcd"
)

// Scenarios that watch and hold leases.
const (
	watching = `
  cluster: {etcd: only, etcdMembers: 3}
  steps:
    - traffic: [{watch: {below: late/}}, {watch: {below: twice/}}, {watch: {below: lost/}}, {watch: {below: promised/}}, {leases: {count: 3, ttl: 5s}}]
    - observe: 20s
  always: [watchOrdered, watchUnique, watchComplete, watchBookmarks, leaseKept]
`
	reading = `
  cluster: {etcd: only, etcdMembers: 1}
  steps:
    - traffic: [{txn: {then: [{put: back}]}}]
    - observe: 20s
    - traffic: [{txn: {then: [{delete: back}]}}]
    - observe: 30s
  always: [revisionMonotonic]
`
)

// seconds are enough for what takes a moment.
const seconds = 30 * time.Second

// script is below which the keys of scripted traffic are.
const script = "/drydock/script/"

// watches are told lies by one member, and a lease is revoked that its owner renews.
func watches() bed {
	const of = "the watch on etcd-2 of " + script
	program := "" // of the liar
	return bed{name: "plants-watches", scenario: watching, labels: Label("tier: quick", "needs: etcd"), prepare: func(context.Context) (err error) {
		program, err = gexec.BuildWithEnvironment("drydock.dev/drydock/suites/trust/liar", []string{"CGO_ENABLED=0"})
		return err
	}, plants: []plant{
		{"an event that came too late", "watchOrdered", then(liar("etcd-2", &program), put("late/a", "late/b"), none(of+"late/"))},
		{"an event that was sent twice", "watchUnique", then(put("twice/a"), none(of+"twice/"))},
		{"an event that was left out", "watchComplete", then(put("lost/a"), none(of+"lost/"))},
		{"a notice of progress before the event", "watchBookmarks", then(put("promised/a"), none(of+"promised/"))},
		{"a lease revoked", "leaseKept", revoked},
	}}
}

// rollback is alone: whatever was written meanwhile is gone with it.
func rollback() []plant {
	const deleted = script + "back"
	return []plant{
		{"a database of some seconds ago", "revisionMonotonic", restored("etcd-1", deleted)},
		{"an acknowledged delete undone with it", "noAcknowledgedWriteLost", none("the delete of " + deleted + " at revision ")},
	}
}

// put writes keys one after another, each an event of its own.
func put(keys ...string) planting {
	return func(ctx context.Context, p *planter) (string, error) {
		err := cluster.Await(ctx, "all members and their leader: one of them was killed for the liar, and may have been it", cluster.Wait{For: seconds}, func(ctx context.Context) error {
			for _, member := range p.etcd.Endpoints() {
				if s, err := p.etcd.Status(ctx, member); err != nil || s.Leader == 0 {
					return errors.Join(err, fmt.Errorf("%s knows of no leader", member))
				}
			}
			return nil
		})
		if err != nil {
			return "", err
		}
		for _, key := range keys {
			if _, err := p.etcd.Put(ctx, script+key, "planted"); err != nil {
				return "", err
			}
		}
		return "", nil
	}
}

// liar puts the program between a member and its clients, once all watches stand.
func liar(machine string, program *string) planting {
	return func(ctx context.Context, p *planter) (string, error) {
		m, err := p.machine(machine)
		if err != nil {
			return "", err
		}
		raw, err := os.ReadFile(*program)
		if err != nil {
			return "", err
		}
		if err := m.WriteFile(ctx, "/root/liar", raw, 0o755); err != nil {
			return "", err
		}
		err = cluster.Await(ctx, "all watches of the scenario", cluster.Wait{For: seconds}, func(context.Context) error {
			if begun, err := p.begun("observe"); err != nil || !begun {
				return errors.Join(err, errors.New("they are not opened yet"))
			}
			return nil
		})
		if err != nil {
			return "", err
		}
		port := strconv.Itoa(etcd.ClientPort)
		before := net.JoinHostPort(m.Addr().String(), port)
		if err := m.WriteFile(ctx, "/etc/systemd/system/liar.service", fmt.Appendf(nil, "[Service]\nExecStart=/root/liar %s 127.0.0.1:%s\nRestart=always\n", before, port), 0o644); err != nil {
			return "", err
		}
		return machine, while(ctx, m, "sed -i 's|http://"+before+",||' /etc/systemd/system/etcd.service; systemctl daemon-reload; systemctl start liar") // what is written before the watches are taken up they are sent then
	}
}

// while has something done on a machine while its member is dead.
func while(ctx context.Context, m *lab.Machine, do string) error {
	if _, err := m.Hold(ctx, etcd.Program); err != nil {
		return err
	}
	if _, err := m.Kill(ctx, etcd.Program); err != nil {
		return err
	}
	if _, err := cluster.Shell(ctx, m, do); err != nil {
		return err
	}
	return m.Release(ctx, etcd.Program)
}

// revoked ends a lease that somebody renews.
func revoked(ctx context.Context, p *planter) (string, error) {
	all, err := p.etcd.Leases(ctx)
	if err != nil {
		return "", err
	}
	if len(all.Leases) == 0 {
		return "", errors.New("there is no lease")
	}
	id := all.Leases[0].ID
	_, err = p.etcd.Revoke(ctx, id)
	return fmt.Sprintf("%x", id), err
}

// restored puts a member's disk back to what it was before a key was deleted.
func restored(machine, key string) planting {
	there := func(n int64) planting {
		return func(ctx context.Context, p *planter) (string, error) {
			return "", cluster.Await(ctx, fmt.Sprintf("%d of %s", n, key), cluster.Wait{For: 2 * seconds}, func(ctx context.Context) error {
				got, err := p.etcd.Get(ctx, key, clientv3.WithCountOnly())
				if err == nil && got.Count != n {
					err = fmt.Errorf("there is %d", got.Count)
				}
				return err
			})
		}
	}
	return then(there(1), member(machine, "cp -a "+etcd.DataDir+" /root/before"), there(0),
		wait(gone), // for whoever deleted it to hear of it, probes to write, and the revision to be read
		member(machine, "rm -r "+etcd.DataDir+"; mv /root/before "+etcd.DataDir), none("the revision went back"))
}

// member has something done on a machine while its member is dead.
func member(machine, do string) planting {
	return func(ctx context.Context, p *planter) (string, error) {
		m, err := p.machine(machine)
		if err != nil {
			return "", err
		}
		return "", while(ctx, m, do)
	}
}
