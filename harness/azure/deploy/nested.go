package deploy

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/deploy/template"
	"drydock.dev/drydock/harness/azure/resource"
)

// within puts a nested deployment's template into what it is asked for. Its expressions see the parent's parameters and variables unless it says
// that its scope is inner (learn.microsoft.com "Linked and nested templates", Expression evaluation scope).
func (d *deployment) within(r *deployed, scope *template.Scope, body map[string]any) error {
	inner := arm.At(r.source, "properties", "template")
	if inner == nil {
		return nil
	}
	p := arm.Object(body, "properties")
	if strings.EqualFold(arm.Text(p, "expressionEvaluationOptions", "scope"), "inner") {
		p["template"] = inner
		return nil
	}
	if given, ok := arm.At(p, "parameters").(map[string]any); ok && len(given) > 0 {
		return &template.Error{Message: "The nested deployment '" + r.name + "' has parameters, and its template is evaluated in the outer scope, where they are not seen: set expressionEvaluationOptions.scope to 'inner'. Please see https://aka.ms/arm-deployment-nested for usage details."}
	}
	e, err := scope.Eval(inner)
	if err != nil {
		return err
	}
	p["template"] = escaped(e)
	return nil
}

// escaped keeps what was evaluated in the outer scope from being evaluated again.
func escaped(v any) any {
	switch x := v.(type) {
	case string:
		if template.IsExpression(x) || strings.HasPrefix(x, "[[") {
			return "[" + x
		}
	case []any:
		for i := range x {
			x[i] = escaped(x[i])
		}
	case map[string]any:
		for k := range x {
			x[k] = escaped(x[k])
		}
	}
	return v
}

// askedOf is what a nested deployment is asked to be. A template that was evaluated in the outer scope is as nobody has written it.
func (d *deployment) askedOf(r *deployed, body map[string]any) asked {
	a := asked{body: body, base: d.base, around: d.confidential()}
	if innerScope(body) {
		a.template = r.at.At("properties", "template")
	}
	a.withheld = r.unknown
	if k, ran := d.ran[r.id.Key()]; ran {
		a.asWas(k)
	}
	return a
}

// withoutUnknown evaluates what a nested deployment is asked for without those of its parameters whose values are not known any more: it gets as far as it can
// without them.
func (d *deployment) withoutUnknown(scope *template.Scope, r *deployed, source map[string]any, err error) (any, error) {
	p, _ := source["properties"].(map[string]any)
	given, ok := arm.Field(p, "parameters").(map[string]any)
	var later *notYet
	if !ok || errors.As(err, &later) {
		return nil, err
	}
	p, source = maps.Clone(p), maps.Clone(source)
	maps.DeleteFunc(p, func(k string, _ any) bool { return strings.EqualFold(k, "parameters") })
	values := map[string]any{}
	r.unknown = nil
	for _, name := range slices.Sorted(maps.Keys(given)) {
		e, err := scope.Eval(given[name])
		switch {
		case err == nil:
			values[name] = e
		case errors.As(err, &later) || !errors.Is(err, template.ErrNotReady):
			return nil, err
		default:
			r.unknown = append(r.unknown, name)
		}
	}
	source["properties"] = p
	e, err := scope.Eval(source)
	if body, isObject := e.(map[string]any); isObject {
		arm.Object(body, "properties")["parameters"] = values
	}
	return e, err
}

func innerScope(body map[string]any) bool {
	return strings.EqualFold(arm.Text(body, "properties", "expressionEvaluationOptions", "scope"), "inner")
}

// nest runs a deployment within this one: in its own group and subscription, which is not always this one's.
func (d *deployment) nest(tx *resource.Tx, r *deployed, body map[string]any) {
	d.set(r, running, nil, tx.Now())
	caller := d.caller
	caller.Subscription = r.id.Subscription
	own := strings.EqualFold(r.id.Subscription, d.id.Subscription)
	ended := func(tx *resource.Tx, failure *arm.Error) {
		if own {
			d.settled(tx, r, failure)
			return
		}
		tx.After(d.id.Subscription, 0, func(tx *resource.Tx) { d.settled(tx, r, failure) })
	}
	// It begins when this deployment's turn is over: it may end at once, and would go through this one's list while that is gone through.
	tx.After(r.id.Subscription, 0, func(tx *resource.Tx) {
		if d.over.Load() {
			return
		}
		was, ran := d.ran[r.id.Key()]
		begin := d.all.ready
		if ran { // it was looked at when it began
			begin = func(tx *resource.Tx, id arm.ID, caller arm.Call, a asked) (*deployment, *arm.Error) {
				return d.all.prepare(tx.View, id, caller, a)
			}
		}
		a := d.askedOf(r, body)
		bad := d.all.resolve(tx, &a)
		if d.over.Load() { // while it was downloaded
			return
		}
		var inner *deployment
		if bad == nil {
			inner, bad = begin(tx, r.id, caller, a)
		}
		if bad == nil && inner.complete() && !d.complete() {
			bad = r.invalid("The nested deployment '%s' has the mode 'Complete': nested deployments have it only where the deployment itself has. Please see https://aka.ms/deployment-modes for usage details.", r.name)
		}
		if bad == nil && inner.onError != nil {
			bad = r.invalid("The nested deployment '%s' has an 'onErrorDeployment': only deployments that are not within another do. Please see https://aka.ms/arm-rollback-on-error for usage details.", r.name)
		}
		if bad == nil {
			if at := d.all.find(r.id); at != nil {
				bad = stillActive(r.id, at.begun)
			}
		}
		if bad != nil {
			ended(tx, bad)
			return
		}
		r.inner.Store(inner)
		inner.outer = a.link == nil && !innerScope(body)
		inner.nested = ended
		if ran {
			inner.restore(was)
		}
		inner.document(tx, "Running", nil, nil)
		d.all.running.Store(r.id.Key(), inner)
		d.all.groom(tx, r.id)
		inner.advance(tx)
	})
}
