package experiment

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// sited are the cells as they would run: on clusters as the provider offers them, or on the one that is up. Nothing is touched.
func (s *Scenario) sited(ctx context.Context, o Options) ([]Cell, error) {
	cells, err := s.Cells()
	if err != nil {
		return nil, err
	}
	if o.On != "" {
		return s.on(ctx, cells, o)
	}
	if e := s.Spec.Workload.Existing; e != nil {
		return nil, cluster.Usagef("spec.workload.existing: service %s/%s is of a cluster that is up, and the run would make one of its own: name the cluster, --on NAME", e.Namespace, e.Service)
	}
	for i := range cells {
		t := &cells[i].Topology
		if o.Suffix != "" {
			t.Name += "-" + o.Suffix
		}
		offer, err := o.Provider.Offer(ctx, *t)
		if err != nil {
			return nil, err
		}
		t.Named, cells[i].Lacks = offer.Machines, offer.Lacks
		if err := s.twinnable(cells[i]); err != nil {
			return nil, err
		}
	}
	return cells, nil
}

// on is the one cell of a scenario on a cluster that is up; a UsageError says in what the two do not fit.
func (s *Scenario) on(ctx context.Context, cells []Cell, o Options) ([]Cell, error) {
	if len(cells) != 1 {
		return nil, cluster.Usagef("scenario %s asks for %d clusters and cannot run on the one that is up", s.Metadata.Name, len(cells))
	}
	up, err := o.Provider.Attach(ctx, o.On)
	if err != nil {
		return nil, err
	}
	if o.ReadOnly { // whatever it is, and in whatever state: that is what is to be seen
		return []Cell{{Topology: up.Topology(), Lacks: up.Lacks(), On: up, ReadOnly: true}}, nil
	}
	if c, reserved := up.(cluster.Reserved); reserved {
		if err := c.Free(ctx); err != nil {
			return nil, err
		}
	}
	if err := untouched(up); err != nil {
		return nil, err
	}
	have, err := running(ctx, up)
	if err != nil {
		return nil, err
	}
	if differ := s.Spec.Cluster.misfits(cells[0].Topology, have); len(differ) > 0 {
		return nil, cluster.Usagef("scenario %s does not fit cluster %q: %s; it asks for %s, and the cluster is %s",
			s.Metadata.Name, o.On, strings.Join(differ, "; "), cells[0].Topology, have)
	}
	if e := s.Spec.Workload.Existing; e != nil {
		if err := served(ctx, up, e); err != nil {
			return nil, cluster.Usagef("spec.workload.existing: %w", err)
		}
	}
	cell := Cell{Topology: have, Lacks: up.Lacks(), On: up}
	return []Cell{cell}, s.twinnable(cell)
}

// served looks, before anything is touched, whether the user's own workload is there.
func served(ctx context.Context, up cluster.Cluster, e *load.Existing) error {
	t, err := observe.Open(ctx, up)
	if err != nil {
		return err
	}
	_, err = observe.FindService(ctx, t.Client, e.Namespace, e.Service)
	return errors.Join(err, t.Members.Close())
}

// running is the cluster's topology with the versions that run in it now: it may have been upgraded since it was made.
func running(ctx context.Context, c cluster.Cluster) (cluster.Topology, error) {
	t := c.Topology()
	_, members, err := etcd.Watch(ctx, c)
	if err != nil {
		return t, err
	}
	defer func() { _ = members.Close() }()
	for _, m := range members.Members(ctx, lookFor) {
		if m.Error != "" {
			return t, fmt.Errorf("cluster %q: the member on %s: %s", t.Name, m.Machine, m.Error)
		}
		t.EtcdVersion = "v" + m.Version
	}
	if !t.Kubernetes() {
		return t, nil
	}
	if t.Version, err = kubeadm.ServerVersion(ctx, c); err != nil {
		return t, fmt.Errorf("cluster %q: %w", t.Name, err)
	}
	kubelets, err := kubeadm.KubeletVersions(ctx, c)
	if err != nil {
		return t, fmt.Errorf("cluster %q: %w", t.Name, err)
	}
	for _, m := range t.Machines() {
		if v := kubelets[m.Name]; m.Role != cluster.Etcd && v != t.Version {
			return t, cluster.Usagef("cluster %q is not at one version: its API server is %s and the kubelet on %s %q; an upgrade that was begun is gone on with by `drydock upgrade --resume`",
				t.Name, t.Version, m.Name, v)
		}
	}
	return t, nil
}

// misfits says in what a cluster is not what is asked for. What was not asked for may be anything.
func (c Cluster) misfits(want, have cluster.Topology) []string {
	var out []string
	count := func(what string, want, have []string) {
		if len(want) != len(have) {
			out = append(out, fmt.Sprintf("%d %s asked for, %d there", len(want), what, len(have)))
		}
	}
	word := func(what, asked, has string, fits bool) {
		if asked != "" && !fits {
			out = append(out, fmt.Sprintf("%s %s asked for, %s there", what, asked, has))
		}
	}
	count("control planes", want.ControlPlaneMachines(), have.ControlPlaneMachines())
	count("workers", want.WorkerMachines(), have.WorkerMachines())
	if want.VMWorkers > have.VMWorkers {
		out = append(out, fmt.Sprintf("%d workers with a kernel of their own asked for, %d there", want.VMWorkers, have.VMWorkers))
	}
	count("etcd members", want.EtcdMachines(), have.EtcdMachines())
	word("etcd", string(want.Etcd), string(have.Etcd), want.Etcd == have.Etcd)
	word("timing", c.Timing, string(have.Timing), c.Timing == string(have.Timing))
	word("Kubernetes", c.Version, have.Version, cluster.IsVersion(have.Version, c.Version))
	word("etcd version", c.EtcdVersion, have.EtcdVersion, cluster.IsVersion(have.EtcdVersion, c.EtcdVersion))
	return out
}

// attach takes the cluster that is up. One that is not whole already would be judged for what the run did not do.
func (c *cellRun) attach(ctx context.Context, up cluster.Cluster) error {
	if c.options.ReadOnly {
		c.cluster = up
		return nil
	}
	if err := up.Claim(ctx); err != nil {
		return err
	}
	err := untouched(up) // again, now that nobody can: not all that is broken shows
	if err == nil {
		err = c.wholeBefore(ctx, up)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("nothing was begun on cluster %q: %w", up.Topology().Name, err), up.Release(ctx))
	}
	c.cluster = up
	return nil
}

func (c *cellRun) wholeBefore(ctx context.Context, up cluster.Cluster) error {
	target, err := observe.Open(ctx, up)
	if err != nil {
		return err
	}
	defer func() { _ = target.Members.Close() }()
	// What a run that was killed or kept has left: values from before would stand in no order with those that clients write.
	if err := c.tidy(ctx, target); err != nil {
		return err
	}
	observer, err := observe.NewObserver(target)
	if err != nil {
		return err
	}
	t := c.topology()
	wanted, steady := health.Wanted{Topology: t, Ailing: health.Ailing(observer.Observe(ctx))}, health.Steady(t)
	_, err = observer.AwaitSteady(ctx, "the cluster whole before the run", wholeWithin+steady, steady, func(o observe.Observation) error { return health.Whole(o, wanted) })
	return err
}

// wholeWithin is how long a cluster that is up may take to be seen whole, before a run and after what the run has left is removed.
const wholeWithin = time.Minute

// down ends the cell's part in its cluster: one that was up goes on without the run's leftovers, one of a run that failed is kept where that was asked
// for, and any other is taken down.
func (c *cellRun) down(ctx context.Context) error {
	if c.cluster == nil {
		return fmt.Errorf("%w: nothing was made", plan.ErrSkip)
	}
	if c.options.ReadOnly { // not even logs: what makes an archive of them writes
		return nil
	}
	name := c.topology().Name
	err := c.cluster.CollectLogs(ctx, c.logs())
	switch {
	case c.options.On != "":
		return errors.Join(err, c.tidy(ctx, c.target), c.cluster.Release(ctx))
	case c.options.KeepOnFailure && c.failed():
		if c.options.Kept != nil {
			c.options.Kept(c.cluster)
		}
		return errors.Join(err, c.cluster.Release(ctx))
	default:
		return errors.Join(err, c.options.Provider.Down(ctx, name))
	}
}

// failed judges the cell before the run is over.
func (c *cellRun) failed() bool {
	e := c.evidence()
	res := e.Judge()
	res.Judge()
	return res.Verdict != plan.Go
}

// tidy removes from a cluster that was up what runs put there.
func (c *cellRun) tidy(ctx context.Context, t *observe.Target) error {
	if t == nil { // the run did not come so far
		return nil
	}
	return errors.Join(c.unmark(ctx, t), load.Tidy(ctx, t, 0))
}

// Tidy removes from a cluster that is up what a run has put there that was killed.
func Tidy(ctx context.Context, up cluster.Cluster) error {
	t, err := observe.Open(ctx, up)
	if err != nil {
		return err
	}
	c := &cellRun{outline: &outline{cell: Cell{Topology: up.Topology()}}}
	return errors.Join(c.unmark(ctx, t), load.Tidy(ctx, t, load.Underway), t.Members.Close())
}

// lacking are the steps' words for what cannot be done where the cell runs.
func lacking(c *choice) *plan.Step {
	why := fmt.Errorf("%w: it cannot be done here: %s", plan.ErrSkip, c.lacks)
	c.step = &plan.Step{Name: c.spec.Describe(), About: "left out, " + c.lacks, Run: func(context.Context) error { return why }}
	return c.step
}

// leftOut is the plan's word that a cell is not run at all.
func (c Cell) leftOut() string {
	if why := c.lacking(); why != "" {
		return "left out, with all that follows, " + why
	}
	return ""
}

// begins is the name of the step that sets everything going that looks.
func (o *outline) begins(s *Scenario) string {
	if o.cell.ReadOnly {
		return "start probes that only read"
	}
	out := "start probes and recorded clients"
	if kinds := s.Spec.Workload.Kinds; len(kinds) > 0 {
		out += fmt.Sprintf(", with a pod of each of %v on each worker", kinds)
	}
	if s.Spec.Cluster.ExcludeDisruption {
		out += ", control planes labelled " + excludeKey
	}
	return out
}

// ends are the names of the first and the last step.
func (o *outline) ends() (begin, end string) {
	t := o.cell.Topology
	if o.cell.ReadOnly {
		return fmt.Sprintf("find cluster %s, %s", t.Name, t), "leave the cluster"
	}
	if o.cell.On != nil {
		return fmt.Sprintf("take cluster %s, %s, and see that it is whole", t.Name, t), "remove what the run has put there, and leave the cluster"
	}
	return "bring up " + t.String(), "take down"
}
