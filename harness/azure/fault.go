package azure

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
	"drydock.dev/drydock/harness/azure/throttle"
	"drydock.dev/drydock/harness/cluster"
)

// The kinds of faults the twin can be told to have.
const (
	FaultThrottle = "throttle" // 429
	FaultError    = "error"    // 5xx, or any other status
	FaultReset    = "reset"    // the connection is cut
	FaultSlow     = "slow"     // the answer comes late
	FaultStale    = "stale"    // reads answer what was there when the fault began
	FaultFail     = "fail"     // the operation that a call begins ends Failed
	FaultLoad     = "load"     // other clusters of the subscription draw on its budgets

	FaultAllocation = "allocationFailed" // there is no room for a machine
	FaultSKU        = "skuNotAvailable"  // a size is not to be had
	FaultQuota      = "quotaExceeded"    // the subscription may have no more cores
)

// FaultKinds are all of them, with what they do.
func FaultKinds() map[string]string {
	return map[string]string{
		FaultThrottle: "calls are answered 429 as if the policy that counts them had nothing left, or the gateway where none does or operationGroup is gateway/reads, gateway/writes or gateway/deletes; retryAfter -1 leaves the header away, polls strikes polls of operations only, of those that operations name if they do",
		FaultError:    "calls are answered with a status, 503 unless another is named",
		FaultReset:    "the connection is cut instead of an answer",
		FaultSlow:     "answers come late",
		FaultStale:    "reads answer what was there when the fault began",
		FaultFail:     "the operations that calls and deployments begin end Failed, InternalExecutionError unless a code is named",
		FaultLoad:     "other clusters of the subscription make so many calls a minute, each as a principal of its own; location is where their resources are",

		FaultAllocation: "machines are not allocated when they are made, started, resized or a scale set grows: the operation ends Failed, AllocationFailed or ZonalAllocationFailed; answer sync refuses at once",
		FaultSKU:        "that is refused, SkuNotAvailable, of a deployment before it makes anything; location, zone and size select, answer async has the operation end so",
		FaultQuota:      "that is refused, OperationNotAllowed with the text of the cores quota, of a deployment before it makes anything, QuotaExceeded; answer async has the operation end so",
	}
}

// NoRetryAfter leaves the header away.
const NoRetryAfter = -1

// defaultRetryAfter is what a fault that throttles tells, in seconds, unless it is told what to.
const defaultRetryAfter = 10

// Fault is something wrong with the twin, for the calls it selects. What it did is not asked for, and no file says it.
type Fault struct {
	ID         string   `json:"id" yaml:"-"`
	Kind       string   `json:"kind" yaml:"kind"`
	Operations []string `json:"operations,omitempty" yaml:"operations"` // as in policies; none: every operation on resources. Calls for none are selected by name only: POST identity/token, GET imds/*
	// OperationGroup selects what one of the twin's policies counts: Microsoft.Compute/HighCostGet, or HighCostGet; or the gateway: gateway/reads, gateway/writes, gateway/deletes.
	OperationGroup string        `json:"operationGroup,omitempty" yaml:"operationGroup"`
	Principal      string        `json:"principal,omitempty" yaml:"principal"`   // empty: everybody's
	Polls          bool          `json:"polls,omitempty" yaml:"polls"`           // only polls of operations; Operations are then those that are polled, or the polls' own
	Resource       string        `json:"resource,omitempty" yaml:"resource"`     // only of such resources: TYPE/NAME below the namespace, TYPE/NAME/TYPE/NAME of what is in one, or a name; * and ? as in files
	Status         int           `json:"status,omitempty" yaml:"status"`         // of an error; 503
	RetryAfter     int           `json:"retryAfter,omitempty" yaml:"retryAfter"` // seconds, as they are told; 0: 10; -1: no header
	Delay          time.Duration `json:"delay,omitempty" yaml:"delay"`           // of a slow one, by the wall's clock
	Model          string        `json:"model,omitempty" yaml:"model"`           // of a load: L0 to L3, instead of operations
	Clusters       int           `json:"clusters,omitempty" yaml:"clusters"`     // that load so, with ScaleSets and Disks each; of operations 1
	ScaleSets      int           `json:"scaleSets,omitempty" yaml:"scaleSets"`
	Disks          int           `json:"disks,omitempty" yaml:"disks"`
	PerMinute      float64       `json:"perMinute,omitempty" yaml:"perMinute"` // of a load: calls of each operation
	Code           string        `json:"code,omitempty" yaml:"code"`           // of the error that is answered, or that an operation ends with, instead of the kind's own
	Message        string        `json:"message,omitempty" yaml:"message"`
	Location       string        `json:"location,omitempty" yaml:"location"` // of what fails or has no room, or of a load
	Zone           string        `json:"zone,omitempty" yaml:"zone"`
	Size           string        `json:"size,omitempty" yaml:"size"`     // Standard_D2s_v3, say
	Answer         string        `json:"answer,omitempty" yaml:"answer"` // of capacity: sync refuses the call, async has its operation end Failed
	Count          int           `json:"count,omitempty" yaml:"count"`   // it ends after so many calls; 0: never
	For            time.Duration `json:"for,omitempty" yaml:"for"`       // it ends after so long, by the twin's clock; 0: never

	Struck int            `json:"struck" yaml:"-"` // calls so far; of a load, calls it made
	Began  time.Time      `json:"began" yaml:"-"`
	Ended  time.Time      `json:"ended,omitzero" yaml:"-"` // none: it is armed
	seen   time.Time      // of a load: until when its calls are made
	then   state.Snapshot // of a stale one: what there was
}

// Check says what is wrong with a fault.
func (f Fault) Check() error {
	kinds := FaultKinds()
	switch {
	case kinds[f.Kind] == "":
		return cluster.Usagef("fault kind is %q; known: %s", f.Kind, strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
	case f.Kind == FaultLoad:
		return f.tenants().Check()
	case f.RetryAfter < NoRetryAfter:
		return cluster.Usagef("retryAfter is %d: seconds, or -1 for no header", f.RetryAfter)
	case f.Count < 0 || f.For < 0 || f.Delay < 0:
		return cluster.Usagef("count, for and delay cannot be negative")
	case f.Status != 0 && (f.Status < 400 || f.Status > 599):
		return cluster.Usagef("status is %d; 400 to 599", f.Status)
	case f.Kind == FaultError && f.Status == http.StatusTooManyRequests:
		return cluster.Usagef("status is 429: that is what %s answers", FaultThrottle)
	case f.Kind == FaultSlow && f.Delay == 0:
		return cluster.Usagef("a slow answer needs a delay")
	}
	if err := f.checkAnswer(); err != nil {
		return err
	}
	if _, err := path.Match(f.Resource, ""); err != nil {
		return cluster.Usagef("resource is %q: %w; virtualMachines/*-master-1, say", f.Resource, err)
	}
	if err := throttle.CheckOperations(f.Operations); err != nil {
		return &cluster.UsageError{Err: err}
	}
	return nil
}

// faults are those that are armed.
type faults struct {
	clock arm.Clock
	mu    sync.Mutex
	armed []*Fault
	over  []Fault // that have ended, the last maxOver
}

// Arm arms a fault and gives it its id. What it did is told by Faults and by the call log.
func (t *Twin) Arm(f Fault) (Fault, error) {
	if err := f.Check(); err != nil {
		return f, err
	}
	if policies := t.options.Policy.Providers; f.OperationGroup != "" && f.gatewayGroup() == "" && !slices.ContainsFunc(policies, func(p throttle.ProviderPolicy) bool { return f.counts(&p) }) {
		var known []string
		for _, kind := range throttle.GatewayKinds() {
			known = append(known, throttle.GatewayGroup(kind))
		}
		for _, p := range policies {
			known = append(known, p.Policy)
		}
		return f, cluster.Usagef("operationGroup is %q; the %s policy has: %s", f.OperationGroup, t.options.Policy.Name, strings.Join(slices.Compact(known), ", "))
	}
	f.ID, f.Struck, f.Began = uuid.NewString(), 0, t.clock.Now()
	f.seen = f.Began
	t.faults.mu.Lock()
	defer t.faults.mu.Unlock()
	if f.Kind == FaultStale {
		f.then = t.store.Snapshot()
	}
	t.faults.armed = append(t.faults.armed, &f)
	return f, nil
}

// maxOver is how many faults that have ended are told of.
const maxOver = 100

// Disarm ends a fault, or all of them for an empty id, and gives those that it ended; idempotent.
func (t *Twin) Disarm(id string) []Fault {
	t.faults.mu.Lock()
	defer t.faults.mu.Unlock()
	t.faults.settle()
	return t.faults.end(t.clock.Now(), func(f *Fault) bool { return id == "" || f.ID == id })
}

// Faults lists the faults with what they have struck so far, those that have ended first.
func (t *Twin) Faults() []Fault {
	t.faults.mu.Lock()
	defer t.faults.mu.Unlock()
	t.faults.settle()
	out := slices.Concat([]Fault{}, t.faults.over)
	for _, f := range t.faults.armed {
		out = append(out, *f)
	}
	return out
}

// settle ends what has run out. The caller holds the lock.
func (fs *faults) settle() {
	now := fs.clock.Now()
	fs.end(now, func(f *Fault) bool {
		return f.For > 0 && now.Sub(f.Began) >= f.For || f.Count > 0 && f.Struck >= f.Count
	})
}

// end takes faults from those that are armed. The caller holds the lock.
func (fs *faults) end(now time.Time, which func(f *Fault) bool) []Fault {
	ended := []Fault{}
	fs.armed = slices.DeleteFunc(fs.armed, func(f *Fault) bool {
		if !which(f) {
			return false
		}
		over := *f
		over.Ended, over.then = now, nil
		ended = append(ended, over)
		return true
	})
	fs.over = append(fs.over, ended...)
	fs.over = slices.Delete(fs.over, 0, max(0, len(fs.over)-maxOver))
	return ended
}

// stale gives what a read of the call finds, when it comes to that, if a stale fault selects it.
func (fs *faults) stale(t *Twin, r *request) func() state.Snapshot {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if len(fs.armed) == 0 || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return nil
	}
	fs.settle()
	f := fs.first(func(f *Fault) bool { return f.Kind == FaultStale && f.selects(t, r.Call) })
	if f == nil {
		return nil
	}
	return sync.OnceValue(func() state.Snapshot {
		hit, _ := fs.struck(f, r.Call)
		return hit.then
	})
}

// first finds the first that is armed of those; the caller holds the lock.
func (fs *faults) first(which func(f *Fault) bool) *Fault {
	if i := slices.IndexFunc(fs.armed, which); i >= 0 {
		return fs.armed[i]
	}
	return nil
}

// struck counts that a fault acts, on a call if on one, and gives it as it is then; false: it has ended meanwhile.
func (fs *faults) struck(f *Fault, on *arm.Call) (Fault, bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.settle()
	if !slices.Contains(fs.armed, f) {
		return Fault{}, false
	}
	f.Struck++
	if on != nil {
		on.Fault = f.ID
	}
	return *f, true
}

// counts reports whether a policy is the group the fault names.
func (f *Fault) counts(p *throttle.ProviderPolicy) bool {
	return strings.EqualFold(p.Policy, f.OperationGroup) || strings.EqualFold(p.Policy[strings.IndexByte(p.Policy, '/')+1:], f.OperationGroup)
}

func (f *Fault) selects(t *Twin, c *arm.Call) bool {
	if kind := f.gatewayGroup(); kind != "" {
		if throttle.BudgetOf(c.Operation) != kind {
			return false
		}
	} else if f.OperationGroup != "" && !slices.ContainsFunc(t.options.Policy.Of(c.Operation), f.counts) {
		return false
	}
	if f.Principal != "" && f.Principal != c.Principal || !f.selectsThing(c) {
		return false
	}
	beside := c.Beside() // what is meant for Resource Manager is for it
	return len(f.Operations) == 0 && !beside || slices.ContainsFunc(f.Operations, func(o string) bool {
		return (!beside || arm.Beside(o)) && (throttle.Matches(o, c.Operation) || f.Polls && throttle.Matches(o, c.Polled))
	})
}

// strike lets the first fault that selects the call act on it, of those that act on a call and not on what it does. One that throttles acts where budgets do,
// and is given to whoever draws on them.
func (fs *faults) strike(t *Twin, r *request) (throttles *Fault, err *arm.Error) {
	f := fs.meets(t, r)
	if f == nil || f.Kind == FaultThrottle {
		return f, nil
	}
	if hit, ok := fs.struck(f, r.Call); ok {
		return nil, hit.act(t, r)
	}
	return nil, nil
}

// meets is the first fault that selects a call as it comes; nil: none does.
func (fs *faults) meets(t *Twin, r *request) *Fault {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if len(fs.armed) == 0 {
		return nil
	}
	fs.settle()
	fs.load(t.throttle, r.subject)
	return fs.first(func(f *Fault) bool { return f.onCalls() && f.selects(t, r.Call) })
}

// onCalls reports whether it is calls that a fault acts on: as they come, whatever they are for.
func (f *Fault) onCalls() bool {
	return slices.Contains([]string{FaultThrottle, FaultError, FaultReset, FaultSlow}, f.Kind)
}

func (f Fault) act(t *Twin, r *request) *arm.Error {
	switch f.Kind {
	case FaultReset:
		panic(http.ErrAbortHandler) // net/http's way to cut a connection, or an HTTP/2 stream
	case FaultSlow:
		select {
		case <-time.After(f.Delay):
		case <-r.Context().Done():
		}
	case FaultError:
		status := f.Status
		if status == 0 {
			status = http.StatusServiceUnavailable
		}
		code, message := "ServerError", "The server is currently unable to process the request. Please try again later."
		if status == http.StatusInternalServerError {
			code, message = "InternalServerError", "Encountered internal server error. Diagnostic information: timestamp '"+arm.RoutingStamp(t.clock.Now())+"'."
		}
		return f.after(arm.Gatewayf(status, cmp.Or(f.Code, code), "%s", cmp.Or(f.Message, message)))
	}
	return nil
}

// after adds the header a fault tells.
func (f Fault) after(e *arm.Error) *arm.Error {
	if e.Header == nil {
		e.Header = map[string]string{}
	}
	delete(e.Header, "Retry-After")
	switch {
	case f.RetryAfter > 0:
		e.Header["Retry-After"] = strconv.Itoa(f.RetryAfter)
	case f.RetryAfter == 0 && f.Kind == FaultThrottle:
		e.Header["Retry-After"] = strconv.Itoa(defaultRetryAfter)
	}
	return e
}

// Describe says what the fault does, from the fields that are used.
func (f Fault) Describe() string {
	s := f.Kind
	switch {
	case f.Kind == FaultThrottle && f.RetryAfter == NoRetryAfter:
		s += " without Retry-After"
	case f.Kind == FaultThrottle && f.RetryAfter > 0:
		s += fmt.Sprintf(", Retry-After %d", f.RetryAfter)
	case f.Kind == FaultError && f.Status > 0:
		s += fmt.Sprintf(" %d", f.Status)
	case f.Kind == FaultSlow:
		s += " by " + f.Delay.String()
	case f.Kind == FaultLoad && f.Model != "":
		s += fmt.Sprintf(" of %d clusters with %d scale sets each, %s", f.Clusters, f.ScaleSets, f.Model)
	case f.Kind == FaultLoad:
		s += fmt.Sprintf(" of %g calls a minute by %d clusters", f.PerMinute, max(1, f.Clusters))
	}
	for _, x := range []struct{ says, value string }{{" ", f.Answer}, {", code ", f.Code}, {" in ", f.Location}, {" in zone ", f.Zone}, {" of size ", f.Size}, {" of ", f.OperationGroup}} {
		if x.value != "" {
			s += x.says + x.value
		}
	}
	if len(f.Operations) > 0 {
		s += " of " + strings.Join(f.Operations, ", ")
	}
	if f.Resource != "" {
		s += " on " + f.Resource
	}
	if f.Polls {
		s += ", on polls"
	}
	return s
}

// tenants are the clusters that a load stands for.
func (f Fault) tenants() throttle.CoTenants {
	return throttle.CoTenants{Operations: f.Operations, PerMinute: f.PerMinute, Model: f.Model, Clusters: f.Clusters, ScaleSets: f.ScaleSets, Disks: f.Disks}
}

// load makes the calls that other clusters have made since the last look. The caller holds the lock.
func (fs *faults) load(th *throttle.Meters, s throttle.Subject) {
	if s.Subscription == "" {
		return
	}
	now := fs.clock.Now()
	for _, f := range fs.armed {
		if f.Kind != FaultLoad || now.Before(f.seen) {
			continue
		}
		n, calls := f.tenants().Between(f.Began, f.seen, now)
		f.Struck, f.seen, s.Location = f.Struck+n, now, arm.Location(f.Location)
		for _, c := range calls {
			th.Elsewhere(s, c)
		}
	}
}
