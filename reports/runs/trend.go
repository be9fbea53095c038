package runs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/plan"
)

// Trend is how runs went over time, each scenario for itself.
type Trend struct {
	Scenarios  []Scenario   `json:"scenarios"`
	Running    []string     `json:"running"`    // runs that go on: they count for nothing yet
	Unreadable []Unreadable `json:"unreadable"` // and those that nobody can read
}

// Unreadable is a run that could not be read, and why.
type Unreadable struct {
	Run string `json:"run"`
	Why string `json:"why"`
}

// Scenario is all runs of a scenario on one provider.
type Scenario struct {
	Scenario     string `json:"scenario"`
	Provider     string `json:"provider"`
	Go           int    `json:"go"`
	NoGo         int    `json:"noGo"`
	Inconclusive int    `json:"inconclusive"`
	Runs         []Past `json:"runs"`   // oldest first
	Checks       []Rate `json:"checks"` // that were ever red, the most often red first
	Green        int    `json:"green"`  // checks that passed in every run that made them, and there was one
}

// Past is what a run has come to. A number that nobody has measured is missing.
type Past struct {
	Run               string       `json:"run"`
	Started           time.Time    `json:"started"`
	Verdict           plan.Verdict `json:"verdict"`
	Seed              int64        `json:"seed"`
	DurationSeconds   float64      `json:"durationSeconds"`
	LeastToSpare      *int         `json:"leastToSpare,omitempty"` // members of etcd
	SecondsAtZero     *float64     `json:"secondsAtZero,omitempty"`
	LongestGapSeconds *float64     `json:"longestGapSeconds,omitempty"` // of any probe
	Reason            string       `json:"reason,omitempty"`            // the first
	href              string
}

// Rate is how often a check was red. Inconclusive and skipped ones have said nothing, and are no part of it.
type Rate struct {
	Check        string  `json:"check"`
	Passed       int     `json:"passed"`
	Failed       int     `json:"failed"`
	Inconclusive int     `json:"inconclusive"`
	Rate         float64 `json:"rate"` // of those that said something, the share that failed
	// Flaky says that it has passed as well as failed; BothWays with which seeds it did both, so that the plan is not what makes the difference.
	Flaky    bool    `json:"flaky"`
	BothWays []int64 `json:"bothWays,omitempty"`
	Red      []Red   `json:"red"`
}

// Red is a run in which a check was not green.
type Red struct {
	Run     string       `json:"run"`
	Seed    int64        `json:"seed"`
	Verdict plan.Verdict `json:"verdict"`
	Message string       `json:"message"`
}

// TrendOf sums runs up.
func TrendOf(all []*Run) *Trend {
	t := &Trend{Scenarios: []Scenario{}, Running: []string{}, Unreadable: []Unreadable{}}
	by := map[[2]string][]*Run{}
	for _, r := range all {
		switch {
		case r.Owner != "":
			t.Running = append(t.Running, r.Name)
		case r.Result == nil:
			t.Unreadable = append(t.Unreadable, Unreadable{r.Name, r.Why})
		default:
			of := [2]string{r.Result.Scenario, r.Result.Provider}
			by[of] = append(by[of], r)
		}
	}
	for of, list := range by {
		slices.SortStableFunc(list, func(a, b *Run) int {
			return cmp.Or(a.Started().Compare(b.Started()), strings.Compare(a.Name, b.Name))
		})
		t.Scenarios = append(t.Scenarios, scenarioOf(of, list))
	}
	slices.SortFunc(t.Scenarios, func(a, b Scenario) int {
		return cmp.Or(strings.Compare(a.Scenario, b.Scenario), strings.Compare(a.Provider, b.Provider))
	})
	return t
}

func scenarioOf(of [2]string, list []*Run) Scenario {
	s := Scenario{Scenario: of[0], Provider: of[1], Runs: []Past{}, Checks: []Rate{}}
	for _, r := range list {
		switch r.Result.Verdict {
		case plan.Go:
			s.Go++
		case plan.NoGo:
			s.NoGo++
		default:
			s.Inconclusive++
		}
		s.Runs = append(s.Runs, pastOf(r))
	}
	s.Checks, s.Green = ratesOf(list)
	return s
}

func pastOf(run *Run) Past {
	r := run.Result
	p := Past{Run: run.Name, Started: r.Started, Verdict: r.Verdict, Seed: r.Seed, DurationSeconds: r.DurationSeconds}
	if run.Page {
		p.href = run.href()
	}
	if r.Tolerance.Observations > 0 {
		p.LeastToSpare, p.SecondsAtZero = &r.Tolerance.Minimum, &r.Tolerance.SecondsAtZero
	}
	for _, probe := range r.Probes {
		if probe.Samples > 0 && (p.LongestGapSeconds == nil || probe.LongestGapSeconds > *p.LongestGapSeconds) {
			p.LongestGapSeconds = &probe.LongestGapSeconds
		}
	}
	if len(r.Reasons) > 0 {
		p.Reason = r.Reasons[0]
	}
	return p
}

// ratesOf tells of the checks that were ever red or said nothing, and counts those that passed and were neither.
func ratesOf(list []*Run) (out []Rate, green int) {
	rates, passed := map[string]*Rate{}, map[string][]int64{}
	for _, run := range list {
		for _, c := range run.Result.Checks {
			name := c.Name + " (" + c.When + ")"
			r := rates[name]
			if r == nil {
				r = &Rate{Check: name, Red: []Red{}}
				rates[name] = r
			}
			switch c.Verdict {
			case plan.Pass:
				r.Passed++
				passed[name] = append(passed[name], run.Result.Seed)
				continue
			case plan.Skipped:
				continue
			case plan.Fail:
				r.Failed++
			default:
				r.Inconclusive++
			}
			r.Red = append(r.Red, Red{run.Name, run.Result.Seed, c.Verdict, c.Message})
		}
	}
	out = []Rate{}
	for name, r := range rates {
		if len(r.Red) == 0 {
			green += min(1, r.Passed) // one that was always skipped has not
			continue
		}
		if said := r.Passed + r.Failed; said > 0 {
			r.Rate = float64(r.Failed) / float64(said)
		}
		r.Flaky = r.Passed > 0 && r.Failed > 0
		for _, seed := range r.Seeds() {
			if slices.Contains(passed[name], seed) {
				r.BothWays = append(r.BothWays, seed)
			}
		}
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b Rate) int {
		return cmp.Or(cmp.Compare(b.Rate, a.Rate), cmp.Compare(b.Inconclusive, a.Inconclusive), strings.Compare(a.Check, b.Check))
	})
	return out, green
}

// Seeds are those with which it failed.
func (r Rate) Seeds() []int64 {
	var out []int64
	for _, red := range r.Red {
		if red.Verdict == plan.Fail {
			out = append(out, red.Seed)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Says is the rate in words.
func (r Rate) Says() string {
	said := r.Passed + r.Failed
	out := fmt.Sprintf("failed in %d of %d", r.Failed, said)
	if said > 0 {
		out += fmt.Sprintf(" (%.0f %%)", 100*r.Rate)
	}
	if seeds := r.Seeds(); len(seeds) > 0 {
		out += ", with seed " + numbers(seeds)
	}
	if len(r.BothWays) > 0 {
		out += "; passed as well as failed with seed " + numbers(r.BothWays)
	}
	if r.Inconclusive > 0 {
		out += fmt.Sprintf("; said nothing in %d more", r.Inconclusive)
	}
	return out
}

func numbers(seeds []int64) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(seeds), " ", ", "), "[]")
}
