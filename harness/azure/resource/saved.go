package resource

import (
	"encoding/json"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
	"drydock.dev/drydock/harness/cluster"
)

// Saved is all there is, to go on with in another process.
type Saved struct {
	Time       time.Time                  // of the clock it was saved by: what is under way has as long to go when it is loaded
	Resources  []json.RawMessage          // ordered by id, with what no client sees
	Operations []state.Operation          // in the order in which they began
	UnderWay   map[string]json.RawMessage // what types keep beside documents, by id
}

// Save gives what there is.
func (e *Engine) Save() Saved {
	out := Saved{Resources: []json.RawMessage{}}
	e.store.Still(func(s state.View) {
		v := View{s, e}
		out.Time, out.Operations = v.Now(), v.Operations()
		for _, d := range v.All() {
			out.Resources = append(out.Resources, d.Saved())
			typ := e.typeOf(d.ID)
			if typ == nil || typ.Save == nil {
				continue
			}
			if kept := typ.Save(v, d.ID); kept != nil {
				if out.UnderWay == nil {
					out.UnderWay = map[string]json.RawMessage{}
				}
				out.UnderWay[d.ID.String()] = arm.Marshal(kept)
			}
		}
	})
	return out
}

// Load adds what was saved, or what somebody has written: each resource needs an id, and is taken as it is.
func (e *Engine) Load(s Saved) error {
	for i, raw := range s.Resources {
		var body map[string]any
		if err := json.Unmarshal(raw, &body); err != nil {
			return cluster.Usagef("resources[%d]: %w", i, err)
		}
		id, ok := arm.ParseID(arm.Text(body, "id"))
		if !ok || id.Collection() {
			return cluster.Usagef("resources[%d]: %q is not the id of a resource", i, arm.Text(body, "id"))
		}
		if typ := e.typeOf(id); typ != nil && typ.Loaded != nil {
			typ.Loaded(body)
		}
		e.write(id.Subscription, func(tx *Tx) { tx.state.Restore(id, body) })
	}
	for _, op := range s.Operations {
		if op.Status == arm.InProgress && !s.Time.IsZero() {
			passed := e.view().Now().Sub(s.Time)
			op.Begun, op.Ends = op.Begun.Add(passed), op.Ends.Add(passed)
		}
		if op.Held && s.UnderWay[op.Target.String()] == nil { // whoever held it is not here to end it
			op.Status = arm.Canceled
		}
		e.write(op.Target.Subscription, func(tx *Tx) { tx.state.Resume(op) })
	}
	for path, raw := range s.UnderWay {
		id, ok := arm.ParseID(path)
		typ := e.typeOf(id)
		if !ok || typ == nil || typ.Resume == nil {
			return cluster.Usagef("underWay: nothing can be under way at %q", path)
		}
		var bad *arm.Error
		if e.write(id.Subscription, func(tx *Tx) { bad = typ.Resume(tx, id, raw) }); bad != nil {
			return cluster.Usagef("underWay: %s: %w", path, bad)
		}
	}
	return nil
}
