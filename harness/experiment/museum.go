package experiment

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/scenarios"
)

// Showing is one run of an exhibit, on one of its releases.
type Showing struct {
	Exhibit *Scenario // or what is Fixed of it
	Time    int       // 1 is the first on that release
	As      bool      // it showed what it is for
	Verdict plan.Verdict
	Why     string // what its checks said, or what was seen in their place
	Seconds float64
}

// Sides are exhibits on the bad release and on the fixed one, one after the other.
func Sides(exhibits []*Scenario) (sides []*Scenario, err error) {
	for _, bad := range exhibits {
		fixed, err := bad.Fixed()
		if err != nil {
			return nil, err
		}
		sides = append(sides, bad, fixed)
	}
	return sides, nil
}

// Museum runs exhibits on the bad release and on the fixed one, each so many times and some at a time, by run; tell is told of each that ended, one after
// another. A run that could not be made is an inconclusive one, and no reason to leave out the others. What is interrupted does not count.
func Museum(ctx context.Context, exhibits []*Scenario, times, parallel int, run func(*Scenario, int) (*plan.Result, error), tell func(Showing)) (map[string]scenarios.Shown, error) {
	sides, err := Sides(exhibits)
	if err != nil {
		return nil, err
	}
	var all []Showing
	for _, s := range sides {
		for n := range times {
			all = append(all, Showing{Exhibit: s, Time: n + 1})
		}
	}
	g, told := errgroup.Group{}, sync.Mutex{}
	g.SetLimit(max(1, parallel))
	var ended []Showing
	for _, sh := range all {
		g.Go(func() error {
			if ctx.Err() != nil {
				return nil
			}
			res, err := run(sh.Exhibit, sh.Time)
			if ctx.Err() != nil {
				return nil
			}
			if sh.Verdict = plan.Inconclusive; err != nil {
				sh.Why = err.Error()
			} else {
				sh.As, sh.Why = sh.Exhibit.Shows(res)
				sh.Verdict, sh.Seconds = res.Verdict, res.DurationSeconds
			}
			told.Lock()
			defer told.Unlock()
			ended = append(ended, sh)
			tell(sh)
			return nil
		})
	}
	err = errors.Join(g.Wait(), ctx.Err())
	out := map[string]scenarios.Shown{}
	for _, bad := range exhibits {
		e := bad.Spec.Exhibit
		of := func(fixed bool, r Releases) scenarios.Rates {
			return rates(r, slices.DeleteFunc(slices.Clone(ended), func(sh Showing) bool {
				return sh.Exhibit.fixed != fixed || sh.Exhibit.sum != bad.sum
			}))
		}
		out[bad.Metadata.Label()] = scenarios.Shown{Scenario: bad.sum, Bad: of(false, e.Bad), Fixed: of(true, e.Fixed)}
	}
	return out, err
}

func rates(of Releases, runs []Showing) scenarios.Rates {
	out := scenarios.Rates{Releases: of.String(), Runs: len(runs), Took: []int{}}
	for _, sh := range runs {
		switch {
		case sh.As:
			out.AsMeant++
			out.Took = append(out.Took, int(math.Ceil(sh.Seconds)))
		case sh.Verdict == plan.Inconclusive:
			out.Inconclusive++
		}
	}
	slices.Sort(out.Took)
	return out
}
