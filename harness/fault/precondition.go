package fault

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"drydock.dev/drydock/harness/cluster"
)

// wellBefore looks for the effect on each machine by itself and wants to see it nowhere. A look that came late may pass for one: it is taken again.
func (g *Guard) wellBefore(ctx context.Context, e *Env, machines []string) error {
	each := slices.Collect(slices.Chunk(machines, 1))
	if len(machines) == 0 {
		each = [][]string{{}}
	}
	for _, m := range each {
		err := cluster.Await(ctx, where(m)+" well before "+g.Spec.Kind, cluster.Wait{For: redWithin}, func(ctx context.Context) error {
			seen, err := g.fault.Effective(ctx, g.env(e), m)
			var control controlError
			switch {
			case ctx.Err() != nil:
				return ctx.Err() // cut short: it says nothing
			case err == nil:
				return fmt.Errorf("the effect was seen: %v", seen)
			case errors.As(err, &control): // which is looked at when the victim is as the fault would have it
				return fmt.Errorf("the effect was seen, and besides: %w", err)
			default:
				return nil
			}
		})
		if err != nil {
			return fmt.Errorf("%s was so before it was injected: %w", where(m), err)
		}
	}
	return nil
}

// controlError is of what should not be affected by a fault and is not well: the fault's own machines are then seen to have the effect.
type controlError struct{ error }

// Unwrap gives what is wrong with it.
func (e controlError) Unwrap() error { return e.error }
