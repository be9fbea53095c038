package scenarios

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
	"k8s.io/client-go/kubernetes"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/plan"
)

// cellRun is one cell while it runs; its methods are the steps' actions.
type cellRun struct {
	scenario *Scenario
	outline  *outline
	options  Options
	journal  *plan.Journal
	plan     *plan.Plan

	provider cluster.Provider
	cluster  cluster.Cluster
	env      *fault.Env
	guards   []*fault.Guard
	observer *health.Observer
	watched  *health.Load
	stop     context.CancelFunc // ends the observer
	watching sync.WaitGroup
	record   health.Record
}

var _ actions = (*cellRun)(nil)

func (c *cellRun) topology() cluster.Topology {
	t := c.outline.cell.Topology
	if c.options.Suffix != "" {
		t.Name += "-" + c.options.Suffix
	}
	return t
}

func (c *cellRun) up(ctx context.Context) (err error) {
	c.record.Topology = c.topology()
	c.guards = make([]*fault.Guard, len(c.outline.faults))
	if c.provider, err = c.options.Provider(c.topology()); err != nil {
		return err
	}
	up, err := c.provider.Up(ctx, c.topology())
	if err != nil {
		return err
	}
	c.cluster = up
	return nil
}

func (c *cellRun) load(ctx context.Context) error {
	access, err := etcd.Open(ctx, c.cluster)
	if err != nil {
		return err
	}
	long := context.WithoutCancel(ctx) // the settle step ends what is started here, after an interrupt as well
	members, err := access.Watch(long)
	if err != nil {
		return err
	}
	c.env = &fault.Env{Cluster: c.cluster, Etcd: access, Members: members}
	var client kubernetes.Interface
	if c.topology().Kubernetes() {
		if client, err = kubeadm.AdminClient(ctx, c.cluster); err != nil {
			return err
		}
	}
	if c.watched, err = health.NewLoad(long, access, client, c.options.Seed); err != nil {
		return err
	}
	c.observer = health.NewObserver(c.cluster, members, client)
	c.observer.Keep = func(o health.Observation) { _ = c.journal.Sample("observation", o) }
	watch, stop := context.WithCancel(long)
	c.stop = stop
	c.watching.Go(func() { c.observer.Run(watch) })
	c.watched.Start(long)
	return nil
}

func (c *cellRun) observe(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// stepID is the id of the fault step that stands for spec.steps[i]: two steps come before the first.
func (c *cellRun) stepID(i int) string { return c.plan.Steps[i+2].ID }

func (c *cellRun) inject(ctx context.Context, i int) error {
	g, err := fault.NewGuard(*c.outline.faults[i], c.receiptID(i), c.journal)
	if err != nil {
		return err
	}
	g.Null = c.options.NullFaults
	c.guards[i] = g
	return g.Inject(ctx, c.env)
}

// receiptID is unique in the journal, which all cells share.
func (c *cellRun) receiptID(i int) string {
	if c.outline.cell.Label == "" {
		return c.stepID(i)
	}
	return c.outline.cell.Label + "/" + c.stepID(i)
}

func (c *cellRun) effective(ctx context.Context, i int) error {
	return c.guards[i].AwaitEffective(ctx, c.env)
}

func (c *cellRun) hold(ctx context.Context, i int) error {
	return c.observe(ctx, c.outline.faults[i].For)
}

func (c *cellRun) recover(ctx context.Context, i int) error {
	if c.guards == nil || c.guards[i] == nil {
		return fmt.Errorf("%w: nothing was injected", plan.ErrSkip)
	}
	return c.guards[i].Recover(ctx, c.env)
}

func (c *cellRun) recovered(ctx context.Context, i int) error {
	if c.guards == nil || c.guards[i] == nil {
		return fmt.Errorf("%w: nothing was injected", plan.ErrSkip)
	}
	return c.guards[i].AwaitRecovered(ctx, c.env)
}

// settleWithin is how long a cluster may take to be whole again after the last fault.
const settleWithin = 60 * time.Second

// settle waits until the cluster is whole, ends the load and reads what the last checks need.
func (c *cellRun) settle(ctx context.Context) error {
	if c.watched == nil {
		return fmt.Errorf("%w: nothing was started", plan.ErrSkip)
	}
	defer func() { _ = c.env.Members.Close() }()
	err := cluster.Await(ctx, "the cluster whole", cluster.Wait{For: settleWithin, Every: 500 * time.Millisecond}, func(ctx context.Context) error {
		c.record.Final = c.observer.Observe(ctx)
		return c.record.Final.Settled(c.topology())
	})
	c.record.FinalError = describe(err)
	stopErr := c.watched.Stop()
	c.stop()
	c.watching.Wait()
	c.record.Observations = c.observer.Seen()
	c.record.Samples = map[string][]health.Sample{}
	for _, p := range c.watched.Probes {
		c.record.Samples[p.Name] = p.Samples()
	}
	acked := c.watched.Acknowledged()
	c.record.Acknowledged = len(acked)
	c.record.Lost, err = health.LostWrites(ctx, c.env.Etcd, acked)
	c.record.LostError = describe(err)
	c.record.Hashes, _, err = c.env.Members.Hashes(ctx)
	c.record.HashError = describe(err)
	c.checkHistories()
	for i := range c.guards {
		c.record.Windows = append(c.record.Windows, c.window(i))
	}
	return stopErr
}

func (c *cellRun) checkHistories() {
	c.record.Linearizable, c.record.Operations = map[string]plan.Verdict{}, map[string]int{}
	for _, h := range c.watched.Histories {
		verdict, n := h.Check()
		c.record.Operations[h.Name] = n
		switch verdict {
		case porcupine.Ok:
			c.record.Linearizable[h.Name] = plan.Pass
		case porcupine.Illegal:
			c.record.Linearizable[h.Name] = plan.Fail
		case porcupine.Unknown:
			c.record.Linearizable[h.Name] = plan.Unknown
		}
	}
}

// window is the fault's time from its receipt.
func (c *cellRun) window(i int) health.Window {
	w := health.Window{ID: c.stepID(i), Expected: c.scenario.Spec.Steps[i].Expect == ExpectQuorumLost}
	g := c.guards[i]
	if g == nil || c.options.NullFaults { // nothing was done, so no loss is the fault's
		return w
	}
	r := g.Receipt()
	w.Machines, w.Began, w.Effective, w.Recover = r.Machines, r.Armed, r.EffectiveAt, r.ClearedAt
	w.Cleared = g.ClearedSeen()
	return w
}

func (c *cellRun) down(ctx context.Context) error {
	if c.cluster == nil {
		return fmt.Errorf("%w: nothing was made", plan.ErrSkip)
	}
	logs := filepath.Join(c.options.Out, "logs", c.outline.cell.Label)
	return errors.Join(c.provider.CollectLogs(ctx, c.cluster, logs), c.provider.Down(ctx, c.cluster))
}
