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
}

// Blocks reports whether the finding stops the plan.
func (f Finding) Blocks() bool { return f.Severity != Warning }

// ErrRefused is wrapped by the error of a plan that was not begun.
var ErrRefused = errors.New("refused")

// Refusal is the error of a plan that findings stop, with all of them in words; nil when none does. It wraps ErrRefused and is a UsageError.
func Refusal(what string, found []Finding) error {
	var blocking []string
	for _, f := range found {
		if f.Blocks() {
			blocking = append(blocking, fmt.Sprintf("%s: %s (%s). Why: %s. What to do: %s", f.Check, f.What, f.Severity, f.Why, f.Fix))
		}
	}
	if len(blocking) == 0 {
		return nil
	}
	return &cluster.UsageError{Err: fmt.Errorf("%w: preflight refuses %s:\n  %s", ErrRefused, what, strings.Join(blocking, "\n  "))}
}
