package experiment

import (
	"context"
	"time"

	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/observe"
)

// Pulse is the journal's word of what the probes have come to and how the host is, for those who look on. Nothing is judged by it: the evidence has it all.
type Pulse struct {
	Label  string              `json:"label,omitempty"`
	Probes []load.State        `json:"probes"`
	Host   observe.HostReading `json:"host"`
}

// Observed is the journal's word of one observation of a cell's cluster.
type Observed struct {
	Label string `json:"label,omitempty"`
	observe.Observation
}

const pulseEvery = time.Second

// pulse journals one again and again, until the context ends.
func (c *cellRun) pulse(ctx context.Context) {
	tick := time.NewTicker(pulseEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = c.journal.Sample("pulse", Pulse{Label: c.outline.cell.Label, Probes: c.watched.States(), Host: c.host.Last()}) // as with observations
		}
	}
}
