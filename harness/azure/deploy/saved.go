package deploy

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/deploy/template"
	"drydock.dev/drydock/harness/azure/resource"
	"drydock.dev/drydock/harness/azure/state"
)

// kept is a deployment that runs, to go on with in another process. Values of parameters are kept as they were evaluated, for a default may be a time or a
// new id; those that are declared secure are not kept: a state is a file, which people send each other, and a key to it would be in the process that is
// gone. What needs one of them fails when its turn comes, and says so.
type kept struct {
	Begun    time.Time           `json:"begun"`
	Caller   arm.Call            `json:"caller,omitzero"`
	Body     map[string]any      `json:"body"`               // that it was asked for with
	Withheld []string            `json:"withheld,omitempty"` // parameters whose values are not kept
	Hash     string              `json:"hash"`
	Base     string              `json:"base,omitempty"`
	Link     map[string]any      `json:"templateLink,omitempty"`
	Values   map[string]any      `json:"parametersLink,omitempty"`
	Done     map[string]progress `json:"done,omitempty"`   // by key
	Within   map[string]kept     `json:"within,omitempty"` // deployments within it that run, by key
}

// progress is what a resource is at.
type progress struct {
	State   string     `json:"state"`
	Begun   time.Time  `json:"begun,omitzero"`
	Ended   time.Time  `json:"ended,omitzero"`
	Failure *arm.Error `json:"failure,omitempty"`
	At      arm.ID     `json:"at,omitzero"` // whose operation makes it, of what lives in another's document
}

func (ds *deployments) save(_ resource.View, id arm.ID) any {
	if d := ds.find(id); d != nil && d.op != nil { // those within it are saved with it
		return d.keep()
	}
	return nil
}

func (d *deployment) keep() kept {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, values := map[string]any{"mode": d.mode}, map[string]any{}
	k := kept{Begun: d.begun, Caller: d.caller, Hash: d.hash, Base: d.base, Link: d.link, Values: d.parametersLink, Body: map[string]any{"properties": p}, Done: map[string]progress{}}
	if d.location != "" {
		k.Body["location"] = d.location
	}
	if d.tags != nil {
		k.Body["tags"] = d.tags
	}
	if d.debug != "" {
		p["debugSetting"] = map[string]any{"detailLevel": d.debug}
	}
	if d.onError != nil {
		p["onErrorDeployment"] = d.onError.told()
	}
	for _, name := range slices.Sorted(maps.Keys(d.scope.Parameters)) {
		if declared, _ := d.tpl.Parameters[name].(map[string]any); d.tpl.Secure(declared) {
			k.Withheld = append(k.Withheld, name)
			continue
		}
		values[name] = map[string]any{"value": d.scope.Parameters[name]}
	}
	if p["parameters"] = values; !d.outer { // what was evaluated in the scope around it is evaluated again
		p["template"] = d.kept()
	}
	for _, r := range d.resources {
		if r.state != waiting && r.state != skipped && !r.existing {
			k.Done[r.id.Key()] = progress{State: r.state, Begun: r.begun, Ended: r.ended, Failure: r.failure, At: r.target}
		}
		if inner := r.inner.Load(); inner != nil && !inner.over.Load() {
			if k.Within == nil {
				k.Within = map[string]kept{}
			}
			k.Within[r.id.Key()] = inner.keep()
		}
	}
	return k
}

// notKept is a parameter whose value was not saved: an answer of the twin's own, for the service forgets nothing.
func notKept(name string) error {
	return errors.Join(template.ErrNotReady, arm.Errorf(http.StatusConflict, "SecureParameterNotKept",
		"The value of the secure parameter '%s' is not known any more: the twin was loaded from a state that was saved while the deployment ran, and secure parameters are not saved. Deploy again.", name))
}

// resume goes on with a deployment, and with those within it: what it has made is there, what failed has failed, and what it was making it waits for.
func (ds *deployments) resume(tx *resource.Tx, id arm.ID, raw json.RawMessage) *arm.Error {
	var k kept
	if err := json.Unmarshal(raw, &k); err != nil {
		return arm.Errorf(http.StatusBadRequest, "InvalidState", "no deployment: %v", err)
	}
	op := tx.Held(id)
	if op == nil {
		return arm.Errorf(http.StatusBadRequest, "InvalidState", "the deployment has no operation under way")
	}
	d, bad := ds.prepare(tx.View, id, k.Caller, asked{body: k.Body, withheld: k.Withheld, base: k.Base, link: k.Link, parametersLink: k.Values})
	if bad != nil {
		return giveUp(tx, op, bad)
	}
	d.op = op
	d.restore(k)
	ds.running.Store(id.Key(), d)
	d.advance(tx)
	return nil
}

// giveUp ends a deployment that cannot go on, for a name is secret, say: nothing of it is known then, not even what it has made.
func giveUp(tx *resource.Tx, op *state.Operation, bad *arm.Error) *arm.Error {
	tx.Edit(op.Target, func(body map[string]any) {
		p := arm.Object(body, "properties")
		p["provisioningState"], p["error"] = arm.Failed, bad.Body()
	})
	tx.Finish(op, bad)
	return nil
}

// restore puts each resource to where it was.
func (d *deployment) restore(k kept) {
	d.begun, d.hash, d.ran = k.Begun, k.Hash, k.Within
	for _, r := range d.resources {
		p, known := k.Done[r.id.Key()]
		if !known || r.existing || r.state != waiting {
			continue
		}
		r.begun = p.Begun
		switch p.State {
		case running:
			r.was = &p
		case arm.Succeeded:
			d.set(r, arm.Succeeded, nil, p.Ended)
			d.done(r)
		default:
			d.set(r, p.State, p.Failure, p.Ended)
		}
	}
	d.ready = slices.DeleteFunc(d.ready, func(r *deployed) bool { return r.state != waiting })
}

// taken reports whether a resource of a deployment that was resumed is being made, and need not be put.
func (d *deployment) taken(tx *resource.Tx, r *deployed) bool {
	if r.was == nil {
		return false
	}
	at := r.was.At
	r.was = nil
	if at.Provider == "" && len(at.Types) == 0 || !tx.Attend(at, func(tx *resource.Tx, failure *arm.Error) { d.settled(tx, r, failure) }) {
		return false // it waited for its turn at the provider
	}
	r.target = at
	d.set(r, running, nil, tx.Now())
	return true
}

// asWas is what a nested deployment was asked to be before the process ended in which it began.
func (a *asked) asWas(k kept) {
	p := arm.Object(a.body, "properties")
	given, _ := p["parameters"].(map[string]any)
	values := maps.Clone(given)
	if values == nil {
		values = map[string]any{}
	}
	if a.base, a.link, a.parametersLink = k.Base, k.Link, k.Values; k.Link != nil {
		maps.DeleteFunc(p, func(k string, _ any) bool { return strings.EqualFold(k, "templateLink") })
		p["template"] = arm.At(k.Body, "properties", "template")
	}
	if k.Values != nil {
		maps.DeleteFunc(p, func(k string, _ any) bool { return strings.EqualFold(k, "parametersLink") })
	}
	was, _ := arm.At(k.Body, "properties", "parameters").(map[string]any)
	maps.Copy(values, was)
	p["parameters"] = values
	for _, name := range k.Withheld {
		if values[name] == nil && !slices.Contains(a.withheld, name) {
			a.withheld = append(a.withheld, name)
		}
	}
}
