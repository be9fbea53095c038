package plan

import (
	"errors"
	"fmt"
	"strings"

	"drydock.dev/drydock/harness/cluster"
)

// Severity says what a finding does to a plan.
type Severity string

// Blockers stop it, unless forced; warnings are shown; unknown is a look that could not be taken, and blocks: no data is never a pass.
const (
	Blocker Severity = "blocker"
	Warning Severity = "warning"
	Unread  Severity = "unknown"
)

// Finding is something that stands against carrying a plan out.
type Finding struct {
	Check    string   `json:"check"`
	Severity Severity `json:"severity"`
	What     string   `json:"what"`
	Why      string   `json:"why"` // why it matters
	Fix      string   `json:"fix"`
	Late     bool     `json:"late,omitempty"` // it says that somebody did not answer in time; where the host cannot keep up, that is nothing against the cluster
}

// Blocks reports whether the finding stops the plan.
func (f Finding) Blocks() bool { return f.Severity != Warning }

// ErrRefused is wrapped by the error of a plan that was not begun.
var ErrRefused = errors.New("refused")

// LateError is an error that lateness alone explains: nothing but answers that did not come in time.
type LateError struct{ Err error }

func (e *LateError) Error() string { return e.Err.Error() }

// Unwrap gives what did not come.
func (e *LateError) Unwrap() error { return e.Err }

// Refusal is the error of a plan that findings stop, with all of them in words; nil when none does. It wraps ErrRefused and is a UsageError,
// and a LateError where all of them are late.
func Refusal(what string, found []Finding) error {
	var blocking []string
	late := true
	for _, f := range found {
		if f.Blocks() {
			late = late && f.Late
			blocking = append(blocking, fmt.Sprintf("%s: %s (%s). Why: %s. What to do: %s", f.Check, f.What, f.Severity, f.Why, f.Fix))
		}
	}
	if len(blocking) == 0 {
		return nil
	}
	err := fmt.Errorf("%w: preflight refuses %s:\n  %s", ErrRefused, what, strings.Join(blocking, "\n  "))
	if late {
		err = &LateError{err}
	}
	return &cluster.UsageError{Err: err}
}
