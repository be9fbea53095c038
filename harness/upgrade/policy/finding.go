package policy

import "errors"

// Severity says what a finding does to an upgrade.
type Severity string

// Blockers stop it, unless forced; warnings are shown; unknown is a look that could not be taken, and blocks: no data is never a pass.
const (
	Blocker Severity = "blocker"
	Warning Severity = "warning"
	Unknown Severity = "unknown"
)

// Finding is one thing preflight found.
type Finding struct {
	Check    string   `json:"check"`
	Severity Severity `json:"severity"`
	What     string   `json:"what"`
	Why      string   `json:"why"` // why it matters
	Fix      string   `json:"fix"`
}

// Blocks reports whether the finding stops an upgrade.
func (f Finding) Blocks() bool { return f.Severity != Warning }

// ErrRefused is wrapped by an upgrade that was not begun.
var ErrRefused = errors.New("refused")
