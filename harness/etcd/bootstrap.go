package etcd

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/release"
)

// Bootstrap makes an etcd cluster of systemd units on the topology's etcd machines: members started together with a static
// initial cluster (etcd's clustering guide, "Static"). Peers and clients speak plain HTTP: the lab's network is its own.
type Bootstrap struct{ Progress cluster.Progress }

// envFile holds a member's initial cluster; etcd reads it only while its data directory is empty.
const envFile = "/etc/default/etcd"

// DataDir is where a member keeps its data, here and under kubeadm.
const DataDir = "/var/lib/etcd"

// Key is empty: a bare etcd cluster starts faster than its disks could be copied.
func (Bootstrap) Key(cluster.Cluster) string { return "" }

// Bootstrap writes the units and starts all members at once.
func (b Bootstrap) Bootstrap(ctx context.Context, c cluster.Cluster) (err error) {
	names := c.Topology().EtcdMachines()
	done := b.Progress.Phase("etcd on %d machines", len(names))
	defer func() { done(err) }()
	version, err := release.Resolve(release.Etcd, c.Topology().EtcdVersion)
	if err != nil {
		return err
	}
	initial, err := InitialCluster(c, names...)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, name := range names {
		g.Go(func() error {
			m, err := c.Machine(name)
			if err != nil {
				return err
			}
			return startMember(ctx, c, m, version.Version, initial, "new")
		})
	}
	return g.Wait()
}

// InitialCluster is etcd's --initial-cluster for the named machines.
func InitialCluster(c cluster.Cluster, names ...string) (string, error) {
	var parts []string
	for _, n := range names {
		m, err := c.Machine(n)
		if err != nil {
			return "", err
		}
		parts = append(parts, n+"="+peerURL(m, "http"))
	}
	return strings.Join(parts, ","), nil
}

func peerURL(m cluster.Machine, scheme string) string {
	return scheme + "://" + net.JoinHostPort(m.Addr().String(), strconv.Itoa(PeerPort))
}

func startMember(ctx context.Context, c cluster.Cluster, m cluster.Machine, version, initial, state string) error {
	inst, err := cluster.As[cluster.Installer](m)
	if err != nil {
		return err
	}
	if err := inst.Install(ctx, release.Etcd, version); err != nil {
		return err
	}
	if err := takesFlags(ctx, c, m, version); err != nil {
		return err
	}
	if err := m.WriteFile(ctx, "/etc/systemd/system/etcd.service", []byte(unitFile(c, m)), 0o644); err != nil {
		return err
	}
	if err := writeInitial(ctx, m, initial, state); err != nil {
		return err
	}
	for _, verb := range []string{"enable", "start"} {
		if _, err := m.Exec(ctx, cluster.Command{Args: []string{"systemctl", verb, "etcd"}}); err != nil {
			return err
		}
	}
	return nil
}

// takesFlags has the release itself say which of the topology's flags it has not got: it would end at each start, and nobody hears why before the cluster
// is given up.
func takesFlags(ctx context.Context, c cluster.Cluster, m cluster.Machine, version string) error {
	args := c.Topology().EtcdArgs()
	if args == "" {
		return nil
	}
	if _, err := cluster.Shell(ctx, m, c.Profile().Programs+"/etcd --version"+args+" 2>&1 | head -n 1 | { read -r said; case $said in 'etcd Version'*) ;; *) echo \"$said\" >&2; exit 1;; esac; }"); err != nil {
		return cluster.Usagef("etcdFlags:%s: etcd %s does not take them: %w", args, version, err)
	}
	return nil
}

func writeInitial(ctx context.Context, m cluster.Machine, initial, state string) error {
	text := fmt.Sprintf("ETCD_INITIAL_CLUSTER=%s\nETCD_INITIAL_CLUSTER_STATE=%s\n", initial, state)
	return m.WriteFile(ctx, envFile, []byte(text), 0o644)
}

// unitFile is a member's service. Fast timing changes nothing here: etcd's defaults (100 ms, 1 s) are fast already, and a busy
// machine with a shorter election time-out elects leaders for no reason. Production names them.
func unitFile(c cluster.Cluster, m cluster.Machine) string {
	client := net.JoinHostPort(m.Addr().String(), strconv.Itoa(ClientPort))
	timing := ""
	if c.Topology().Timing == cluster.TimingProduction {
		timing = " --heartbeat-interval=100 --election-timeout=1000"
	}
	quota := ""
	if q := c.Topology().EtcdQuota; q > 0 {
		quota = fmt.Sprintf(" --quota-backend-bytes=%d", int64(q))
	}
	return fmt.Sprintf(`[Unit]
Description=etcd member %[1]s

[Service]
EnvironmentFile=%[2]s
ExecStart=%[9]s/etcd --name=%[1]s --data-dir=%[3]s --listen-client-urls=http://%[4]s,http://127.0.0.1:%[5]d --advertise-client-urls=http://%[4]s --listen-peer-urls=%[6]s --initial-advertise-peer-urls=%[6]s --listen-metrics-urls=http://127.0.0.1:%[7]d%[8]s
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
`, m.Name(), envFile, DataDir, client, ClientPort, peerURL(m, "http"), MetricsPort, timing+quota+c.Topology().EtcdArgs(), c.Profile().Programs)
}

// readyWithin is how long a fresh member may take to elect a leader and answer.
const readyWithin = 60 * time.Second

// Ready returns when every member answers and they agree on a leader.
func (b Bootstrap) Ready(ctx context.Context, c cluster.Cluster) (err error) {
	done := b.Progress.Phase("etcd ready")
	defer func() { done(err) }()
	a, err := Open(ctx, c)
	if err != nil {
		return err
	}
	w, err := a.Watch(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }()
	return cluster.Await(ctx, "etcd ready", cluster.Wait{For: readyWithin, Every: 100 * time.Millisecond}, func(ctx context.Context) error {
		return Agree(w.Members(ctx, 2*time.Second))
	})
}

// Agree says why the members are not one healthy cluster: one does not answer, does not vote, or follows another leader.
func Agree(members []Member) error {
	if len(members) == 0 {
		return fmt.Errorf("no members")
	}
	for _, m := range members {
		switch {
		case m.Error != "":
			return fmt.Errorf("member on %s: %s", m.Machine, m.Error)
		case m.Learner:
			return fmt.Errorf("member on %s is a learner and has no vote", m.Machine)
		case m.Leader == 0:
			return fmt.Errorf("member on %s knows no leader", m.Machine)
		case m.Leader != members[0].Leader:
			return fmt.Errorf("members on %s and %s follow different leaders", members[0].Machine, m.Machine)
		case m.Term != members[0].Term:
			return fmt.Errorf("members on %s and %s are in different terms: %d and %d", members[0].Machine, m.Machine, members[0].Term, m.Term)
		case len(m.Alarms) > 0:
			return fmt.Errorf("member on %s: %s", m.Machine, strings.Join(m.Alarms, ", "))
		}
	}
	return nil
}
