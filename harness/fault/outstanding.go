package fault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

// Settled refuses, with a UsageError, a journal of which faults are still to be undone.
func Settled(entries []plan.Entry) error {
	guards, err := Outstanding(entries)
	if err != nil {
		return err
	}
	var what []string
	for _, g := range guards {
		what = append(what, g.Spec.Kind+" on "+g.Where())
	}
	if len(what) > 0 {
		return cluster.Usagef("an earlier run has left faults there that are not undone (%s): `drydock heal` first", strings.Join(what, "; "))
	}
	return nil
}

// Outstanding finds the faults a journal has armed and not cleared, newest first: the order to undo them in.
func Outstanding(entries []plan.Entry) ([]*Guard, error) {
	last := map[string]Journalled{}
	var order []string
	for _, e := range entries {
		if e.Kind != "receipt" {
			continue
		}
		var j Journalled
		if err := json.Unmarshal(e.Data, &j); err != nil {
			return nil, fmt.Errorf("journal: receipt: %w", err)
		}
		if _, seen := last[j.Receipt.ID]; !seen {
			order = append([]string{j.Receipt.ID}, order...)
		}
		last[j.Receipt.ID] = j
	}
	var out []*Guard
	for _, id := range order {
		j := last[id]
		if j.State == Cleared || j.State == Planned {
			continue
		}
		k, err := Find(j.Spec.Kind)
		if err != nil {
			return nil, err
		}
		g := newGuard(j.Spec, id, nil, k.New(j.Spec))
		g.state, g.receipt = j.State, j.Receipt
		out = append(out, g)
	}
	return out, nil
}

// Undo undoes faults, in their order, and then sees of each that all is as before: while one holds another may not be seen to be over, as a member's is not that
// came back to no quorum. It gives the error of each; nil: it is over.
func Undo(ctx context.Context, e *Env, guards ...*Guard) []error {
	errs := make([]error, len(guards))
	for i, g := range guards {
		errs[i] = g.Recover(ctx, e)
	}
	for i, g := range guards {
		errs[i] = errors.Join(errs[i], g.AwaitRecovered(ctx, e))
	}
	return errs
}
