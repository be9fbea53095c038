package fault

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

// fake is a fault whose calls fail at random. Nobody is as it makes them before it was injected.
type fake struct {
	rng      *rand.Rand
	injected *bool
}

func (f fake) err() error {
	if f.rng.IntN(10) == 0 {
		return errors.New("injected error")
	}
	return nil
}

func (f fake) Inject(context.Context, *Env, []string) error  { *f.injected = true; return f.err() }
func (f fake) Recover(context.Context, *Env, []string) error { return f.err() }
func (f fake) Effective(context.Context, *Env, []string) ([]plan.Evidence, error) {
	if !*f.injected {
		return nil, errors.New("well")
	}
	return []plan.Evidence{saw("test", "effect")}, nil
}

func (f fake) Recovered(context.Context, *Env, []string) ([]plan.Evidence, error) {
	return []plan.Evidence{saw("test", "end")}, nil
}

// TestNotDue: a fault that is due no more when it is about to be injected is not, and its receipt says why.
func TestNotDue(t *testing.T) {
	j, err := plan.CreateJournal(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	injected := false
	g := newGuard(Spec{Kind: "etcdMemberCrash", Target: "m", Machines: []string{"m"}}, "1", j, fake{rand.New(rand.NewPCG(1, 2)), &injected})
	g.Due = func() error { return errors.New("too late") }
	held := &Held{}
	err = g.Inject(t.Context(), &Env{Held: held})
	if !errors.Is(err, plan.ErrSkip) || !strings.Contains(err.Error(), "too late") {
		t.Errorf("error %v", err)
	}
	if r := g.Receipt(); injected || !g.IsMissed() || r.State != plan.NotInjected || r.Error != "too late" || !r.Armed.IsZero() || len(held.by) != 0 {
		t.Errorf("injected %t, missed %t, held %v, receipt %+v", injected, g.IsMissed(), held.by, r)
	}
}

// TestGuardLifecycle walks at random through the calls and compares each answer with the picture above State.
func TestGuardLifecycle(t *testing.T) {
	j, err := plan.CreateJournal(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	ctx := context.Background()
	legal := map[string][]State{
		"inject": {Planned}, "effective": {Armed}, "recover": {Planned, Armed, Effective, Recovering, Cleared},
		"recovered": {Planned, Recovering, Cleared},
	}
	for range 60 {
		g := newGuard(Spec{Kind: "etcdMemberCrash", Target: "m", Machines: []string{"m"}}, "1", j, fake{rng, new(bool)})
		seenEffect := false
		for range 12 {
			call := []string{"inject", "effective", "recover", "recovered"}[rng.IntN(4)]
			before := g.state
			var err error
			switch call {
			case "inject":
				err = g.Inject(ctx, nil)
			case "effective":
				err = g.AwaitEffective(ctx, nil)
				seenEffect = seenEffect || err == nil
			case "recover":
				err = g.Recover(ctx, nil)
			case "recovered":
				err = g.AwaitRecovered(ctx, nil)
			}
			allowed := false
			for _, s := range legal[call] {
				allowed = allowed || s == before
			}
			injected := err != nil && strings.Contains(err.Error(), "injected error")
			if allowed && err != nil && !injected {
				t.Fatalf("%s in %s: %v", call, before, err)
			}
			if !allowed && (err == nil || g.state != before) {
				t.Fatalf("%s in %s was allowed, now %s", call, before, g.state)
			}
		}
		if r := g.Receipt(); r.State == plan.Confirmed && (!seenEffect || len(r.Evidence) == 0) {
			t.Fatalf("confirmed without evidence: %+v", r)
		}
	}
}

func TestNullGuardIsNeverConfirmed(t *testing.T) {
	j, err := plan.CreateJournal(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	g := newGuard(Spec{Kind: "etcdMemberCrash", Target: "m", Machines: []string{"m"}}, "1", j, never{})
	g.Null, g.within = true, 300*time.Millisecond
	begun := time.Now()
	ctx := context.Background()
	if err := errors.Join(g.Inject(ctx, nil), g.AwaitEffective(ctx, nil), g.Recover(ctx, nil), g.AwaitRecovered(ctx, nil)); err != nil {
		t.Fatal(err)
	}
	if r := g.Receipt(); r.State != plan.NotInjected || !strings.Contains(r.Error, "nothing to see") {
		t.Fatalf("receipt %+v", r)
	}
	if waited := time.Since(begun); waited < g.within { // evidence that comes late by itself must come in a null test too
		t.Fatalf("the effect was awaited for %s, a real fault's for %s", waited, g.within)
	}
}

// TestNoEvidenceIsNone: where nobody has looked nothing was seen, neither an effect nor its end.
func TestNoEvidenceIsNone(t *testing.T) {
	j, err := plan.CreateJournal(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &blind{}
	g := newGuard(Spec{Kind: "etcdMemberCrash", Target: "m", Machines: []string{"m"}}, "1", j, b)
	g.within = 300 * time.Millisecond
	ctx := t.Context()
	if err := errors.Join(g.Inject(ctx, nil), g.AwaitEffective(ctx, nil)); err != nil {
		t.Fatal(err)
	}
	if r := g.Receipt(); r.State != plan.Mismatch || !strings.Contains(r.Error, "no evidence") {
		t.Errorf("receipt %+v", r)
	}
	if err := errors.Join(g.Recover(ctx, nil)); err != nil {
		t.Fatal(err)
	}
	if err := g.LookRecovered(ctx, nil); err == nil || !strings.Contains(err.Error(), "no evidence") {
		t.Errorf("an end that nobody has seen: %v", err)
	}
}

// blind is a fault that nobody sees anything of once it is injected.
type blind struct{ injected bool }

func (b *blind) Inject(context.Context, *Env, []string) error { b.injected = true; return nil }
func (*blind) Recover(context.Context, *Env, []string) error  { return nil }
func (b *blind) Effective(context.Context, *Env, []string) ([]plan.Evidence, error) {
	if !b.injected {
		return nil, errors.New("well")
	}
	return nil, nil
}
func (*blind) Recovered(context.Context, *Env, []string) ([]plan.Evidence, error) { return nil, nil }

// never is a fault that must not be called and whose effect is never seen.
type never struct{}

func (never) Inject(context.Context, *Env, []string) error  { panic("injected") }
func (never) Recover(context.Context, *Env, []string) error { panic("recovered") }
func (never) Effective(context.Context, *Env, []string) ([]plan.Evidence, error) {
	return nil, errors.New("nothing to see")
}
func (never) Recovered(context.Context, *Env, []string) ([]plan.Evidence, error) {
	return []plan.Evidence{saw("test", "end")}, nil
}

func TestOutstandingIsNewestFirst(t *testing.T) {
	dir := t.TempDir()
	j, err := plan.CreateJournal(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	for _, id := range []string{"1", "2", "3"} {
		g := newGuard(Spec{Kind: "etcdMemberCrash", Target: "m", Machines: []string{"m"}}, id, j, fake{rand.New(&zero{}), new(bool)})
		if err := g.Inject(ctx, nil); err != nil {
			t.Fatal(err)
		}
		if id == "2" {
			if err := errors.Join(g.Recover(ctx, nil), g.AwaitRecovered(ctx, nil)); err != nil {
				t.Fatal(err)
			}
		}
	}
	entries, _, err := plan.ReadJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	left, err := Outstanding(entries)
	if err != nil || len(left) != 2 || left[0].ID != "3" || left[1].ID != "1" {
		t.Fatalf("%d outstanding, %v", len(left), err)
	}
}

// zero is a source that makes IntN(10) never 0.
type zero struct{}

func (*zero) Uint64() uint64 { return 1<<63 - 1 }

// TestImpossibleTargets: a machine that does not run what the fault is done to.
func TestImpossibleTargets(t *testing.T) {
	top := cluster.Topology{ControlPlanes: 3, Workers: 2, Etcd: cluster.EtcdStacked, EtcdMembers: 3}
	some := map[string]Params{"apiServerCrashLoop": {Version: "v1.36.3"}}
	for _, c := range []struct {
		kind, target string
		fine         bool
	}{
		{"etcdMemberCrash", Workers, false}, {"unsyncedWritesLost", Workers, false}, {"etcdMemberFreeze", "worker-1", false}, {"etcdMemberDataLoss", "worker-2", false}, {"apiServerCrashLoop", "worker-1", false},
		{"etcdMemberCrash", "control-plane-2", true}, {"unsyncedWritesLost", Members, true}, {"apiServerCrashLoop", "control-plane-2", true}, {"machinePowerOff", Workers, true}, {"machineIsolate", "worker-1", true},
	} {
		_, err := NewSpec(c.kind, c.target, 0, some[c.kind], top, rand.New(rand.NewPCG(1, 1)))
		var usage *cluster.UsageError
		if c.fine != (err == nil) || !c.fine && (!errors.As(err, &usage) || !strings.Contains(err.Error(), "control-plane-1")) {
			t.Errorf("%s of %s: %v", c.kind, c.target, err)
		}
	}
}

func TestSpecTargets(t *testing.T) {
	top := cluster.Topology{ControlPlanes: 5}.Complete()
	for target, impact := range map[string]int{Leader: 1, Follower: 1, Any: 1, Minority: 2, Majority: 3, Members: 5, "control-plane-4": 1} {
		s, err := NewSpec("etcdMemberCrash", target, 0, Params{}, top, rand.New(rand.NewPCG(1, 1)))
		if err != nil || Impact(top, nil, s) != impact {
			t.Errorf("%s: impact %d, %v; want %d", target, Impact(top, nil, s), err, impact)
		}
	}
	if _, err := NewSpec("etcdMemberCrash", "nobody", 0, Params{}, top, rand.New(rand.NewPCG(1, 1))); err == nil || !strings.Contains(err.Error(), "control-plane-1") {
		t.Errorf("unknown target: %v", err)
	}
	if _, err := NewSpec("meteor", Leader, 0, Params{}, top, rand.New(rand.NewPCG(1, 1))); err == nil || !strings.Contains(err.Error(), "machinePowerOff") {
		t.Errorf("unknown fault: %v", err)
	}
}

// TestKindsTakeFields: what a kind takes is a field that a scenario can give.
func TestKindsTakeFields(t *testing.T) {
	var tags []string
	var read func(of reflect.Type)
	read = func(of reflect.Type) {
		for i := range of.NumField() {
			if tag := of.Field(i).Tag.Get("yaml"); tag != ",inline" {
				tags = append(tags, tag)
				continue
			}
			read(of.Field(i).Type)
		}
	}
	read(reflect.TypeFor[Params]())
	for _, k := range List() {
		for _, name := range k.Takes {
			if !slices.Contains(tags, name) {
				t.Errorf("%s takes %s, which there is not", k.Name, name)
			}
		}
		for _, p := range k.Samples {
			if err := k.Check(p); err != nil {
				t.Errorf("a storm could not do %s: %v", k.Name, err)
			}
		}
	}
}

// Connections that have outlived a cut are given the pause that their kernels have come to.
func TestRecoversWithin(t *testing.T) {
	armed := time.Now().Add(-time.Hour)
	own := cluster.Topology{}.RecoversWithin()
	for name, c := range map[string]struct {
		kind       string
		held, want time.Duration
	}{
		"a crash":                {"etcdMemberCrash", time.Minute, own},
		"a cut":                  {"partition", time.Minute, own + time.Minute},
		"a machine is cut off":   {"machineIsolate", time.Second, own + time.Second},
		"a long cut":             {"partition", 30 * time.Minute, own + longestPause},
		"one that nobody undoes": {"partition", 0, own + longestPause},
	} {
		g := &Guard{Spec: Spec{Kind: c.kind}}
		if g.receipt.Armed = armed; c.held > 0 {
			g.receipt.ClearedAt = g.receipt.Armed.Add(c.held)
		}
		if got := g.RecoversWithin(nil); got != c.want {
			t.Errorf("%s: %s, not %s", name, got, c.want)
		}
	}
	if got := (&Guard{Spec: Spec{Kind: "partition"}, refused: "no"}).RecoversWithin(nil); got != standsFor {
		t.Errorf("of one that could not be undone: %s", got)
	}
	if got := (&Guard{Spec: Spec{Kind: "partition"}}).RecoversWithin(nil); got != own {
		t.Errorf("of one that was never injected: %s", got)
	}
}

// leaning is a fault that is not seen to be over before another is undone, as that of a member is not while there is no quorum.
type leaning struct {
	fake
	undone, on *bool
}

func (l leaning) Recover(context.Context, *Env, []string) error { *l.undone = true; return nil }
func (l leaning) Recovered(context.Context, *Env, []string) ([]plan.Evidence, error) {
	if !*l.on {
		return nil, cluster.Usagef("the other holds") // which ends waiting at once
	}
	return []plan.Evidence{saw("test", "end")}, nil
}

// TestAllAreUndoneBeforeAnyIsAwaited: otherwise two that lean on each other would never be over.
func TestAllAreUndoneBeforeAnyIsAwaited(t *testing.T) {
	j, err := plan.CreateJournal(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var guards []*Guard
	undone := []*bool{new(bool), new(bool)}
	for i := range undone {
		g := newGuard(Spec{Kind: "etcdMemberCrash"}, strconv.Itoa(i), j, leaning{undone: undone[i], on: undone[1-i]})
		g.state = Effective
		guards = append(guards, g)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for i, err := range Undo(ctx, nil, guards...) {
		if err != nil || guards[i].state != Cleared {
			t.Errorf("%d is %s: %v", i, guards[i].state, err)
		}
	}
}
