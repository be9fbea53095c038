package fault

import (
	"strings"
	"time"

	"drydock.dev/drydock/harness/plan"
)

// Where is what the fault is on, in words.
func (g *Guard) Where() string { return where(g.Receipt().Machines) }

func where(machines []string) string {
	if len(machines) == 0 {
		return "the cluster"
	}
	return strings.Join(machines, ", ")
}

// Receipt is the receipt as it stands.
func (g *Guard) Receipt() plan.Receipt {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.receipt
}

// Refused is what undoing the fault answered when it failed; empty when it did not.
func (g *Guard) Refused() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refused
}

// ClearedSeen is when all was seen to be as before; zero when it was not.
func (g *Guard) ClearedSeen() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.seen
}

// Gone closes a fault whose cluster no longer exists: there is nothing left to undo it on.
func (g *Guard) Gone(why string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.receipt.State, g.receipt.Error = plan.NotInjected, why
	return g.enter(Cleared)
}
