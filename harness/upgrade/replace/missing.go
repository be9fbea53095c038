package replace

import (
	"context"
	"errors"
	"fmt"

	"drydock.dev/drydock/harness/plan"
)

// missing makes anew what is gone of the control plane, before anything else of it is taken away: what was lost, and what an upgrade that died has deleted.
// Of workers it is noted that they are gone: their turn comes when the control plane is at the version, and nobody waits for them before.
func (r *Replacement) missing(ctx context.Context, from, version string) error {
	var gone []*machine
	for _, n := range r.names() {
		vm, err := r.Manager.VM(ctx, n.name)
		if err != nil {
			return err
		}
		if vm != nil {
			continue
		}
		m := &machine{Replacement: r, name: n.name, role: n.role, from: from, version: version}
		if n.role == controlPlane {
			gone = append(gone, m)
		} else if !r.Replacing(n.name) {
			if err := m.begin(ctx, nil); err != nil {
				return err
			}
		}
	}
	if len(gone) == 0 {
		return fmt.Errorf("%w: every control plane has its virtual machine", plan.ErrSkip)
	}
	for _, do := range []func(*machine, context.Context) error{(*machine).drain, (*machine).delete, (*machine).deploy, (*machine).carry, (*machine).gate} {
		for _, m := range gone {
			if err := do(m, ctx); err != nil && !errors.Is(err, plan.ErrSkip) {
				return err
			}
		}
	}
	return nil
}
