package health

import (
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/plan"
)

// ARM is what the twin of Azure Resource Manager beside the cluster has seen. All times are the wall's, those of calls too.
type ARM struct {
	Policy   string         `json:"policy"`
	Began    time.Time      `json:"began"`
	Ended    time.Time      `json:"ended"`
	Calls    []arm.Call     `json:"calls"`
	Lost     int            `json:"lost,omitempty"` // calls before the first of them, which the log had no room for
	Budgets  []ARMBudget    `json:"budgets,omitempty"`
	Before   []arm.Resource `json:"before"`
	After    []arm.Resource `json:"after"`
	Machines []string       `json:"machines"` // of the cluster, at the end
}

// ARMBudget is how little was ever left of a budget that somebody drew on.
type ARMBudget struct {
	Budget    string `json:"budget"`
	Principal string `json:"principal,omitempty"` // empty: it is of all together
	Left      int    `json:"left"`
	Of        int    `json:"of"`
}

// defaultAmplification is how many calls may be sent for one that is needed: one in ten may be sent again.
const defaultAmplification = 1.1

// ofARM are the calls on resources of the principals of a pattern, or of all; why there is nothing to judge.
func ofARM(r *Record, principal string) (calls []arm.Call, none string) {
	switch {
	case r.ARM == nil:
		return nil, "there was no twin beside the cluster"
	case r.ARM.Lost > 0:
		return nil, fmt.Sprintf("the twin's log had no room for the first %d calls", r.ARM.Lost)
	}
	for _, c := range r.ARM.Calls {
		ours, err := path.Match(principal, c.Principal)
		if err != nil {
			return nil, fmt.Sprintf("principal %q is no pattern: %v", principal, err) // evidence is judged again without a scenario's checks
		}
		if !c.Beside() && (principal == "" || ours) {
			calls = append(calls, c)
		}
	}
	if len(calls) == 0 {
		who := "nobody"
		if principal != "" {
			who = principal + " never"
		}
		return nil, who + " called Azure Resource Manager"
	}
	return calls, ""
}

func tallies(calls []arm.Call, key func(c arm.Call) string) (out map[string]*arm.Tally, names []string) {
	out = map[string]*arm.Tally{}
	for _, c := range calls {
		k := key(c)
		if out[k] == nil {
			out[k] = &arm.Tally{}
		}
		out[k].Add(c)
	}
	return out, slices.Sorted(maps.Keys(out))
}

// armAmplification judges how many calls each client has sent for one that was needed.
func armAmplification(r *Record, _ *Window, p Params) (plan.Verdict, string) {
	calls, none := ofARM(r, p.Principal)
	if none != "" {
		return plan.Unknown, none
	}
	most := p.Max
	if most == 0 {
		most = defaultAmplification
	}
	by, names := tallies(calls, func(c arm.Call) string { return c.Principal })
	var bad, good []string
	for _, name := range names {
		t := by[name]
		if t.Passed == 0 {
			if t.Sent() > 0 {
				bad = append(bad, fmt.Sprintf("%s sent %d calls and none passed", clientOf(name), t.Sent()))
			}
			continue
		}
		says := fmt.Sprintf("%s sent %d calls for %d that passed, %.2f for one (%d answered 429, %d lost to faults)", clientOf(name), t.Sent(), t.Passed, t.Amplification(), t.Throttled, t.Struck)
		if t.Amplification() > most {
			bad = append(bad, says)
			continue
		}
		good = append(good, says)
	}
	switch {
	case len(bad) > 0:
		return plan.Fail, fmt.Sprintf("above %.2f: %s", most, strings.Join(bad, "; "))
	case len(good) == 0:
		return plan.Unknown, "no call passed, and none was refused for its number"
	}
	return plan.Pass, strings.Join(good, "; ")
}

func clientOf(principal string) string {
	if principal == "" {
		return "a client without a token"
	}
	return principal
}

// armThrottled judges whether a client was throttled at all: where it was not, nothing of what follows shows how it stands that.
func armThrottled(r *Record, _ *Window, p Params) (plan.Verdict, string) {
	calls, none := ofARM(r, p.Principal)
	if none != "" {
		return plan.Unknown, none
	}
	stopped := refusedOf(calls)
	if len(stopped) == 0 {
		return plan.Fail, fmt.Sprintf("none of %d calls was answered 429", len(calls))
	}
	return plan.Pass, fmt.Sprintf("%d of %d calls were answered 429, from %s to %s, the first by %s: %s", len(stopped), len(calls), clock(stopped[0].Time), clock(stopped[len(stopped)-1].Time), by429(stopped[0]), stopped[0].Operation)
}

func refusedOf(calls []arm.Call) (out []arm.Call) {
	for _, c := range calls {
		if c.Status == http.StatusTooManyRequests {
			out = append(out, c)
		}
	}
	return out
}

func by429(c arm.Call) string {
	if c.Fault != "" {
		return "a fault"
	}
	return c.Throttled
}

// armUnthrottled judges that no call was throttled: in the last part of the run, or all through it.
func armUnthrottled(r *Record, _ *Window, p Params) (plan.Verdict, string) {
	all, none := ofARM(r, p.Principal)
	if none != "" {
		return plan.Unknown, none
	}
	from, when := r.ARM.Began, "in the run"
	if p.Window > 0 {
		if from, when = r.ARM.Ended.Add(-p.Window), fmt.Sprintf("in the last %s of it", p.Window); from.Before(r.ARM.Began) {
			return plan.Unknown, fmt.Sprintf("the twin was there for %s, less than the %s that are asked for", round(r.ARM.Ended.Sub(r.ARM.Began)), p.Window)
		}
	}
	calls := slices.DeleteFunc(slices.Clone(all), func(c arm.Call) bool { return c.Time.Before(from) })
	if len(calls) == 0 {
		return plan.Unknown, "no call was made " + when
	}
	if stopped := refusedOf(calls); len(stopped) > 0 {
		last := stopped[len(stopped)-1]
		return plan.Fail, fmt.Sprintf("%d of %d calls %s were answered 429, the last at %s, %s of %s by %s", len(stopped), len(calls), when, clock(last.Time), last.Operation, clientOf(last.Principal), by429(last))
	}
	if waiting := stillWaiting(all, from); len(waiting) > 0 {
		return plan.Unknown, fmt.Sprintf("none of %d calls %s was answered 429, and who was before has not called since: %s", len(calls), when, strings.Join(waiting, ", "))
	}
	return plan.Pass, fmt.Sprintf("none of %d calls %s was answered 429", len(calls), when)
}

// armRemedied judges a runbook for throttled components by the twin's log: before it calls were answered 429, and from when it began to start things again
// none was, of nobody who called before. Of whom no call has passed since may be waiting still for what he was told, or be refused for another reason, and is not
// known to be out of it: so that each component is judged, each is to be somebody of his own to the twin.
func armRemedied(r *Record, _ *Window, p Params) (plan.Verdict, string) {
	calls, none := ofARM(r, p.Principal)
	if none != "" {
		return plan.Unknown, none
	}
	begun, started := restarted(r.Remedies)
	if started.IsZero() {
		return plan.Unknown, "no runbook has started anything again"
	}
	before := slices.DeleteFunc(slices.Clone(calls), func(c arm.Call) bool { return !c.Time.Before(begun) })
	after := slices.DeleteFunc(slices.Clone(calls), func(c arm.Call) bool { return c.Time.Before(started) })
	stopped, again := refusedOf(before), refusedOf(after)
	says := fmt.Sprintf("%d of %d calls before the runbook were answered 429, and %d of %d from %s on, when it began to start again", len(stopped), len(before), len(again), len(after), clock(started))
	passed := slices.DeleteFunc(slices.Clone(after), func(c arm.Call) bool { return c.Status == 0 || c.Status >= http.StatusBadRequest })
	then, now := callers(before), callers(passed)
	silent := slices.DeleteFunc(slices.Clone(then), func(name string) bool { return slices.Contains(now, name) })
	switch {
	case len(stopped) == 0:
		return plan.Unknown, says + ": there was nothing to mend"
	case len(again) > 0:
		return plan.Fail, says + fmt.Sprintf("; the first at %s, %s of %s by %s", clock(again[0].Time), again[0].Operation, clientOf(again[0].Principal), by429(again[0]))
	case len(silent) > 0:
		return plan.Unknown, says + "; who called before, and of whom no call has passed since: " + strings.Join(silent, ", ")
	}
	return plan.Pass, says + "; of each that called before calls have passed since: " + strings.Join(then, ", ")
}

// restarted is when the first runbook began, and when one began to start again what it had stopped.
func restarted(remedies []Remedy) (begun, started time.Time) {
	for _, m := range remedies {
		for _, s := range m.Steps {
			switch {
			case begun.IsZero():
				begun = s.Started
			case started.IsZero() && strings.HasPrefix(s.Name, m.Runbook+"/start-"):
				started = s.Started
			}
		}
	}
	return begun, started
}

// callers are who made calls, as a reader is told of them.
func callers(calls []arm.Call) []string {
	_, names := tallies(calls, func(c arm.Call) string { return clientOf(c.Principal) })
	return names
}

// ARMResidue is the check that every run makes that has a twin beside its cluster.
const ARMResidue = "armResidue"

// armResidue judges what is left of resources: what nobody has, machines without a virtual machine, and the other way round. What was so before is not the run's.
func armResidue(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	switch {
	case r.ARM == nil:
		return plan.Unknown, "there was no twin beside the cluster"
	case len(r.ARM.Before) == 0 || len(r.ARM.After) == 0:
		return plan.Unknown, "the twin's resources were not read before and at the end"
	}
	before := map[string]bool{}
	for _, s := range arm.Astray(r.ARM.Before, nil) {
		before[s] = true
	}
	found := slices.DeleteFunc(append(arm.Astray(r.ARM.After, r.ARM.Machines), swapped(r.ARM.Before, r.ARM.After)...), func(s string) bool { return before[s] })
	if len(found) > 0 {
		return plan.Fail, strings.Join(found, "; ")
	}
	machines := 0
	for _, d := range r.ARM.After {
		if d.Machine != "" {
			machines++
		}
	}
	return plan.Pass, fmt.Sprintf("%d resources, %d virtual machines: each has its machine, and each disk and interface belongs to one", len(r.ARM.After), machines)
}

// ARMTables are the twin's calls, by client and operation.
func ARMTables(r *Record) []plan.Table {
	calls, none := ofARM(r, "")
	if none != "" {
		return nil
	}
	t := plan.Table{Title: "Calls of Azure Resource Manager, " + r.ARM.Policy + " policy", Columns: []string{"client", "operation", "sent", "passed", "answered 429", "lost to faults", "other answers", "sent for one that passed"}}
	by, keys := tallies(calls, func(c arm.Call) string { return clientOf(c.Principal) + "\x00" + c.Operation })
	for _, k := range keys {
		n := by[k]
		who, operation, _ := strings.Cut(k, "\x00")
		ratio := "–"
		if n.Passed > 0 {
			ratio = fmt.Sprintf("%.2f", n.Amplification())
		}
		t.Rows = append(t.Rows, []string{who, operation, fmt.Sprint(n.Sent() + n.Failed), fmt.Sprint(n.Passed), fmt.Sprint(n.Throttled), fmt.Sprint(n.Struck), fmt.Sprint(n.Failed), ratio})
	}
	tables := []plan.Table{t}
	if len(r.ARM.Budgets) > 0 {
		b := plan.Table{Title: "Budgets of Azure Resource Manager, at their lowest", Columns: []string{"budget", "of", "least left", "when full"}}
		for _, x := range r.ARM.Budgets {
			of := "all together"
			if x.Principal != "" {
				of = x.Principal
			}
			b.Rows = append(b.Rows, []string{x.Budget, of, fmt.Sprint(x.Left), fmt.Sprint(x.Of)})
		}
		tables = append(tables, b)
	}
	return tables
}

// ARMCalls are the calls on resources as the report has them.
func ARMCalls(r *Record) (out []plan.ARMCall) {
	if r.ARM == nil {
		return nil
	}
	for _, c := range r.ARM.Calls {
		if c.Beside() {
			continue
		}
		out = append(out, c.Told())
	}
	return out
}

// OfARM are the checks of what a twin has seen.
func OfARM() []string {
	return []string{"armAmplification", "armThrottled", "armUnthrottled", "armRemedied", ARMResidue}
}
