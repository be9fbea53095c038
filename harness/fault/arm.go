package fault

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

// OnTwin is the fault of the twin of Azure Resource Manager beside the cluster.
const OnTwin = "arm"

// ARM are the params of a fault of the twin, as `drydock arm fault inject` has them.
type ARM struct {
	Kind       string   `json:"kind,omitempty"           yaml:"kind"`
	Operations []string `json:"operations,omitempty"     yaml:"operations"`
	Group      string   `json:"operationGroup,omitempty" yaml:"operationGroup"` // what a policy counts, instead of operations
	Resource   string   `json:"resource,omitempty"       yaml:"resource"`       // TYPE/NAME, or a name, with * and ?
	Principal  string   `json:"principal,omitempty"      yaml:"principal"`
	Polls      bool     `json:"polls,omitempty"          yaml:"polls"`
	Status     int      `json:"status,omitempty"         yaml:"status"`
	RetryAfter int      `json:"retryAfter,omitempty"     yaml:"retryAfter"`
	Count      int      `json:"count,omitempty"          yaml:"count"`
	Code       string   `json:"code,omitempty"           yaml:"code"`
	Message    string   `json:"message,omitempty"        yaml:"message"`
	PerMinute  float64  `json:"perMinute,omitempty"      yaml:"perMinute"`
	Model      string   `json:"model,omitempty"          yaml:"model"`
	Clusters   int      `json:"clusters,omitempty"       yaml:"clusters"`
	ScaleSets  int      `json:"scaleSets,omitempty"      yaml:"scaleSets"`
	Disks      int      `json:"disks,omitempty"          yaml:"disks"`
	Location   string   `json:"location,omitempty"       yaml:"location"`
	Zone       string   `json:"zone,omitempty"           yaml:"zone"`
	Size       string   `json:"size,omitempty"           yaml:"size"`
	Answer     string   `json:"answer,omitempty"         yaml:"answer"`
}

// armFields are their names, with that of the delay of a slow answer.
func armFields() []string {
	return []string{
		"kind", "operations", "operationGroup", "resource", "principal", "polls", "status", "retryAfter", "delay", "count", "code", "message", "perMinute", "model", "clusters", "scaleSets", "disks",
		"location", "zone", "size", "answer",
	}
}

// ofTwin is the fault as the twin takes it. It has no end of its own but a count: the run ends it.
func (p Params) ofTwin() azure.Fault {
	a := p.ARM
	return azure.Fault{
		Kind: a.Kind, Operations: a.Operations, OperationGroup: a.Group, Resource: a.Resource, Principal: a.Principal, Polls: a.Polls, Status: a.Status, RetryAfter: a.RetryAfter, Delay: p.Delay,
		Count: a.Count, Code: a.Code, Message: a.Message, PerMinute: a.PerMinute, Model: a.Model, Clusters: a.Clusters, ScaleSets: a.ScaleSets, Disks: a.Disks,
		Location: a.Location, Zone: a.Zone, Size: a.Size, Answer: a.Answer,
	}
}

// onTwin is a fault of the twin. What it does is seen in the log of those who call that: nobody else is asked whether it bites.
type onTwin struct {
	asked azure.Fault

	armed azure.Fault // as the twin has it; without an id: it does not
	begun int         // the number of the next call when it was armed
	ended int         // and when it was disarmed
	since time.Time   // when that was; zero: it is armed
}

// twinGone says that a run's twin has ended with it.
const twinGone = "the twin has ended with the run that served it, and with it what was armed there"

// Inject arms it.
func (f *onTwin) Inject(_ context.Context, e *Env, _ []string) error {
	if e.Twin == nil {
		return notBegunError{cluster.Usagef("no twin is beside the cluster: say spec.twin; one that `drydock arm serve` runs takes faults by `drydock arm fault inject`")}
	}
	calls, next := e.Twin.Calls().Since(0)
	for i := range slices.Backward(calls) { // of a load there is nothing to be seen but that, and what was so already would pass for its effect
		c := calls[i]
		if e.TwinWall(c.Time).Before(time.Now().Add(-calmFor)) {
			break
		}
		if f.asked.Kind == azure.FaultLoad && c.Throttled != "" && c.Fault == "" {
			return notBegunError{fmt.Errorf("%s of %s was throttled by %s %s ago: a load would not be told from what there is", c.Operation, c.Principal, c.Throttled, time.Since(e.TwinWall(c.Time)).Round(time.Second))}
		}
	}
	f.begun = next
	armed, err := e.Twin.Arm(f.asked)
	if err != nil {
		return notBegunError{err}
	}
	f.armed = armed
	return nil
}

// Recover disarms it. A twin that has ended has nothing armed any more.
func (f *onTwin) Recover(_ context.Context, e *Env, _ []string) error {
	if e.Twin == nil || f.armed.ID == "" || !f.since.IsZero() {
		return nil
	}
	e.Twin.Disarm(f.armed.ID)
	_, f.ended = e.Twin.Calls().Since(0)
	f.since = time.Now()
	return nil
}

// bitten reports whether a call was met by the fault: by its id, or, of a load, by a budget that others have drawn on.
func (f *onTwin) bitten(c arm.Call) bool {
	if f.armed.Kind == azure.FaultLoad {
		return c.Throttled != "" && c.Fault == ""
	}
	return c.Fault == f.armed.ID
}

// Effective: calls were met by it; of one that has what a deployment does fail there is no call in the log, and the twin counts them.
func (f *onTwin) Effective(_ context.Context, e *Env, _ []string) ([]plan.Evidence, error) {
	switch {
	case e.Twin == nil:
		return nil, errors.New("no twin is beside the cluster")
	case f.armed.ID == "":
		return nil, errors.New("the twin has no such fault")
	}
	calls, _ := e.Twin.Calls().Since(f.begun)
	struck := slices.DeleteFunc(calls, func(c arm.Call) bool { return !f.bitten(c) })
	if len(struck) > 0 {
		return []plan.Evidence{saw("call log of the twin", "%d calls met it: %s", len(struck), strings.Join(operations(struck), ", "))}, nil
	}
	if f.armed.Kind != azure.FaultLoad {
		for _, told := range e.Twin.Faults() {
			if told.ID == f.armed.ID && told.Struck > 0 {
				return []plan.Evidence{saw("the twin", "it has struck %d times what deployments do", told.Struck)}, nil
			}
		}
	}
	return nil, errors.New("nobody's call has met it")
}

// operation is what a call is about: what is done, and to what.
func operation(c arm.Call) string { return strings.TrimSpace(c.Operation + " " + c.Thing()) }

func operations(calls []arm.Call) []string {
	seen := map[string]bool{}
	for _, c := range calls {
		seen[operation(c)] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// asksAgain is how long is waited for somebody to ask again for what the fault has struck, and calmFor how long nobody may be met by one that is still armed.
const (
	asksAgain = 10 * time.Second
	calmFor   = 30 * time.Second
)

// Recovered: no call is met by it any more. What it has struck gets through again, as far as anybody asks for it.
func (f *onTwin) Recovered(_ context.Context, e *Env, _ []string) ([]plan.Evidence, error) {
	switch {
	case e.Twin == nil || f.armed.ID == "":
		return []plan.Evidence{saw("this program", twinGone)}, nil
	case f.since.IsZero():
		return f.calm(e)
	}
	before, _ := e.Twin.Calls().Since(f.begun)
	after, _ := e.Twin.Calls().Since(f.ended)
	struck := operations(slices.DeleteFunc(before, func(c arm.Call) bool { return !f.bitten(c) }))
	passed, again := map[string]bool{}, map[string]bool{}
	for _, c := range after {
		if f.armed.Kind != azure.FaultLoad && f.bitten(c) {
			return nil, fmt.Errorf("%s met it after its end", c.Operation)
		}
		key := operation(c)
		again[key] = true
		passed[key] = passed[key] || c.Status != http.StatusTooManyRequests && c.Status > 0 && c.Status < http.StatusInternalServerError
	}
	var silent []string
	for _, key := range struck {
		switch {
		case again[key] && !passed[key]:
			return nil, fmt.Errorf("%s does not get through again", key)
		case !again[key]:
			silent = append(silent, key)
		}
	}
	if len(silent) > 0 {
		if time.Since(f.since) < asksAgain {
			return nil, fmt.Errorf("nobody has asked again yet: %s", strings.Join(silent, ", "))
		}
		return []plan.Evidence{saw("call log of the twin", "no call met it after its end, of %d; nobody has asked again for %s", len(after), strings.Join(silent, ", "))}, nil
	}
	return []plan.Evidence{saw("call log of the twin", "all that it struck gets through again, %d calls since its end", len(after))}, nil
}

// calm looks at a fault that is armed and whose clients have been mended: for a while these make calls, and it meets none. That others call says nothing of who was met:
// he may be waiting, as he was told to.
func (f *onTwin) calm(e *Env) ([]plan.Evidence, error) {
	calls, _ := e.Twin.Calls().Since(f.begun)
	n, from, met := 0, time.Now().Add(-calmFor), map[string]bool{}
	for _, c := range calls {
		if f.bitten(c) {
			met[c.Principal] = true
		}
	}
	for i := range slices.Backward(calls) {
		switch c := calls[i]; {
		case e.TwinWall(c.Time).Before(from) || c.Beside():
		case f.bitten(c):
			return nil, fmt.Errorf("%s of %s met it %s ago", c.Operation, c.Principal, time.Since(e.TwinWall(c.Time)).Round(time.Second))
		case met[c.Principal] || len(met) == 0: // what it struck was no call
			n++
		}
	}
	if n == 0 {
		return nil, fmt.Errorf("nobody whom it has met has called for %s", calmFor)
	}
	return []plan.Evidence{saw("call log of the twin", "it is armed, and met none of %d calls in %s", n, calmFor)}, nil
}
