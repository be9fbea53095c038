package arm

import (
	"cmp"
	"strings"
	"time"

	"drydock.dev/drydock/harness/plan"
)

// Call is one line of the call log.
type Call struct {
	Time         time.Time `json:"time"` // of the twin's clock
	Method       string    `json:"method"`
	Path         string    `json:"path"`
	APIVersion   string    `json:"apiVersion,omitempty"`
	Operation    string    `json:"operation,omitempty"` // VERB type[/action], as policies name it
	Subscription string    `json:"subscription,omitempty"`
	Principal    string    `json:"principal,omitempty"`
	Region       string    `json:"region"`             // of the gateway
	Location     string    `json:"location,omitempty"` // of the resource, where it has one: its provider counts by that
	Connection   int       `json:"connection"`
	Poll         bool      `json:"poll,omitempty"`       // asks how an operation goes
	Polled       string    `json:"polled,omitempty"`     // which that is, as policies name it: DELETE Microsoft.Compute/virtualMachines
	Target       string    `json:"target,omitempty"`     // and the resource it works on
	Status       int       `json:"status"`               // HTTP; 0: the connection was cut
	Throttled    string    `json:"throttled,omitempty"`  // the policy that let it not pass
	Over         string    `json:"over,omitempty"`       // through a proxy: the policy that would not have let it pass
	Fault        string    `json:"fault,omitempty"`      // the fault that struck it
	Seconds      float64   `json:"seconds"`              // of the wall's clock
	Unanswered   string    `json:"unanswered,omitempty"` // what of Azure it wanted that the twin does not have: VERB and the path without names
	Left         []Left    `json:"left,omitempty"`       // of the budgets that it has drawn on, or would have
}

// Left is what a budget has left, as the answer to a call tells.
type Left struct {
	Budget string `json:"budget"` // x-ms-ratelimit-remaining-… of the gateway, or a provider's policy
	Left   int    `json:"left"`
	Of     int    `json:"of"` // when it is full
}

// Told is the call as a report has it.
func (c Call) Told() plan.ARMCall {
	out := plan.ARMCall{
		Time: c.Time, Principal: c.Principal, Operation: c.Operation, Path: c.Path, Status: c.Status, Polled: c.Polled, Target: c.Target, Throttled: c.Throttled, Fault: c.Fault, Seconds: c.Seconds,
	}
	for _, l := range c.Left {
		out.Left = append(out.Left, plan.Left{Budget: l.Named(c.Principal), Left: l.Left, Of: l.Of})
	}
	return out
}

// Named is the budget in few words, with whose it is.
func (l Left) Named(principal string) string {
	out := strings.TrimPrefix(l.Budget, "x-ms-ratelimit-remaining-")
	if whose := l.Whose(principal); whose != "" {
		out += " of " + whose
	}
	return out
}

// Whose is what tells the budgets of a name apart: the principal, where it has one of its own.
func (l Left) Whose(principal string) string {
	if strings.Contains(l.Budget, "-global-") || strings.Contains(l.Budget, "/") { // all principals of a subscription have it together
		return ""
	}
	return principal
}

// Beside reports whether the call is for no resource: for a token, the description of a cloud, a machine's metadata, or what a service holds. It draws on no
// budget of Resource Manager's.
func (c Call) Beside() bool { return Beside(c.Operation) }

// Beside reports whether an operation, or a pattern of operations, is for no resource.
func Beside(operation string) bool {
	_, what, _ := strings.Cut(operation, " ")
	return strings.HasPrefix(what, "identity/") || strings.HasPrefix(what, "imds/") || !strings.Contains(what, "/") && strings.Contains(what, ".") // a host's name
}

// Thing is what a call is about as a fault or a reader names it: the types and names of its resource below the namespace, or of what the operation that it polls
// works on. Of a collection it is what that is in; empty: of nothing in particular.
func (c Call) Thing() string {
	id, ok := ParseID(cmp.Or(c.Target, c.Path))
	if !ok {
		return ""
	}
	return id.Thing()
}
