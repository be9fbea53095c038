package experiment

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// Event is what a fault waits for before it is injected: a line in a program's log, a number of writes acknowledged to the recorded clients, traffic of its own,
// or a metric of a member's. Lines and writes are counted from when the waiting began.
type Event struct {
	Log string `yaml:"log"` // an extended regular expression of POSIX that a new line matches
	Ack int    `yaml:"ack"` // so many writes
	// Traffic is sent, one entry after another, and has come when the last is acknowledged.
	Traffic []load.Traffic `yaml:"traffic"`
	// CalledFor: it has come when the last entry of the traffic was sent so long ago and is not answered yet.
	CalledFor time.Duration `yaml:"calledFor"`
	Metric    string        `yaml:"metric"` // its name, with its labels, as the member's own page has it
	Above     float64       `yaml:"above"`  // that the metric is
	Of        string        `yaml:"of"`     // whose log, or by whom acknowledged: etcd, where it is not said, or the API server
	On        string        `yaml:"on"`     // the machine whose log or metric; empty: whichever has it first
	Within    time.Duration `yaml:"within"` // after which it has not come, and nothing is injected; 0: a minute
}

// eventWithin is how long an event may take that does not say.
const eventWithin = time.Minute

// complete fills in what is not said, and refuses what can never come.
func (ev *Event) complete() error {
	if ev.Within == 0 {
		ev.Within = eventWithin
	}
	if ev.Log == "" && ev.Of == "" {
		ev.Of = etcd.Program
	}
	given := 0
	for _, set := range []bool{ev.Log != "", ev.Ack != 0, ev.Metric != "", len(ev.Traffic) > 0} {
		if set {
			given++
		}
	}
	_, posix := regexp.CompilePOSIX(ev.Log)
	switch {
	case ev.Within < 0:
		return fmt.Errorf("within is %s; it cannot be negative", ev.Within)
	case given != 1:
		return errors.New("want one of log, ack, traffic and metric")
	case ev.Metric == "" && ev.Above != 0:
		return errors.New("above is of a metric")
	case ev.Metric != "" && ev.Of != etcd.Program:
		return fmt.Errorf("of is %q; metrics are read of %s alone: those of Kubernetes' components ask for credentials", ev.Of, etcd.Program)
	case ev.CalledFor != 0 && (len(ev.Traffic) == 0 || ev.CalledFor < 0):
		return fmt.Errorf("calledFor is %s; it is how long the last entry of traffic is to have been called for", ev.CalledFor)
	case len(ev.Traffic) > 0 && (ev.On != "" || ev.Of != etcd.Program):
		return errors.New("traffic takes no on and no of: say through of each entry")
	case ev.Ack < 0:
		return fmt.Errorf("ack is %d; it cannot be negative", ev.Ack)
	case posix != nil:
		return fmt.Errorf("log: %w", posix)
	case ev.Log != "" && ev.Of == "":
		return errors.New("log needs of: the program whose log it is")
	case ev.Ack > 0 && ev.Of != etcd.Program && ev.Of != observe.APIServer:
		return fmt.Errorf("of is %q; writes are acknowledged by %s or %s", ev.Of, etcd.Program, observe.APIServer)
	case ev.Ack > 0 && ev.On != "":
		return errors.New("ack takes no on: the recorded clients are on no machine")
	}
	return validTraffic(ev.Traffic)
}

// fits refuses, with a UsageError, an event of a cluster in which it can never come.
func (ev *Event) fits(t cluster.Topology) error {
	if ev == nil {
		return nil
	}
	for _, e := range ev.Traffic {
		if err := e.Fits(t); err != nil {
			return cluster.Usagef("when: %w", err)
		}
	}
	where, known := fault.Programs(t)[ev.Of]
	switch {
	case !known:
		return cluster.Usagef("when: of is %q; known: %s, %s, %s, %s, %s", ev.Of, etcd.Program, observe.APIServer, observe.ControllerManager, observe.Scheduler, observe.Kubelet)
	case len(where) == 0:
		return cluster.Usagef("when: %s runs on no machine of %s", ev.Of, t)
	case ev.On != "" && !slices.Contains(where, ev.On):
		return cluster.Usagef("when: %s does not run on %q; it does on %s", ev.Of, ev.On, strings.Join(where, ", "))
	}
	return nil
}

// String is the event in a plan.
func (ev *Event) String() string {
	if ev.Ack > 0 {
		return fmt.Sprintf("%d writes acknowledged by %s, within %s", ev.Ack, ev.Of, ev.Within)
	}
	if len(ev.Traffic) > 0 {
		return ev.sends()
	}
	on := ""
	if ev.On != "" {
		on = " on " + ev.On
	}
	if ev.Metric != "" {
		return fmt.Sprintf("%s of %s%s above %g, within %s", ev.Metric, ev.Of, on, ev.Above, ev.Within)
	}
	return fmt.Sprintf("a line %q in the log of %s%s, within %s", ev.Log, ev.Of, on, ev.Within)
}

// event waits for what the fault waits for. Should it never come, or only when the step that the fault is placed at has ended, nothing is injected, and the
// receipt says so: that is no failure of the cluster, and the run goes on.
func (c *cellRun) event(ctx context.Context, ch *choice) error {
	return c.awaitEvent(ctx, ch, func(ctx context.Context) (plan.Evidence, error) { return c.seeEvent(ctx, ch.when) })
}

func (c *cellRun) awaitEvent(ctx context.Context, ch *choice, see func(context.Context) (plan.Evidence, error)) error {
	g, err := c.newGuard(ch)
	if err != nil {
		return err
	}
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-ch.over:
			cancel()
		case <-within.Done():
		}
	}()
	seen, err := see(within)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if late := ch.late(); late != nil {
		return errors.Join(fmt.Errorf("%w: %w", plan.ErrSkip, late), g.Missed(late.Error()))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%w: %w", plan.ErrSkip, err), g.Missed("what it waited for never came: "+err.Error()))
	}
	g.Came(seen)
	return nil
}

func (c *cellRun) seeEvent(ctx context.Context, ev *Event) (plan.Evidence, error) {
	switch {
	case ev.Metric != "":
		return c.seeMetric(ctx, ev)
	case ev.Log != "":
		return c.seeLine(ctx, ev)
	case len(ev.Traffic) > 0:
		return c.seeTraffic(ctx, ev)
	}
	store := load.LedgerEtcd
	if ev.Of == observe.APIServer {
		store = load.LedgerAPI
	}
	within, cancel := context.WithTimeout(ctx, ev.Within)
	defer cancel()
	op, seen, err := c.watched.Acknowledged(within, store, ev.Ack)
	if err != nil {
		return plan.Evidence{}, fmt.Errorf("%s: %d were: %w", ev, seen, err)
	}
	return plan.Evidence{Time: time.Now(), Observer: "recorded clients", Saw: fmt.Sprintf("write %d since it was waited for was acknowledged by %s: %s of %s by client %d", seen, ev.Of, op.Kind, op.Key, op.Client)}, nil
}

// errStepOver is why a fault that waited is not injected any more.
var errStepOver = errors.New("the step that it was to be injected during has ended")

// late says that it is too late for the fault to be injected during its step.
func (c *choice) late() error {
	select {
	case <-c.over:
		return errStepOver
	default:
		return nil
	}
}

// stepEnded notes that the step has ended which a fault was to be injected during.
func (c *cellRun) stepEnded(_ context.Context, ch *choice) error {
	close(ch.over)
	return nil
}

// where are the machines that are looked at.
func (ev *Event) where(t cluster.Topology) []string {
	if ev.On != "" {
		return []string{ev.On}
	}
	return fault.Programs(t)[ev.Of]
}

// seeMetric waits until a member's metric is above what was said.
func (c *cellRun) seeMetric(ctx context.Context, ev *Event) (found plan.Evidence, err error) {
	err = cluster.Await(ctx, ev.String(), cluster.Wait{For: ev.Within}, func(ctx context.Context) error {
		var errs []error
		for _, machine := range ev.where(c.topology()) {
			v, err := c.target.Etcd.Metric(ctx, machine, ev.Metric)
			if err == nil && v > ev.Above {
				found = plan.Evidence{Time: time.Now(), Observer: "metrics of " + ev.Of + " on " + machine, Saw: fmt.Sprintf("%s is %g", ev.Metric, v)}
				return nil
			}
			if err == nil {
				err = fmt.Errorf("on %s it is %g", machine, v)
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
	return found, err
}

// seeLine waits for a line that was written after the first look. Lines have their times, so that one that is written again is another, and one that the
// first look could not find, because the log was not to be read then, is none.
func (c *cellRun) seeLine(ctx context.Context, ev *Event) (found plan.Evidence, err error) {
	known, since := map[string][]string{}, map[string]time.Time{}
	err = cluster.Await(ctx, ev.String(), cluster.Wait{For: ev.Within}, func(ctx context.Context) error {
		var errs []error
		for _, machine := range ev.where(c.topology()) {
			lines, at, err := observe.LogLines(ctx, c.cluster, machine, ev.Of, ev.Log)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			before, looked := known[machine]
			known[machine] = lines
			if !looked {
				since[machine] = at
				continue
			}
			if line := another(before, lines, since[machine]); line != "" {
				found = plan.Evidence{Time: time.Now(), Observer: "log of " + ev.Of + " on " + machine, Saw: line}
				return nil
			}
		}
		return errors.Join(append(errs, errors.New("no such line was written"))...)
	})
	return found, err
}

// another is the first line there is more often than before, of those that do not say that they were written earlier than since.
func another(before, lines []string, since time.Time) string {
	count := map[string]int{}
	for _, l := range before {
		count[l]++
	}
	for _, l := range lines {
		count[l]--
		if at := observe.LineTime(l, since); count[l] < 0 && (at.IsZero() || !at.Before(since)) {
			return l
		}
	}
	return ""
}

// newGuard begins the fault's guard.
func (c *cellRun) newGuard(ch *choice) (*fault.Guard, error) {
	g, err := fault.NewGuard(ch.spec, c.receiptID(ch), c.journal)
	if err != nil {
		return nil, err
	}
	g.Null, g.Due = c.options.NullFaults, ch.late
	c.guardsMu.Lock()
	defer c.guardsMu.Unlock()
	c.guards[ch] = g
	return g, nil
}
