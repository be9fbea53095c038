package plan

import "errors"

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
