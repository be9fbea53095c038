package deploy

import (
	"errors"
	"fmt"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/deploy/template"
	"drydock.dev/drydock/harness/azure/resource"
)

// expand lists the resources of a template: loops unrolled, conditions evaluated, children of resources beside them, and what each waits for.
func (d *deployment) expand(v resource.View) *arm.Error {
	d.byName = map[string][]unit{}
	for _, r := range d.tpl.Resources {
		if bad := d.unroll(v, r, nil); bad != nil {
			return bad
		}
	}
	if err := template.TooMany("resources", template.MaxResources, len(d.resources)); err != nil {
		return templateError(err, "", d.tpl.At.At("resources").Place())
	}
	for _, r := range d.resources {
		if bad := d.connect(r); bad != nil {
			return bad
		}
	}
	return nil
}

// unroll adds a resource of the template, once for each turn.
func (d *deployment) unroll(v resource.View, written template.Resource, parent *deployed) *arm.Error {
	source := written.Source
	within := d.scope
	if parent != nil {
		within = parent.scope
	}
	own := *within
	outer := &own
	outer.At = written.At.Place()
	c, isLoop := arm.At(source, "copy").(map[string]any)
	if !isLoop {
		return d.add(v, written, outer, nil, 0, parent)
	}
	if parent != nil {
		return invalidTemplate(outer.At, "The template resource '%s' %s is not valid. Copy loops are not allowed on nested child resources. Please see https://aka.ms/arm-copy for usage details.", arm.Text(source, "name"), outer.At)
	}
	turns, err := outer.Count(arm.At(c, "count"))
	if err != nil {
		return templateError(err, "", outer.At)
	}
	l := &loop{name: arm.Text(c, "name")}
	if l.name == "" {
		at := written.At.At("copy").Place()
		return violation(at, "Deployment template parse failed: 'Required property 'name' not found in JSON. Path '%s', line %d, position %d.'.", at.Path, at.Line, at.Column)
	}
	d.name(l.name, unit{all: l})
	if written.Symbol != "" {
		d.name(written.Symbol, unit{all: l})
	}
	for i := range turns {
		if bad := d.add(v, written, outer.Loop(l.name, i), l, i, nil); bad != nil {
			return bad
		}
	}
	return d.batches(l, c, outer)
}

// batches lets turns of a serial loop wait for those before: so many at a time (learn.microsoft.com "Resource iteration in ARM templates", Serial or parallel).
func (d *deployment) batches(l *loop, c map[string]any, scope *template.Scope) *arm.Error {
	if !strings.EqualFold(arm.Text(c, "mode"), "serial") {
		return nil
	}
	size := 1
	if written := arm.At(c, "batchSize"); written != nil {
		var err error
		if size, err = scope.Count(written); err != nil || size < 1 {
			return invalidTemplate(scope.At, "The template 'copy' definition %s has an invalid 'batchSize'. The value must be a positive integer. Please see https://aka.ms/arm-copy for usage details.", scope.At)
		}
	}
	var before *loop
	for from := 0; from < len(l.turns); from += size {
		batch := &loop{turns: l.turns[from:min(from+size, len(l.turns))]}
		for _, r := range batch.turns {
			r.groups = append(r.groups, batch)
			batch.left++
		}
		if before != nil {
			for _, r := range batch.turns {
				r.wait(unit{all: before})
			}
		}
		before = batch
	}
	return nil
}

// add makes one resource of the graph: of one turn.
func (d *deployment) add(v resource.View, written template.Resource, scope *template.Scope, l *loop, turn int, parent *deployed) *arm.Error {
	r := &deployed{source: written.Source, at: written.At, scope: scope, symbol: written.Symbol, state: waiting, existing: written.Existing(), loop: l, turn: turn, operation: "Create"}
	if bad := d.identify(v, r, parent); bad != nil {
		return bad
	}
	if c := arm.At(r.source, "condition"); c != nil {
		on, err := scope.Condition(c)
		if err != nil {
			return templateError(err, r.name, r.at.At("condition").Place())
		}
		if !on {
			r.state = skipped
		}
	}
	if parent != nil && parent.state == skipped {
		r.state = skipped
	}
	if r.existing {
		r.operation = "Read"
	}
	if bad := d.enlist(r, parent); bad != nil {
		return bad
	}
	children, _ := arm.At(r.source, "resources").([]any)
	for i, c := range children {
		source, ok := c.(map[string]any)
		if !ok {
			return r.invalid("The template resource '%s' has a child that is no object.", r.name)
		}
		if bad := d.unroll(v, template.Resource{Source: source, At: r.at.At("resources", i)}, r); bad != nil {
			return bad
		}
	}
	return nil
}

// enlist gives a resource its names and looks whether it is the only one of its id.
func (d *deployment) enlist(r, parent *deployed) *arm.Error {
	for _, u := range d.find(r.id.Key()) {
		if !r.existing && !u.one.existing && r.state != skipped && u.one.state != skipped || !d.tpl.Symbolic {
			return r.invalid("The resource '%s' %s is defined multiple times in a template. Please see https://aka.ms/arm-syntax-resources for usage details.", r.typeName+"/"+r.name, r.at.Place())
		}
	}
	u := unit{one: r}
	d.resources = append(d.resources, r)
	d.name(r.id.Key(), u)
	if !d.tpl.Symbolic {
		d.name(r.name, u)
		d.name(r.typeName+"/"+r.name, u)
		d.name(r.id.Type()+"/"+r.id.Name(), u)
		d.name(strings.TrimPrefix(r.id.String()[strings.LastIndex(r.id.String(), "/providers/")+1:], "providers/"), u)
	}
	if r.loop != nil {
		r.loop.turns = append(r.loop.turns, r)
		r.groups = append(r.groups, r.loop)
		r.loop.left++
		if r.symbol != "" {
			d.name(fmt.Sprintf("%s[%d]", r.symbol, r.turn), u)
		}
	} else if r.symbol != "" {
		d.name(r.symbol, u)
	}
	if parent != nil { // the twin starts a child after its parent in any case: the service would refuse it else
		r.wait(unit{one: parent})
	}
	return nil
}

// connect finds what a resource waits for: what it names in dependsOn, and what its properties refer to by name.
func (d *deployment) connect(r *deployed) *arm.Error {
	depends, isList := arm.At(r.source, "dependsOn").([]any)
	if written := arm.At(r.source, "dependsOn"); written != nil && !isList {
		v, err := r.scope.Eval(written)
		if depends, isList = v.([]any); err != nil || !isList {
			return r.invalid("The template resource '%s' has a dependsOn that is no array. Please see https://aka.ms/arm-syntax-resources for usage details.", r.name)
		}
	}
	for _, x := range depends {
		e, err := r.scope.Eval(x)
		if err != nil {
			return templateError(err, r.name, r.at.At("dependsOn").Place())
		}
		name, ok := e.(string)
		if !ok {
			return r.invalid("The template resource '%s' depends on what is no text. Please see https://aka.ms/arm-syntax-resources for usage details.", r.name)
		}
		found := d.find(strings.TrimSuffix(name, "/"))
		if len(found) == 0 {
			return r.invalid("The resource '%s' is not defined in the template. Please see https://aka.ms/arm-syntax for usage details.", name)
		}
		if len(found) > 1 {
			return r.invalid("The resource '%s' is ambiguous: more than one resource of the template has that name. Please use the resource id. Please see https://aka.ms/arm-syntax-resources for usage details.", name)
		}
		r.wait(found[0])
	}
	if r.existing {
		return nil
	}
	if bad := d.readable(r); bad != nil || r.state == skipped {
		return bad
	}
	for _, name := range r.scope.Refers(d.evaluated(r)) {
		if found := d.find(name); len(found) == 1 && found[0].one != r && !strings.HasPrefix(name, "/") {
			r.wait(found[0])
		}
	}
	return nil
}

// readable evaluates all of a resource that needs nothing of what is deployed: what is wrong in it is told before anything is made.
func (d *deployment) readable(r *deployed) *arm.Error {
	source := d.evaluated(r)
	if err := r.scope.Check(source); err != nil {
		return templateError(err, r.name, r.at.Place())
	}
	if r.state == skipped {
		return nil
	}
	scope := *r.scope
	scope.Reference = func(string, bool) (any, error) { return nil, template.ErrNotReady }
	scope.References = scope.Reference
	scope.List = func(string, string, any) (any, error) { return nil, template.ErrNotReady }
	e, err := scope.Eval(source)
	if body, ok := e.(map[string]any); ok && err == nil && strings.EqualFold(r.typeName, typeName) {
		err = d.within(r, &scope, body)
	}
	switch {
	case err == nil:
		r.early = e
	case !errors.Is(err, template.ErrNotReady):
		return templateError(err, r.id.String(), r.at.Place())
	}
	return nil
}
