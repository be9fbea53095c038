package fault

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/plan"
)

// scripted is a fault whose machines are as they are said to be.
type scripted struct {
	before   map[string]bool // machine -> it is so without a fault
	control  bool            // the control is bad before, which is only looked at when the victim is so
	seenAt   time.Duration   // the age of the evidence
	injected bool
}

func (s *scripted) Inject(context.Context, *Env, []string) error { s.injected = true; return nil }
func (*scripted) Recover(context.Context, *Env, []string) error  { return nil }
func (s *scripted) Effective(_ context.Context, _ *Env, machines []string) ([]plan.Evidence, error) {
	for _, m := range machines {
		if !s.injected && !s.before[m] {
			return nil, errors.New(m + " is well")
		}
	}
	if s.control && !s.injected {
		return nil, controlError{errors.New("another one is unwell")}
	}
	return []plan.Evidence{{Time: time.Now().Add(-s.seenAt), Observer: "test", Saw: strings.Join(machines, " ") + " down"}}, nil
}

func (*scripted) Recovered(context.Context, *Env, []string) ([]plan.Evidence, error) {
	return []plan.Evidence{saw("test", "up")}, nil
}

func scriptedGuard(t *testing.T, f Fault) *Guard {
	t.Helper()
	j, err := plan.CreateJournal(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return newGuard(Spec{Kind: "etcdMemberCrash", Target: Majority, Machines: []string{"a", "b"}}, "1", j, f)
}

// What is so before the injection cannot be the injection's effect: one victim of several is enough, and nothing is done to any.
func TestWhatWasSoBeforeIsNoEffect(t *testing.T) {
	for name, f := range map[string]*scripted{
		"all":                         {before: map[string]bool{"a": true, "b": true}},
		"one of two":                  {before: map[string]bool{"b": true}},
		"one, and the control is bad": {before: map[string]bool{"a": true}, control: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := scriptedGuard(t, f)
			ctx := context.Background()
			if err := g.Inject(ctx, nil); err == nil || !strings.Contains(err.Error(), "was so before it was injected") {
				t.Errorf("error %v", err)
			}
			if f.injected {
				t.Error("it was injected all the same")
			}
			if err := errors.Join(g.Recover(ctx, nil), g.AwaitRecovered(ctx, nil)); err != nil {
				t.Error(err)
			}
			r := g.Receipt()
			if r.State != plan.NotInjected || !strings.Contains(r.Error, "was so before it was injected") || !r.Armed.IsZero() {
				t.Errorf("receipt %+v", r)
			}
		})
	}
}

func TestEvidenceIsNewerThanTheInjection(t *testing.T) {
	g := scriptedGuard(t, &scripted{seenAt: time.Minute})
	g.within = 50 * time.Millisecond
	ctx := context.Background()
	if err := errors.Join(g.Inject(ctx, nil), g.AwaitEffective(ctx, nil)); err != nil {
		t.Fatal(err)
	}
	if r := g.Receipt(); r.State != plan.Mismatch || !strings.Contains(r.Error, "older than the injection") {
		t.Errorf("receipt %+v", r)
	}
}

func TestAFaultThatNeverBeganHasAReceipt(t *testing.T) {
	r := newGuard(Spec{Kind: "etcdMemberCrash", Target: Leader}, "4.2", nil, nil).Receipt()
	if r.State != plan.NotInjected || !strings.Contains(r.Error, "never injected") || r.ID != "4.2" || r.Fault != "etcdMemberCrash" || r.Machines == nil || r.Evidence == nil {
		t.Errorf("receipt %+v", r)
	}
}
