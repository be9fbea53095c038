package deploy

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/deploy/template"
	"drydock.dev/drydock/harness/azure/resource"
	"drydock.dev/drydock/harness/azure/state"
)

// notYet is a reference to a resource of the deployment that is not there yet.
type notYet struct{ of *deployed }

func (e *notYet) Error() string { return e.of.name + ": " + template.ErrNotReady.Error() }
func (e *notYet) Unwrap() error { return template.ErrNotReady }

// advance starts every resource whose dependencies are done, and ends the deployment when nothing is left to do. It is called when it begins
// and whenever an operation of its own has ended, so that it takes as long as its resources do.
func (d *deployment) advance(tx *resource.Tx) {
	for !d.over.Load() && len(d.ready) > 0 {
		r := d.ready[0]
		d.ready = d.ready[1:]
		if failure := arm.Guarded(func() *arm.Error { d.start(tx, r); return nil }); failure != nil {
			d.settle(tx, r, failure)
		}
	}
	if d.over.Load() || d.active > 0 {
		return
	}
	if d.complete() && d.removing == nil && !d.failed() {
		d.beginRemoval(tx)
		if d.active > 0 {
			return
		}
	}
	d.end(tx)
}

// set notes what a resource is at.
func (d *deployment) set(r *deployed, state string, failure *arm.Error, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch r.state {
	case waiting:
		d.undone--
		if r.begun.IsZero() {
			r.begun = now
		}
	case running:
		d.active--
	}
	r.state, r.failure = state, d.conceal(failure)
	if state == running {
		d.active++
	} else {
		r.ended = now
	}
}

// settle notes how a resource ended. What waits for one that failed is not begun.
func (d *deployment) settle(tx *resource.Tx, r *deployed, failure *arm.Error) {
	state := arm.Succeeded
	if failure != nil {
		state = arm.Failed
	}
	if failure == nil && d.details("responseContent") && r.typ != nil {
		r.response = tx.Body(r.id)
	}
	d.set(r, state, failure, tx.Now())
	if failure == nil {
		d.done(r)
	}
}

// details says whether requests, or responses, are told with the deployment's operations.
func (d *deployment) details(of string) bool {
	return strings.Contains(strings.ToLower(d.debug), strings.ToLower(of))
}

// settled goes on after a resource's own operation has ended.
func (d *deployment) settled(tx *resource.Tx, r *deployed, failure *arm.Error) {
	if d.over.Load() {
		return
	}
	d.settle(tx, r, failure)
	d.advance(tx)
}

// start begins with a resource. One that refers to another that is not there yet waits for it.
func (d *deployment) start(tx *resource.Tx, r *deployed) {
	if r.existing {
		d.settle(tx, r, nil)
		return
	}
	if d.taken(tx, r) {
		return
	}
	body, err := d.evaluate(tx.View, r)
	var later *notYet
	switch {
	case errors.As(err, &later) && later.of != r && !d.waitsFor(later.of, r):
		r.wait(unit{one: later.of})
		return
	case errors.As(err, &later):
		d.settle(tx, r, r.invalid(circular, r.id))
		return
	case err != nil:
		d.settle(tx, r, templateError(err, r.id.String(), r.at.Place()))
		return
	}
	if strings.EqualFold(r.typeName, typeName) {
		d.nest(tx, r, body)
		return
	}
	d.write(tx, r, body)
}

// waitsFor says whether one waits for another, by whatever is between them.
func (d *deployment) waitsFor(one, other *deployed) bool {
	seen := map[*deployed]bool{}
	var look func(r *deployed) bool
	look = func(r *deployed) bool {
		if r == other {
			return true
		}
		if seen[r] || r.state != waiting {
			return false
		}
		seen[r] = true
		for _, u := range r.depends {
			if u.one != nil && look(u.one) {
				return true
			}
			if u.all != nil {
				for _, t := range u.all.turns {
					if look(t) {
						return true
					}
				}
			}
		}
		return false
	}
	return look(one)
}

// maxAttempts bounds how often a write that is throttled is tried again. How often the service does is not told; it goes on for hours
// (learn.microsoft.com "Throttling Resource Manager requests" tells clients only what to do).
const maxAttempts = 60

// write makes a resource as a PUT does: it costs its caller's budget at the provider, and one that is throttled or finds its parent busy is tried
// again when it is told to.
func (d *deployment) write(tx *resource.Tx, r *deployed, body map[string]any) {
	verb := "UPDATE "
	if !tx.Exists(r.id.String()) {
		verb = "CREATE "
	}
	if wait, bad := d.all.draw(d.caller, verb+r.typ.Name, r.id, arm.Text(body, "location")); bad != nil {
		d.again(tx, r, wait, bad)
		return
	}
	refused, fails := tx.Inject(r.typ, r.id, body)
	if refused != nil {
		d.settle(tx, r, refused)
		return
	}
	doc, isNew, bad := d.replace(tx, r, body)
	if bad != nil {
		if bad.Status == http.StatusTooManyRequests || bad.Code == "AnotherOperationInProgress" {
			d.again(tx, r, busyFor, bad)
			return
		}
		d.settle(tx, r, bad)
		return
	}
	typ := tx.TypeOf(doc)
	if strings.EqualFold(r.typeName, groupType) {
		typ = r.typ
	}
	d.set(r, running, nil, tx.Now())
	r.target = doc
	if d.details("requestContent") {
		r.request = tx.WithoutSecrets(r.typ, body)
	}
	if typ.AtOnce&resource.Creates != 0 {
		d.settle(tx, r, tx.FinishWrite(doc, typ))
		return
	}
	verb = "update"
	if isNew {
		verb = "create"
	}
	work := state.Work{Do: resource.Write}
	if fails != nil {
		work.Fails = fails()
	}
	op := tx.Start(doc, verb, work, func(tx *resource.Tx, failure *arm.Error) { d.settled(tx, r, failure) })
	d.poll(tx, r, op.ID)
}

// replace puts the document, or changes its parent's where it lives in that. It gives the resource whose operation that is.
func (d *deployment) replace(tx *resource.Tx, r *deployed, body map[string]any) (of arm.ID, isNew bool, bad *arm.Error) {
	if !r.typ.Takes(http.MethodPut) { // a view of something, which nobody makes
		return of, false, arm.Errorf(http.StatusMethodNotAllowed, "MethodNotAllowed", "The HTTP method 'PUT' is not supported at scope '%s'.", r.id)
	}
	if group := arm.GroupID(r.id); r.id.ResourceGroup != "" && r.id.Provider != "" && tx.Get(group) == nil {
		return of, false, arm.NotFound(group)
	}
	if bad = tx.Gate(r.id, resource.ToWrite); bad == nil {
		bad = tx.Open(r.id, "Update")
	}
	if bad != nil {
		return of, false, bad
	}
	if body, bad = tx.Understand(r.typ, r.id, r.apiVersion, body); bad != nil {
		return of, false, bad
	}
	if r.typ.Write != nil {
		return r.id, false, tx.PutThrough(r.id, r.typ, body)
	}
	put := tx.Replace
	if r.typ.Inside != "" {
		put = tx.ReplaceInside
	}
	doc, isNew, bad := put(r.id, r.typ, body)
	if bad != nil {
		return of, false, bad
	}
	return doc.ID, isNew, nil
}

// busyFor is how long a write waits that finds another operation under way where it writes.
const busyFor = 5 * time.Second

// again tries a resource later.
func (d *deployment) again(tx *resource.Tx, r *deployed, wait time.Duration, bad *arm.Error) {
	if r.attempts++; r.attempts > maxAttempts {
		d.settle(tx, r, bad)
		return
	}
	if r.state == waiting {
		d.set(r, running, nil, tx.Now())
	}
	tx.After(d.id.Subscription, max(wait, time.Second), func(tx *resource.Tx) {
		if d.over.Load() || r.state != running {
			return
		}
		d.mu.Lock()
		d.active--
		d.undone++
		r.state = waiting
		d.mu.Unlock()
		d.ready = append(d.ready, r)
		d.advance(tx)
	})
}

// pollEvery is how often a deployment asks after an operation that tells no Retry-After.
const pollEvery = 15 * time.Second

// poll asks how an operation goes, as often as it is told to, and draws on the provider's budget by that.
func (d *deployment) poll(tx *resource.Tx, r *deployed, op string) {
	every := tx.Timing(r.id.Type()).RetryAfter.Poll
	if every <= 0 {
		every = pollEvery
	}
	kind := "locations/operations"
	if p := r.id.Provider; strings.EqualFold(p, "Microsoft.Compute") || strings.EqualFold(p, "Microsoft.Network") {
		kind = p + "/locations/operations"
	}
	tx.After(d.id.Subscription, every, func(tx *resource.Tx) {
		if now, ok := tx.Find(op); d.over.Load() || !ok || now.Status != arm.InProgress || r.state != running {
			return
		}
		_, _ = d.all.draw(d.caller, "GET "+kind, r.id, "") // a poll that is throttled is made again
		d.poll(tx, r, op)
	})
}

// evaluated is what of a resource is evaluated when it is put.
func (d *deployment) evaluated(r *deployed) map[string]any {
	source := maps.Clone(r.source)
	maps.DeleteFunc(source, func(k string, _ any) bool {
		switch strings.ToLower(k) {
		case "copy", "dependson", "condition", "resources", "apiversion", "name", "type", "comments", "metadata", "existing", "scope", "subscriptionid", "resourcegroup", "import", "asserts":
			return true
		}
		return false
	})
	if strings.EqualFold(r.typeName, typeName) { // a template within it has a scope of its own
		p, _ := arm.At(source, "properties").(map[string]any)
		p = maps.Clone(p)
		maps.DeleteFunc(p, func(k string, _ any) bool { return strings.EqualFold(k, "template") })
		maps.DeleteFunc(source, func(k string, _ any) bool { return strings.EqualFold(k, "properties") })
		source["properties"] = p
	}
	return source
}

// evaluate makes the body a PUT would have.
func (d *deployment) evaluate(v resource.View, r *deployed) (map[string]any, error) {
	scope := *r.scope
	d.runtime(v, &scope)
	source := d.evaluated(r)
	e, err := scope.Eval(source)
	if strings.EqualFold(r.typeName, typeName) && errors.Is(err, template.ErrNotReady) {
		e, err = d.withoutUnknown(&scope, r, source, err)
	}
	if err != nil {
		return nil, err
	}
	var body map[string]any
	if err := json.Unmarshal(arm.Marshal(e), &body); err != nil { // as a call would bring it: numbers of the language are those of JSON
		return nil, fmt.Errorf("the resource %s is no object: %w", r.name, err)
	}
	if strings.EqualFold(r.typeName, typeName) {
		return body, d.within(r, &scope, body)
	}
	return body, nil
}
