package kind

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
	kindcluster "sigs.k8s.io/kind/pkg/cluster"
	"sigs.k8s.io/kind/pkg/log"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/lock"
)

// Up makes a cluster by kind's library and returns when it is whole.
func (p *Provider) Up(ctx context.Context, t cluster.Topology) (_ cluster.Cluster, err error) {
	made, offer, err := p.offer(ctx, t)
	if err != nil {
		return nil, err
	}
	owner, err := p.registry().Take(t.Name)
	if err != nil {
		return nil, err
	}
	c, err := p.begin(ctx, t, made, offer)
	if err != nil {
		return nil, errors.Join(err, owner.Release())
	}
	c.owner = owner
	p.remember(c)
	defer func() {
		if err != nil {
			ctx := context.WithoutCancel(ctx)
			err = errors.Join(err, p.saveFailure(ctx, c), p.Down(ctx, t.Name))
		}
	}()
	for _, step := range []struct {
		label string
		do    func(ctx context.Context) error
	}{
		{"kind creates " + t.String(), c.create},
		{"addresses, routes and the workload's image", c.furnish},
	} {
		done := p.Progress.Phase("%s", step.label)
		err := step.do(ctx)
		done(err)
		if err != nil {
			return nil, fmt.Errorf("kind: %w", err)
		}
	}
	if p.Ready != nil {
		if err := p.Ready(ctx, c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// begin writes down that there will be such a cluster, and makes its network.
func (p *Provider) begin(ctx context.Context, t cluster.Topology, made terms, offer cluster.Offer) (*Cluster, error) {
	dir, err := p.registry().Dir(t.Name)
	if err != nil {
		return nil, err
	}
	if r, err := readRecord(dir); err == nil && r.Kept {
		return nil, cluster.Usagef("a cluster of kind named %q is up already; remove it with `drydock down %s --provider kind` or choose another --name", t.Name, t.Name)
	}
	if _, err := os.Stat(dir); err == nil { // left by a maker that was killed
		if err := p.remove(ctx, dir, t.Name); err != nil {
			return nil, err
		}
	}
	if err := p.notOurs(ctx, t.Name); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, cluster.Usagef("the state directory %s cannot be written (choose another with --state-dir): %w", p.StateDir, err)
	}
	t.Named = offer.Machines
	r := record{Topology: t, Lacks: offer.Lacks, Profile: made.profile, Image: made.image}
	err = r.write(dir)
	if err == nil {
		err = p.network(ctx, t.Name)
	}
	if err != nil {
		return nil, errors.Join(err, p.remove(context.WithoutCancel(ctx), dir, t.Name))
	}
	return newCluster(p, dir, r), nil
}

// network makes one for this cluster alone: nobody else takes the address of a machine that is off. The subnet is chosen, because an address can be
// asked for only where it was.
func (p *Provider) network(ctx context.Context, name string) error {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	first := h.Sum32()
	var last error
	for i := range uint32(64) {
		subnet := fmt.Sprintf("10.201.%d.0/24", (first+i)%256)
		_, last = p.cli().out(ctx, "network", "create", "--driver", "bridge", "--subnet", subnet, "--label", ownLabel+"="+name,
			"--opt", "com.docker.network.bridge.enable_ip_masquerade=true", prefix+name)
		if !said(last, "overlap", "conflict") {
			break
		}
	}
	if said(last, "already exists") {
		return nil // of a maker that was killed
	}
	return last
}

// noticesWithin is how long kind's library may take to notice that its containers are gone: the docker command it waits for ends with them.
const noticesWithin = 30 * time.Second

// turnFile begins the name of the file by which one process's creates take turns; its number follows.
const turnFile = "create-"

// dropTurns removes those that killed processes have left.
func (p *Provider) dropTurns() error {
	left, err := filepath.Glob(filepath.Join(p.StateDir, "kind", turnFile+"*"))
	errs := []error{err}
	for _, file := range left {
		if l, err := lock.Try(file); err == nil { // else it is a living one's
			errs = append(errs, l.Release())
		}
	}
	return errors.Join(errs...)
}

// create lets kind's library make the nodes. The library knows no context: when ours ends, its containers are taken away, and it ends over that.
func (c *Cluster) create(ctx context.Context) error {
	p, t := c.provider, c.record.Topology
	config, err := c.config()
	if err != nil {
		return err
	}
	// The library takes the network from the environment, which is the process's.
	turn, err := lock.Wait(ctx, filepath.Join(p.StateDir, "kind", fmt.Sprint(turnFile, os.Getpid())), lock.Try, func(string) {})
	if err != nil {
		return err
	}
	defer func() { _ = turn.Release() }()
	const network = "KIND_EXPERIMENTAL_DOCKER_NETWORK"
	before, was := os.LookupEnv(network)
	if err := os.Setenv(network, prefix+t.Name); err != nil {
		return err
	}
	defer func() {
		_ = os.Unsetenv(network)
		if was {
			_ = os.Setenv(network, before)
		}
	}()
	told := &kindLog{}
	var failed error // for who has seen ended
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		failed = kindcluster.NewProvider(kindcluster.ProviderWithDocker(), kindcluster.ProviderWithLogger(told)).Create(prefix+t.Name,
			kindcluster.CreateWithV1Alpha4Config(config), kindcluster.CreateWithKubeconfigPath(filepath.Join(c.dir, adminFile)),
			kindcluster.CreateWithRetain(true),    // a failure's logs are collected first
			kindcluster.CreateWithWaitForReady(0), // Ready waits, and ends with its context
			kindcluster.CreateWithDisplayUsage(false), kindcluster.CreateWithDisplaySalutation(false))
	}()
	select {
	case <-ended:
		err = failed
	case <-ctx.Done():
		err = errors.Join(context.Cause(ctx), c.cancelled(context.WithoutCancel(ctx), ended))
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, told.tail())
	}
	return nil
}

// cancelled takes the containers away until kind's library has noticed.
func (c *Cluster) cancelled(ctx context.Context, ended <-chan struct{}) error {
	return cluster.Await(ctx, "the end of kind's create", cluster.Wait{For: noticesWithin, Every: time.Second}, func(ctx context.Context) error {
		_, err := c.provider.removeContainers(ctx, c.record.Topology.Name)
		select {
		case <-ended: // over what was taken away
			return err
		default:
			return errors.Join(err, errors.New("it goes on"))
		}
	})
}

// config is kind's configuration of the cluster.
func (c *Cluster) config() (*v1alpha4.Cluster, error) {
	t := c.record.Topology
	out := &v1alpha4.Cluster{TypeMeta: v1alpha4.TypeMeta{APIVersion: "kind.x-k8s.io/v1alpha4", Kind: "Cluster"}, Name: prefix + t.Name}
	for _, m := range t.Machines() {
		out.Nodes = append(out.Nodes, v1alpha4.Node{Role: v1alpha4.NodeRole(m.Role), Image: c.record.Image})
	}
	if c.provider.Config == nil {
		return out, nil
	}
	raw, err := c.provider.Config(t, c.record.Profile)
	if err != nil {
		return nil, err
	}
	out.KubeadmConfigPatches, out.KubeadmConfigPatchesJSON6902, err = patches(raw, t.Version)
	return out, err
}

// kindLog keeps what kind tells, from several goroutines, for an error to quote.
type kindLog struct {
	mu   sync.Mutex
	said bytes.Buffer
}

func (l *kindLog) Warn(m string)                  { l.Info(m) }
func (l *kindLog) Warnf(format string, a ...any)  { l.Infof(format, a...) }
func (l *kindLog) Error(m string)                 { l.Info(m) }
func (l *kindLog) Errorf(format string, a ...any) { l.Infof(format, a...) }
func (l *kindLog) V(level log.Level) log.InfoLogger {
	if level > 0 {
		return log.NoopInfoLogger{}
	}
	return l
}
func (l *kindLog) Info(m string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said.WriteString(strings.TrimSpace(m) + "\n")
}

func (l *kindLog) Infof(format string, a ...any) { l.Info(fmt.Sprintf(format, a...)) }
func (l *kindLog) Enabled() bool                 { return true }

func (l *kindLog) tail() string {
	const most = 2000
	l.mu.Lock()
	defer l.mu.Unlock()
	s := strings.TrimSpace(l.said.String())
	if len(s) > most {
		s = "…" + s[len(s)-most:]
	}
	return s
}
