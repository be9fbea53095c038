package azure

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"drydock.dev/drydock/harness/azure/resource"
	"drydock.dev/drydock/harness/azure/state"
)

// State is everything in a twin. Loaded into another it goes on: operations end when they would have, clients may ask after them and use the etags they
// have, and machines are on that were. What somebody writes by hand has resources only.
type State struct {
	Subscriptions []string                   `json:"subscriptions,omitempty"` // those there are; none: any
	Time          time.Time                  `json:"time,omitzero"`           // of the twin's clock
	Resources     []json.RawMessage          `json:"resources"`               // documents, ordered by id
	Operations    []state.Operation          `json:"operations,omitempty"`
	UnderWay      map[string]json.RawMessage `json:"underWay,omitempty"` // deployments that run, without their secure parameters
}

// State gives everything. Nobody writes meanwhile.
func (t *Twin) State() State {
	t.onlyMu.RLock()
	subscriptions := slices.Sorted(maps.Keys(t.only))
	t.onlyMu.RUnlock()
	s := t.engine.Save()
	return State{Subscriptions: subscriptions, Time: s.Time, Resources: s.Resources, Operations: s.Operations, UnderWay: s.UnderWay}
}

// Load adds to what there is: each resource needs an id, and is taken as it is.
func (t *Twin) Load(s State) error {
	t.admitOnly(s.Subscriptions)
	return t.engine.Load(resource.Saved{Time: s.Time, Resources: s.Resources, Operations: s.Operations, UnderWay: s.UnderWay})
}
