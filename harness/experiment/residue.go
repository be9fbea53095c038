package experiment

import (
	"context"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/upgrade"
)

// collectedWithin is how long what is on its way out may take to be gone: pods end within their grace period, and the collectors of what they leave behind
// have one of their own. Where a processor is imitated to read a machine once can take as long as that.
const collectedWithin = 30 * time.Second

// lookForResidue takes the inventory, and takes it again while it differs from the one before: what differs may just be being collected. The last one counts.
func (c *cellRun) lookForResidue(ctx context.Context) {
	within := collectedWithin
	if c.topology().VMWorkers > 0 {
		within = c.topology().RecoversWithin()
	}
	_ = cluster.Await(ctx, "all as it was before", cluster.Wait{For: within, Every: 2 * time.Second}, func(ctx context.Context) error {
		in, err := c.target.TakeInventory(ctx, upgrade.Residue())
		if ctx.Err() != nil && c.record.After != nil { // cut short by our own time-out, so the one before counts
			return ctx.Err()
		}
		c.record.After, c.record.AfterError = in, describe(err)
		if err != nil {
			return err
		}
		return health.Preserved(&c.record)
	})
}
