package experiment

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/workers"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/remedy"
	"drydock.dev/drydock/harness/subject/aksengine"
	"drydock.dev/drydock/harness/upgrade"
)

// cellRun is one cell while it runs; its methods are the steps' actions.
type cellRun struct {
	scenario *Scenario
	outline  *outline
	options  Options
	journal  *plan.Journal
	plan     *plan.Plan

	cluster  cluster.Cluster
	target   *observe.Target
	guards   map[*choice]*fault.Guard
	guardsMu sync.Mutex
	held     fault.Held
	kills    []plan.Receipt // of the process that upgrades
	runner   *plan.Runner
	observer *observe.Observer
	watched  *load.Load
	host     *observe.HostWatch
	stop     context.CancelFunc // ends the observer
	watching sync.WaitGroup
	record   health.Record
	heard    []observe.Said    // while those did not answer who said it
	beside   *workers.Beside   // the twin beside the cluster; nil: none
	arming   []arm.Resource    // its documents when it began
	tool     *aksengine.Engine // with the model of the cluster that it has deployed there; nil: it has none
}

var _ actions = (*cellRun)(nil)

func (c *cellRun) topology() cluster.Topology { return c.outline.cell.Topology }

// logs is where the machines' logs go.
func (c *cellRun) logs() string {
	return filepath.Join(c.options.Out, plan.LogsDir, c.outline.cell.Label)
}

func (c *cellRun) up(ctx context.Context) error {
	c.record.Topology = c.topology()
	c.guards = map[*choice]*fault.Guard{}
	provider := c.options.Provider
	if err := c.outline.provide(ctx, provider, c.scenario); err != nil { // before the clock of the upgrade runs
		return err
	}
	if on := c.outline.cell.On; on != nil {
		if err := c.attach(ctx, on); err != nil {
			return err
		}
		return c.identify(ctx)
	}
	up, err := provider.Up(ctx, c.topology())
	if err != nil {
		return err
	}
	c.cluster = up
	if made, offered := up.Topology().Machines(), c.topology().Machines(); !slices.Equal(made, offered) {
		return fmt.Errorf("provider %s has made the machines %v and had offered %v", provider.Name(), made, offered)
	}
	return c.identify(ctx)
}

func (c *cellRun) load(ctx context.Context) error {
	long := context.WithoutCancel(ctx) // the settle step ends what is started here, after an interrupt as well
	target, err := observe.Open(long, c.cluster)
	if err != nil {
		return err
	}
	c.target = target
	if c.outline.asksForNames() {
		if err := load.AsRoot(long, target); err != nil {
			return err
		}
	}
	if c.options.ReadOnly {
		return c.look(long)
	}
	if w := c.scenario.Spec.Workload; w.Replicas > 0 {
		if target.Workload, err = load.StartWorkload(ctx, target.Client, w, c.topology().WorkerMachines()); err != nil {
			return err
		}
		c.record.Budgets = append(c.record.Budgets, health.Budget{From: time.Now(), MinAvailable: int(w.MinAvailable)})
	}
	if w := c.scenario.Spec.Workload.Existing; w != nil {
		if target.Service, err = observe.FindService(ctx, target.Client, w.Namespace, w.Service); err != nil {
			return err
		}
		target.Service.Path = w.Path
	}
	if c.record.Quiet = c.scenario.Spec.Load == Quiet; c.record.Quiet {
		c.watched = load.NewQuiet(target)
	} else if c.watched, err = load.NewLoad(long, target, c.options.Seed); err != nil {
		return err
	}
	if c.observer, err = observe.NewObserver(target); err != nil {
		return err
	}
	for i := range c.outline.items {
		if it := &c.outline.items[i]; it.remedy != nil {
			it.remedy.Target, it.remedy.Observer, it.remedy.Dir, it.remedy.Hasty = c.target, c.observer, c.driverDir(it), c.options.Hasty
			if c.beside != nil {
				it.remedy.Cloud = c.beside.Ready
			}
			it.remedy.Told = func(n remedy.Note) error {
				it.notes = append(it.notes, n)
				return c.journal.Write(remedy.Noted, n)
			}
		}
	}
	c.host = observe.NewHostWatch(c.options.Out) // settle reads it, also after an interrupt before it is started
	if err := c.arm(ctx); err != nil {
		return err
	}
	if target.Client != nil {
		if err := c.mark(ctx); err != nil {
			return err
		}
		if c.record.Before, err = target.TakeInventory(ctx, upgrade.Residue()); err != nil {
			return err
		}
	}
	if before := c.observer.Observe(ctx); c.outline.cell.On != nil { // one that was made here came up whole: nothing in it is forgiven for a bad moment
		c.record.Ailing = health.Ailing(before)
	}
	c.watch(long)
	return nil
}

// look begins what only reads. What was ailing before is not excused: it is what is looked for.
func (c *cellRun) look(long context.Context) (err error) {
	c.record.ReadOnly = true
	if c.watched, err = load.NewReads(long, c.target); err != nil {
		return err
	}
	if c.observer, err = observe.NewObserver(c.target); err != nil {
		return err
	}
	c.observer.ReadOnly = true
	c.host = observe.NewHostWatch(c.options.Out)
	c.watch(long)
	return nil
}

// watch sets observer and load going; the settle step ends them.
func (c *cellRun) watch(long context.Context) {
	c.observer.Keep = func(o observe.Observation) { _ = c.journal.Sample("observation", Observed{c.outline.cell.Label, o}) }
	watch, stop := context.WithCancel(long)
	c.stop = stop
	c.watching.Go(func() { c.host.Run(watch) })
	c.watching.Go(func() { c.observer.Run(watch) })
	c.watching.Go(func() { c.listen(watch) })
	c.watched.Start(long)
	c.watching.Go(func() { c.pulse(watch) })
}

func (c *cellRun) observe(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *cellRun) env() *fault.Env {
	e := &fault.Env{Cluster: c.cluster, Etcd: c.target.Etcd, Members: c.target.Members, Client: c.target.Client, Held: &c.held}
	if c.beside != nil {
		e.Twin, e.TwinWall, e.Pool = c.beside.Twin, c.beside.Wall, c.beside.Pool
	}
	return e
}

// guard is the fault's guard once it was begun; nil before.
func (c *cellRun) guard(ch *choice) *fault.Guard {
	c.guardsMu.Lock()
	defer c.guardsMu.Unlock()
	return c.guards[ch]
}

// begun is the guard of a fault that there is something to do about; what it waited for may never have come.
func (c *cellRun) begun(ch *choice) (*fault.Guard, error) {
	g := c.guard(ch)
	if g == nil || g.IsMissed() {
		return nil, fmt.Errorf("%w: nothing was injected", plan.ErrSkip)
	}
	return g, nil
}

func (c *cellRun) inject(ctx context.Context, ch *choice) (err error) {
	var g *fault.Guard
	if ch.when == nil {
		g, err = c.newGuard(ch)
	} else {
		g, err = c.begun(ch)
	}
	if err != nil {
		return err
	}
	return g.Inject(ctx, c.env())
}

// receiptID is unique in the journal, which all cells share.
func (c *cellRun) receiptID(ch *choice) string { return c.own(ch.step.ID) }

// own makes an id of this cell one of the run.
func (c *cellRun) own(id string) string {
	if c.outline.cell.Label == "" {
		return id
	}
	return c.outline.cell.Label + "/" + id
}

func (c *cellRun) effective(ctx context.Context, ch *choice) error {
	g, err := c.begun(ch)
	if err != nil {
		return err
	}
	return g.AwaitEffective(ctx, c.env())
}

func (c *cellRun) hold(ctx context.Context, ch *choice) error {
	if _, err := c.begun(ch); err != nil {
		return err
	}
	return c.observe(ctx, ch.spec.For)
}

func (c *cellRun) recover(ctx context.Context, ch *choice) error {
	g, err := c.begun(ch)
	if err != nil {
		return err
	}
	return g.Recover(ctx, c.env())
}

func (c *cellRun) recovered(ctx context.Context, ch *choice) error {
	g, err := c.begun(ch)
	if err != nil {
		return err
	}
	return g.AwaitRecovered(ctx, c.env())
}

// mended says that a runbook has ended the fault, and sees whether it is over.
func (c *cellRun) mended(ctx context.Context, ch *choice) error {
	g, err := c.begun(ch)
	if err != nil {
		return err
	}
	if err := g.Mended(); err != nil {
		return err
	}
	return g.AwaitRecovered(ctx, c.env())
}

// lookWithin is how long a fault that is over is looked at while its step goes on.
const lookWithin = time.Minute

// seeRecovered learns when a fault is over while the step it happened in goes on. That step may have the machine down itself, so not to see it yet is
// no failure: recovered, which comes after the step, decides.
func (c *cellRun) seeRecovered(ctx context.Context, ch *choice) error {
	g, err := c.begun(ch)
	if err != nil {
		return err
	}
	err = cluster.Await(ctx, "recovery of "+ch.spec.Describe(), cluster.Wait{For: lookWithin}, func(ctx context.Context) error { return g.LookRecovered(ctx, c.env()) })
	if err != nil {
		return fmt.Errorf("%w: %w", plan.ErrSkip, err)
	}
	return nil
}

// settleWithin is how long the cluster may take to be whole again after the last fault. One whose recovery was awaited in vain has had that time
// already: what is left is to look.
func (c *cellRun) settleWithin() time.Duration {
	for _, ch := range c.outline.faults {
		if g := c.guard(ch); g != nil && g.ClearedSeen().IsZero() && !g.Null && !g.IsMissed() {
			return lookFor
		}
	}
	return c.topology().RecoversWithin()
}

// lookFor is long enough for several readings of a cluster that answers slowly.
const lookFor = 5 * time.Second

// settleFor bounds all last readings together, whatever they wait for.
const settleFor = 6 * time.Minute

// settle waits until the cluster is whole and stays so, ends the load and reads what the last checks need. Whatever is missing then is missing in the
// record, and a check says so; the step itself fails only when the load cannot be ended.
func (c *cellRun) settle(ctx context.Context) error {
	if c.watched == nil {
		return fmt.Errorf("%w: nothing was started", plan.ErrSkip)
	}
	defer func() { _ = c.target.Members.Close() }()
	ctx, cancel := context.WithTimeout(ctx, settleFor)
	defer cancel()
	wanted, steady := health.Wanted{Topology: c.topology(), Ailing: c.record.Ailing}, health.Steady(c.topology())
	reopenErr := c.watched.Reopen(ctx)
	var err error
	if c.observer != nil {
		c.record.Final, err = c.observer.AwaitSteady(ctx, "the cluster whole", c.settleWithin()+steady, steady, func(o observe.Observation) error { return health.Whole(o, wanted) })
		c.record.Unwhole = describe(err)
	}
	c.record.Watched = c.watched.Watched(ctx)
	stopErr := c.watched.Stop()
	if c.stop != nil {
		c.stop()
	}
	c.watching.Wait()
	c.gather(ctx)
	return errors.Join(reopenErr, stopErr)
}

// gather fills the record from what ran and with the last readings.
func (c *cellRun) gather(ctx context.Context) {
	if c.observer != nil {
		c.record.Observations, c.record.Host = c.observer.Seen(), c.host.Readings()
	}
	c.record.Said = observe.Together(c.heard, c.target.LastWords(ctx, append(slices.Clone(c.record.Observations), c.record.Final)))
	if c.target.Client != nil {
		c.record.Probed = observe.ReadProbed(ctx, c.target.Client)
	}
	c.record.Samples, c.record.Histories = c.watched.Samples(), c.watched.Histories()
	c.record.Traffic, c.record.Leases = c.watched.Traffic(), c.watched.Leases()
	if !c.options.ReadOnly {
		c.record.Ledgers = c.watched.Ledgers(ctx, c.target)
	}
	for _, ch := range c.outline.faults {
		c.record.Windows = append(c.record.Windows, c.window(ch))
	}
	for _, it := range c.outline.items {
		if len(it.kills) > 0 {
			c.record.Windows = append(c.record.Windows, upgradeWindows(it.steps, driverSteps(c.driverDir(&it)))...)
			continue
		}
		c.record.Windows = append(c.record.Windows, upgradeWindows(it.steps, c.runner.Done())...)
	}
	c.record.Remedies = c.remedied(false) // else what a runbook was to change is waited for to be as it was; the run's end has the last word
	if c.target.Client != nil && !c.options.ReadOnly {
		c.lookForResidue(ctx)
	}
}

// window is the fault's time from its receipt.
func (c *cellRun) window(ch *choice) health.Window {
	w := health.Window{ID: ch.step.ID, Expected: ch.expect == ExpectQuorumLost, WithSteps: ch.withSteps, NoWrites: ch.expect == ExpectWritesRefused}
	for _, other := range ch.with {
		w.With = append(w.With, other.step.ID)
	}
	g := c.guard(ch)
	if g == nil || c.options.NullFaults { // nothing was done, so no loss is the fault's
		return w
	}
	r := g.Receipt()
	w.Machines, w.Components, w.AtMost, w.Began, w.Effective, w.Recover = r.Machines, ch.spec.Touches(), ch.spec.AtMost(), r.Armed, r.EffectiveAt, r.ClearedAt
	w.Mending, w.Cleared, w.Refused, w.Clock = c.mending(ch), g.ClearedSeen(), g.Refused(), ch.spec.By
	return w
}
