package fault

import (
	"context"
	"math/rand/v2"
	"testing"

	"drydock.dev/drydock/harness/plan"
)

// tidy is a fault that keeps something to be undone by.
type tidy struct {
	fake
	recovered, tidied *int
}

func (f tidy) Recover(context.Context, *Env, []string) error { *f.recovered++; return nil }
func (f tidy) Inject(context.Context, *Env, []string) error  { *f.injected = true; return nil }
func (f tidy) Tidy(context.Context, *Env, []string) error    { *f.tidied++; return nil }

// What somebody else has ended is not undone, and what it would have been undone by goes; what is undone has done that itself.
func TestWhatSomebodyElseHasEndedLeavesNothingBehind(t *testing.T) {
	for name, c := range map[string]struct {
		end               func(g *Guard) error
		recovered, tidied int
	}{
		"mended":                  {func(g *Guard) error { return g.Mended() }, 0, 1},
		"undone":                  {func(g *Guard) error { return g.Recover(t.Context(), nil) }, 1, 0},
		"undone where it was not": {func(g *Guard) error { _ = g.Mended(); return g.Recover(t.Context(), nil) }, 1, 0},
	} {
		j, err := plan.CreateJournal(t.TempDir(), nil)
		if err != nil {
			t.Fatal(err)
		}
		recovered, tidied := 0, 0
		g := newGuard(Spec{Kind: "etcdMemberCrash", Target: "m", Machines: []string{"m"}}, "1", j, tidy{fake{rand.New(rand.NewPCG(1, 2)), new(bool)}, &recovered, &tidied})
		for _, do := range []func() error{
			func() error { return g.Inject(t.Context(), nil) }, func() error { return g.AwaitEffective(t.Context(), nil) },
			func() error { return c.end(g) }, func() error { return g.AwaitRecovered(t.Context(), nil) },
		} {
			if err := do(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if recovered != c.recovered || tidied != c.tidied {
			t.Errorf("%s: undone %d times, tidied %d times", name, recovered, tidied)
		}
	}
}
