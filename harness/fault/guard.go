package fault

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

// State is where a guarded fault is in its life:
//
//	planned ──Inject──▶ armed ──AwaitEffective──▶ effective
//	                      │                           │
//	                      └──────────Recover──────────┤
//	                                                  ▼
//	                               cleared ◀──AwaitRecovered── recovering
//
// Every other transition is an error that says what to do.
type State string

// The states of a guarded fault.
const (
	Planned    State = "planned"
	Armed      State = "armed"
	Effective  State = "effective"
	Recovering State = "recovering"
	Cleared    State = "cleared"
)

// Guard wraps a fault: it journals before it injects, observes the effect and its end, and writes the receipt.
type Guard struct {
	Spec    Spec
	ID      string // the step's, for the receipt
	Null    bool   // nothing is injected: for proving that the evidence is red then
	Journal *plan.Journal
	Due     func() error // asked last before it is injected: why it is too late for that; nil: it never is

	mu      sync.Mutex
	fault   Fault
	within  time.Duration // for the effect to be seen, also when nothing is injected
	state   State
	receipt plan.Receipt
	seen    time.Time // when the recovery was seen
	refused string    // why undoing it failed
	missed  bool      // what it waited for never came
	mended  bool      // somebody else has ended it
}

// How long it may take until a victim is seen to be well before the injection, and an effect and its end are seen.
const (
	redWithin       = 5 * time.Second
	effectiveWithin = 20 * time.Second
	latentWithin    = 5 * time.Minute // the step that shows it must come that far first
)

// NewGuard makes a guard in state planned.
func NewGuard(s Spec, id string, j *plan.Journal) (*Guard, error) {
	k, err := Find(s.Kind)
	if err != nil {
		return nil, err
	}
	return newGuard(s, id, j, k.New(s)), nil
}

func newGuard(s Spec, id string, j *plan.Journal, f Fault) *Guard {
	within := effectiveWithin
	if s.Latent() || s.OfTwin() {
		within = latentWithin
	}
	return &Guard{Spec: s, ID: id, Journal: j, fault: f, within: within, state: Planned, receipt: plan.Receipt{
		ID: id, Fault: s.Kind, Target: s.Target, Machines: append([]string{}, s.Machines...), State: plan.NotInjected, Evidence: []plan.Evidence{}, Error: "never injected: its turn did not come",
	}}
}

// Journalled is what heal needs to undo a fault.
type Journalled struct {
	Spec    Spec         `json:"spec"`
	State   State        `json:"state"`
	Receipt plan.Receipt `json:"receipt"`
}

func (g *Guard) enter(s State) error {
	g.state = s
	return g.Journal.Write("receipt", Journalled{Spec: g.Spec, State: s, Receipt: g.receipt})
}

func (g *Guard) expect(want ...State) error {
	for _, w := range want {
		if g.state == w {
			return nil
		}
	}
	advice := map[State]string{
		Planned: "inject it first", Armed: "await its effect or recover it", Effective: "recover it",
		Recovering: "await its recovery", Cleared: "it is over; make a new guard",
	}
	return fmt.Errorf("fault %s is %s: %s", g.Spec.Kind, g.state, advice[g.state])
}

// Inject sees that the machines are well, journals the fault with its resolved machines and then does it. What is so already is an error,
// and nothing is done: what would be seen afterwards would not be the fault's.
func (g *Guard) Inject(ctx context.Context, e *Env) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.expect(Planned); err != nil {
		return err
	}
	if g.missed {
		return fmt.Errorf("inject %s: %s", g.Spec.Kind, g.receipt.Error)
	}
	machines, err := g.resolve(ctx, e)
	if err != nil {
		g.receipt.Error = err.Error()
		return errors.Join(fmt.Errorf("inject %s: %w", g.Spec.Kind, err), g.enter(Planned))
	}
	g.receipt.Machines = machines
	if g.receipt.Emulated, err = emulated(e, g.Spec.Kind, machines); err != nil {
		return err
	}
	if err := g.wellBefore(ctx, e, machines); err != nil {
		g.receipt.Error = err.Error()
		g.release(e)
		return errors.Join(fmt.Errorf("inject %s: %w", g.Spec.Kind, err), g.enter(Planned))
	}
	if g.Due != nil {
		if err := g.Due(); err != nil {
			g.release(e)
			return errors.Join(fmt.Errorf("%w: %w", plan.ErrSkip, err), g.miss(err.Error()))
		}
	}
	g.receipt.Armed, g.receipt.Error = time.Now(), "it was not injected: a null test, or interrupted on the way"
	if err := g.enter(Armed); err != nil {
		return err
	}
	if g.Null {
		return nil
	}
	g.receipt.State, g.receipt.Error = plan.NotInjected, "its effect was not awaited"
	err = g.fault.Inject(ctx, g.env(e), machines)
	if err == nil {
		return nil
	}
	g.receipt.Error = err.Error()
	var nothing notBegunError
	if errors.As(err, &nothing) { // there is nothing to undo, and nobody waits for the end of it
		g.missed, g.receipt.Armed = errors.Is(err, plan.ErrSkip), time.Time{}
		g.release(e)
		return errors.Join(fmt.Errorf("inject %s on %s: %w", g.Spec.Kind, where(machines), err), g.enter(Planned))
	}
	return fmt.Errorf("inject %s on %s: %w", g.Spec.Kind, where(machines), err)
}

// notBegunError is of a fault that was prepared and not begun, and of which nothing is left.
type notBegunError struct{ error }

// Unwrap gives why.
func (e notBegunError) Unwrap() error { return e.error }

// Came notes, before Inject, what the fault waited for.
func (g *Guard) Came(seen plan.Evidence) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.receipt.Event = &seen
}

// Missed says in the receipt that the fault waited in vain, or too long, for what it is injected upon. Nothing is done then.
func (g *Guard) Missed(why string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.expect(Planned); err != nil {
		return err
	}
	return g.miss(why)
}

func (g *Guard) miss(why string) error {
	g.missed, g.receipt.Error = true, why
	return g.enter(Planned)
}

// IsMissed reports whether it waited in vain.
func (g *Guard) IsMissed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.missed
}

// release says that the fault's machines are nobody's any more.
func (g *Guard) release(e *Env) {
	if e != nil {
		e.Held.drop(g)
	}
}

// fresh refuses evidence that was there before something was done, and that there is none: nobody has looked then.
func fresh(evidence []plan.Evidence, done time.Time, what string) error {
	if len(evidence) == 0 {
		return fmt.Errorf("nobody has looked since the %s: there is no evidence", what)
	}
	for _, v := range evidence {
		if v.Time.Before(done) {
			return fmt.Errorf("what %s saw at %s is older than the %s at %s: %s", v.Observer, v.Time.Format(time.TimeOnly), what, done.Format(time.TimeOnly), v.Saw)
		}
	}
	return nil
}

// AwaitEffective observes the effect. When it cannot be seen the receipt says so and the run goes on: there is nothing to fail,
// and nothing to trust. Only a broken precondition is an error.
func (g *Guard) AwaitEffective(ctx context.Context, e *Env) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.expect(Armed); err != nil {
		return err
	}
	var evidence []plan.Evidence
	err := cluster.Await(ctx, "effect of "+g.Spec.Kind, cluster.Wait{For: e.effectiveWithin(g)}, func(ctx context.Context) (err error) {
		if evidence, err = g.fault.Effective(ctx, g.env(e), g.receipt.Machines); err != nil {
			return err
		}
		return fresh(evidence, g.receipt.Armed, "injection")
	})
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		g.receipt.State, g.receipt.Error = plan.Mismatch, err.Error()
		if g.Null {
			g.receipt.State, g.receipt.Error = plan.NotInjected, "nothing was injected, as asked for, and: "+err.Error()
		}
		return g.Journal.Write("receipt", Journalled{Spec: g.Spec, State: g.state, Receipt: g.receipt})
	}
	g.receipt.Evidence = append(g.receipt.Evidence, evidence...)
	g.receipt.EffectiveAt, g.receipt.Error = time.Now(), "its end was not seen"
	if g.Null {
		g.receipt.Error = "nothing was injected, as asked for, and its effect was seen all the same: somebody else has done it, or the evidence is worth nothing"
	}
	return g.enter(Effective)
}

// Mended says that somebody else has ended the fault, as a runbook does: nothing is undone, and AwaitRecovered sees whether it is over. Where it is not,
// Recover undoes it after all.
func (g *Guard) Mended() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state == Planned || g.state == Cleared {
		return nil
	}
	g.mended = true
	return g.recovering()
}

func (g *Guard) recovering() error {
	if err := g.expect(Armed, Effective, Recovering); err != nil {
		return err
	}
	if g.receipt.ClearedAt.IsZero() {
		g.receipt.ClearedAt = time.Now()
	}
	confirmed := g.state == Effective
	if err := g.enter(Recovering); err != nil {
		return err
	}
	if confirmed && !g.Null {
		g.receipt.State = plan.Confirmed // until its end is not seen
	}
	return nil
}

// Recover undoes the fault; idempotent, and a no-op before Inject.
func (g *Guard) Recover(ctx context.Context, e *Env) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state == Planned || g.state == Cleared {
		return nil
	}
	if err := g.recovering(); err != nil {
		return err
	}
	g.mended, g.refused = false, ""
	if g.Null {
		return nil
	}
	if err := g.fault.Recover(ctx, g.env(e), g.receipt.Machines); err != nil {
		g.refused = err.Error()
		g.receipt.State, g.receipt.Error = plan.NotInjected, g.refused
		return fmt.Errorf("recover from %s on %s: %w", g.Spec.Kind, where(g.receipt.Machines), err)
	}
	return nil
}

// longestPause is TCP's between two tries on Linux (TCP_RTO_MAX in include/net/tcp.h).
const longestPause = 120 * time.Second

// standsFor is long enough for several readings of a cluster that answers slowly. Where a fault could not be undone nobody does anything against it any more,
// and what is there is not waited away.
const standsFor = 5 * time.Second

// RecoversWithin is how long the end of the fault may take to be seen.
func (g *Guard) RecoversWithin(e *Env) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.recoversWithin(e)
}

// recoversWithin adds to the cluster's own time what connections need that have outlived a silent fault: both ends wait for the next try of their
// kernels, each pause is twice the one before, and so the one that is under way when the fault ends is no longer than all before it, which is the fault.
// Seen with etcd after a cut of a minute: pauses of 52 s, and members in different terms until they were over.
func (g *Guard) recoversWithin(e *Env) time.Duration {
	if g.refused != "" {
		return standsFor
	}
	within := e.recoversWithin()
	if k, err := Find(g.Spec.Kind); err != nil || !k.Silent || g.receipt.Armed.IsZero() {
		return within
	}
	end := g.receipt.ClearedAt
	if end.IsZero() {
		end = time.Now()
	}
	return within + min(end.Sub(g.receipt.Armed), longestPause)
}

// AwaitRecovered observes that all is as before, and closes the receipt.
func (g *Guard) AwaitRecovered(ctx context.Context, e *Env) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state == Planned || g.state == Cleared {
		return nil
	}
	if err := g.expect(Recovering); err != nil {
		return err
	}
	var evidence []plan.Evidence
	err := cluster.Await(ctx, "recovery from "+g.Spec.Kind, cluster.Wait{For: g.recoversWithin(e)}, func(ctx context.Context) (err error) {
		if evidence, err = g.fault.Recovered(ctx, g.env(e), g.receipt.Machines); err != nil {
			return err
		}
		return fresh(evidence, g.receipt.ClearedAt, "recovery")
	})
	if err != nil {
		g.receipt.State, g.receipt.Error = plan.NotInjected, err.Error()
		if g.refused != "" { // the cause, before what came of it
			g.receipt.Error = g.refused + "; then " + err.Error()
		}
		return errors.Join(err, g.Journal.Write("receipt", Journalled{Spec: g.Spec, State: g.state, Receipt: g.receipt}))
	}
	if t, ok := g.fault.(tidier); ok && g.mended && !g.Null {
		if err := t.Tidy(ctx, g.env(e), g.receipt.Machines); err != nil {
			g.receipt.Error = err.Error()
			return errors.Join(fmt.Errorf("tidy up after %s: %w", g.Spec.Kind, err), g.Journal.Write("receipt", Journalled{Spec: g.Spec, State: g.state, Receipt: g.receipt}))
		}
	}
	g.receipt.Evidence = append(g.receipt.Evidence, evidence...)
	if g.seen.IsZero() {
		g.seen = time.Now()
	}
	if g.receipt.State == plan.Confirmed {
		g.receipt.Error = ""
	}
	g.release(e)
	return g.enter(Cleared)
}

// LookRecovered looks once whether all is as before, and remembers when it first was. It closes nothing: AwaitRecovered does.
func (g *Guard) LookRecovered(ctx context.Context, e *Env) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.expect(Recovering); err != nil {
		return err
	}
	evidence, err := g.fault.Recovered(ctx, g.env(e), g.receipt.Machines)
	if err == nil {
		err = fresh(evidence, g.receipt.ClearedAt, "recovery")
	}
	if err != nil {
		return err
	}
	if g.seen.IsZero() {
		g.seen = time.Now()
	}
	g.release(e)
	return nil
}
