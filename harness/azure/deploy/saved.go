package deploy

import (
	"encoding/json"
	"net/http"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
)

// kept is a deployment that runs, to go on with in another process.
type kept struct {
	Begun  time.Time      `json:"begun"`
	Caller arm.Call       `json:"caller"`
	Body   map[string]any `json:"body"`
	Made   []string       `json:"made,omitempty"` // what is there, by key
}

func (ds *deployments) save(_ resource.View, id arm.ID) any {
	if d := ds.find(id); d != nil && d.op != nil { // those within it are its own to begin again
		k := kept{Begun: d.begun, Caller: d.caller, Body: d.body}
		for _, r := range d.resources {
			if r.state == arm.Succeeded {
				k.Made = append(k.Made, r.id.Key())
			}
		}
		return k
	}
	return nil
}

// resume goes on with a deployment: what it has made is there, and what it was making it waits for. A deployment within it begins again.
func (ds *deployments) resume(tx *resource.Tx, id arm.ID, raw json.RawMessage) *arm.Error {
	var k kept
	if err := json.Unmarshal(raw, &k); err != nil {
		return arm.Errorf(http.StatusBadRequest, "InvalidState", "no deployment: %v", err)
	}
	d, bad := ds.prepare(tx.View, id, k.Caller, asked{body: k.Body})
	if bad != nil {
		return bad
	}
	if d.op = tx.Held(id); d.op == nil {
		return arm.Errorf(http.StatusBadRequest, "InvalidState", "the deployment has no operation under way")
	}
	d.begun, d.body, d.resumed = k.Begun, k.Body, map[string]bool{}
	for _, key := range k.Made {
		d.resumed[key] = true
	}
	ds.running.Store(id.Key(), d)
	d.advance(tx)
	return nil
}

// taken reports whether a resource of a deployment that was resumed is made, or being made, and need not be put.
func (d *deployment) taken(tx *resource.Tx, r *deployed) bool {
	switch {
	case d.resumed == nil:
		return false
	case d.resumed[r.id.Key()]:
		d.settle(tx, r, nil)
		return true
	}
	if !tx.Attend(r.id, func(tx *resource.Tx, failure *arm.Error) { d.settled(tx, r, failure) }) {
		return false
	}
	d.set(r, running, nil, tx.Now())
	return true
}
