package health

import (
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/plan"
)

// A runbook for throttled components is judged by what the twin answered: before it, and from when it began to start them again.
func TestARemedyOfThrottlingIsJudgedByTheTwinsLog(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 1, 2, 3, 4, s, 0, time.UTC) }
	of := func(principal string, s, status int) arm.Call {
		return arm.Call{Time: at(s), Principal: principal, Operation: "LIST Microsoft.Compute/virtualMachines", Status: status, Throttled: "Microsoft.Compute/HighCostGet3Min"}
	}
	call := func(s, status int) arm.Call { return of("p-1", s, status) }
	steps := []plan.StepDone{{Name: "b/diagnose", Started: at(10)}, {Name: "b/await-budget", Started: at(20)}, {Name: "b/start-m", Started: at(30)}}
	for name, c := range map[string]struct {
		calls []arm.Call
		steps []plan.StepDone
		want  plan.Verdict
		says  string
	}{
		"mended":                      {[]arm.Call{call(1, 429), call(2, 200), call(25, 429), call(31, 200)}, steps, plan.Pass, "1 of 2 calls before the runbook were answered 429, and 0 of 1 from"},
		"not mended":                  {[]arm.Call{call(1, 429), call(31, 200), call(32, 429)}, steps, plan.Fail, "1 of 2 from"},
		"nothing to mend":             {[]arm.Call{call(1, 200), call(31, 200)}, steps, plan.Unknown, "nothing to mend"},
		"nobody called again":         {[]arm.Call{call(1, 429)}, steps, plan.Unknown, "0 of 0 from"},
		"nothing was started":         {[]arm.Call{call(1, 429), call(31, 200)}, steps[:2], plan.Unknown, "no runbook has started anything again"},
		"each of two is mended":       {[]arm.Call{call(1, 429), of("p-2", 2, 200), call(31, 200), of("p-2", 32, 200)}, steps, plan.Pass, "of each that called before calls have passed since: p-1, p-2"},
		"one of two waits":            {[]arm.Call{call(1, 200), of("p-2", 2, 429), call(31, 200)}, steps, plan.Unknown, "no call has passed since: p-2"},
		"one waits, one is throttled": {[]arm.Call{call(1, 200), of("p-2", 2, 429), call(31, 429)}, steps, plan.Fail, "LIST Microsoft.Compute/virtualMachines of p-1 by"},
		"every call is refused":       {[]arm.Call{call(1, 429), call(31, 401)}, steps, plan.Unknown, "no call has passed since: p-1"},
		"nobody answers":              {[]arm.Call{call(1, 429), call(31, 0)}, steps, plan.Unknown, "no call has passed since: p-1"},
		"a stranger calls":            {[]arm.Call{call(1, 429), of("q", 31, 200)}, steps, plan.Unknown, "no call has passed since: p-1"},
		"nobody was there":            {nil, steps, plan.Unknown, "never called"},
	} {
		r := &Record{ARM: &ARM{Began: at(0), Ended: at(59), Calls: c.calls}, Remedies: []Remedy{{Runbook: "b", Steps: c.steps}}}
		if got, why := armRemedied(r, nil, Params{Principal: "p-*"}); got != c.want || !strings.Contains(why, c.says) {
			t.Errorf("%s: %s, %s", name, got, why)
		}
	}
}

func TestAnImageThatARunbookWasToChangeIsNotAmongWhatChanged(t *testing.T) {
	r := &Record{Remedies: []Remedy{{Images: map[string]string{"ccm": "v2"}}}}
	for _, c := range []struct {
		field, was, is string
		want           bool
	}{
		{"spec.containers[a].image", `"r:5000/x/ccm:v1"`, `"r:5000/x/ccm:v2"`, true},
		{"spec.containers[a].image", `"r:5000/x/ccm:v1"`, `"r:5000/x/ccm:v3"`, false},
		{"spec.containers[a].image", `"r:5000/x/ccm:v1"`, `"other/ccm:v2"`, false},
		{"spec.containers[a].image", `"x/side:v1"`, `"x/side:v2"`, false},
		{"spec.containers[a].command", `"x/ccm:v1"`, `"x/ccm:v2"`, false},
		{"", `"x/ccm:v1"`, "", false},
	} {
		if got := r.reimaged(difference{object: "Pod kube-system/a", field: c.field, wanted: c.was, is: c.is}); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
