package deploy

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/deploy/template"
	"drydock.dev/drydock/harness/azure/resource"
)

// failed says whether something was not made, or never came to its turn.
func (d *deployment) failed() bool {
	return d.undone > 0 || slices.ContainsFunc(d.resources, func(r *deployed) bool { return r.failure != nil })
}

// end tells how it went.
func (d *deployment) end(tx *resource.Tx) {
	d.over.Store(true)
	d.all.running.Delete(d.id.Key())
	failure := d.failure()
	if d.fails != nil && failure == nil {
		failure = d.fails()
	}
	var outputs map[string]any
	if failure == nil {
		failure = arm.Guarded(func() (bad *arm.Error) { outputs, bad = d.outputs(tx.View); return d.conceal(bad) })
	}
	state := arm.Succeeded
	if failure != nil {
		state = arm.Failed
	}
	if d.onError != nil && failure != nil {
		d.fallBack(tx)
	}
	if failure == nil && d.op != nil {
		d.remember()
	}
	d.document(tx, state, outputs, failure)
	if d.op != nil {
		tx.Finish(d.op, failure)
	}
	if d.nested != nil {
		d.nested(tx, failure)
	}
}

// failure is what went wrong, of each resource.
func (d *deployment) failure() *arm.Error {
	var details []arm.Error
	for _, r := range d.resources {
		if f := r.failure; f != nil {
			details = append(details, arm.Error{Code: f.Code, Message: f.Message, Target: f.Target, Details: f.Details})
		}
	}
	if d.removing != nil {
		details = append(details, d.removing.failures...)
	}
	if len(details) == 0 && d.undone > 0 {
		for _, r := range d.resources {
			if r.state == waiting {
				return r.invalid(circular, r.id)
			}
		}
	}
	if len(details) == 0 {
		return nil
	}
	return &arm.Error{
		Status: http.StatusConflict, Code: "DeploymentFailed", Target: d.id.String(), Details: details,
		Message: "At least one resource deployment operation failed. Please list deployment operations for details. Please see https://aka.ms/arm-deployment-operations for usage details.",
	}
}

func (d *deployment) outputs(v resource.View) (map[string]any, *arm.Error) {
	scope := *d.scope
	d.runtime(v, &scope)
	values, err := d.tpl.Evaluated(&scope)
	if err != nil {
		var of *template.OutputError
		name := ""
		if errors.As(err, &of) {
			name = of.Name
		}
		e := arm.Gatewayf(http.StatusBadRequest, "DeploymentOutputEvaluationFailed", "Unable to evaluate template outputs: '%s'. Please see error details and deployment operations. Please see https://aka.ms/arm-common-errors for usage details.", name)
		e.Details = []arm.Error{{Code: "DeploymentOutputEvaluationFailed", Target: name, Message: err.Error()}}
		return nil, e
	}
	out := map[string]any{}
	for name, o := range values {
		one := map[string]any{"type": o.Type}
		if !o.Secure {
			one["value"] = o.Value
		}
		out[name] = one
	}
	return out, nil
}

// document writes the deployment's own resource.
func (d *deployment) document(tx *resource.Tx, state string, outputs map[string]any, failure *arm.Error) {
	p := d.told(tx.Now(), state)
	var made []any
	for _, r := range d.resources {
		if r.state == arm.Succeeded && !r.existing {
			made = append(made, map[string]any{"id": r.id.String()})
		}
	}
	if made != nil && state == arm.Succeeded {
		p["outputResources"] = made
	}
	if outputs != nil {
		p["outputs"] = outputs
	}
	if failure != nil {
		p["error"] = failure.Body()
	}
	doc := map[string]any{"id": d.id.String(), "name": d.id.Name(), "type": typeName, "properties": p, operationsTag: d.steps(tx.Now())}
	if tpl := d.kept(); tpl != nil {
		doc[templateTag] = tpl
	}
	if d.location != "" {
		doc["location"] = d.location
	}
	if d.tags != nil {
		doc["tags"] = d.tags
	}
	tx.Put(d.id, doc)
}

// kept is the template as it is kept with the deployment, without defaults of what is declared secure. A template that was evaluated in the scope of the
// deployment around it is not kept: that one's secrets may be in it.
func (d *deployment) kept() map[string]any {
	tpl, _ := arm.At(d.scope.Deployment, "properties", "template").(map[string]any)
	if d.outer {
		return nil
	}
	return withoutSecrets(tpl)
}

// withoutSecrets is a template without the defaults of secure parameters, its own and those of templates within it.
func withoutSecrets(tpl map[string]any) map[string]any {
	t := &template.Template{}
	t.Definitions, _ = arm.Field(tpl, "definitions").(map[string]any)
	tpl = maps.Clone(tpl)
	for k, v := range tpl {
		switch strings.ToLower(k) {
		case "parameters":
			declared, _ := v.(map[string]any)
			declared = maps.Clone(declared)
			for name, p := range declared {
				if one, _ := p.(map[string]any); arm.Field(one, "defaultValue") != nil && t.Secure(one) {
					one = maps.Clone(one)
					maps.DeleteFunc(one, func(k string, _ any) bool { return strings.EqualFold(k, "defaultValue") })
					declared[name] = one
				}
			}
			tpl[k] = declared
		case "resources":
			tpl[k] = eachWithoutSecrets(v)
		}
	}
	return tpl
}

// eachWithoutSecrets are a template's resources, in a list or by their symbols.
func eachWithoutSecrets(resources any) any {
	switch x := resources.(type) {
	case []any:
		x = slices.Clone(x)
		for i := range x {
			x[i] = nestedWithoutSecrets(x[i])
		}
		return x
	case map[string]any:
		x = maps.Clone(x)
		for k := range x {
			x[k] = nestedWithoutSecrets(x[k])
		}
		return x
	}
	return resources
}

func nestedWithoutSecrets(r any) any {
	written, _ := r.(map[string]any)
	p, _ := arm.Field(written, "properties").(map[string]any)
	inner, isNested := arm.Field(p, "template").(map[string]any)
	if !isNested {
		return r
	}
	p, written = maps.Clone(p), maps.Clone(written)
	for k := range p {
		if strings.EqualFold(k, "template") {
			p[k] = withoutSecrets(inner)
		}
	}
	for k := range written {
		if strings.EqualFold(k, "properties") {
			written[k] = p
		}
	}
	return written
}

// told are the properties of a deployment: what is declared secure without its value.
func (d *deployment) told(now time.Time, state string) map[string]any {
	values := map[string]any{}
	for name, v := range d.scope.Parameters {
		declared, _ := d.tpl.Parameters[name].(map[string]any)
		one := map[string]any{"type": d.tpl.TypeName(declared)}
		if !d.tpl.Secure(declared) {
			one["value"] = v
		}
		values[name] = one
	}
	out := map[string]any{
		"mode": d.mode, "provisioningState": state, "timestamp": arm.Timestamp(now), "duration": duration(now.Sub(d.begun)), "templateHash": d.hash,
		"correlationId": arm.Derived("deployment", d.id.String(), arm.Timestamp(d.begun)), "parameters": values, "providers": d.providers(), "dependencies": d.dependencies(),
	}
	if d.link != nil {
		out["templateLink"] = d.link
	}
	if d.parametersLink != nil {
		out["parametersLink"] = d.parametersLink
	}
	if d.debug != "" {
		out["debugSetting"] = map[string]any{"detailLevel": d.debug}
	}
	if d.onError != nil {
		out["onErrorDeployment"] = d.onError.told()
	}
	return out
}

// duration is a span as XML has it.
func duration(span time.Duration) string {
	t := "PT"
	if h := int(span.Hours()); h > 0 {
		t += strconv.Itoa(h) + "H"
	}
	if m := int(span.Minutes()) % 60; m > 0 {
		t += strconv.Itoa(m) + "M"
	}
	return t + strconv.FormatFloat((span%time.Minute).Seconds(), 'f', -1, 64) + "S"
}

// providers are the namespaces and types of the template, with the regions they are made in.
func (d *deployment) providers() []any {
	types := map[string]map[string][]any{}
	for _, r := range d.resources {
		if r.existing {
			continue
		}
		namespace, typ, _ := strings.Cut(r.typeName, "/")
		if types[namespace] == nil {
			types[namespace] = map[string][]any{}
		}
		var where any
		if at, err := r.scope.Eval(arm.At(r.source, "location")); err == nil && at != nil {
			if s, ok := at.(string); ok {
				where = strings.ToLower(strings.ReplaceAll(s, " ", ""))
			}
		}
		if !slices.Contains(types[namespace][typ], where) {
			types[namespace][typ] = append(types[namespace][typ], where)
		}
	}
	out := []any{}
	for _, namespace := range slices.Sorted(maps.Keys(types)) {
		list := []any{}
		for _, typ := range slices.Sorted(maps.Keys(types[namespace])) {
			list = append(list, map[string]any{"resourceType": typ, "locations": types[namespace][typ]})
		}
		out = append(out, map[string]any{"namespace": namespace, "resourceTypes": list})
	}
	return out
}

// maxTold bounds how many dependencies of one resource are told: each turn of a loop that waits for all of another has as many as that has turns.
const maxTold = 64

func (d *deployment) dependencies() []any {
	out := []any{}
	one := func(r *deployed) map[string]any {
		return map[string]any{"id": r.id.String(), "resourceType": r.typeName, "resourceName": r.name}
	}
	for _, r := range d.resources {
		on := []any{}
		for _, u := range r.depends {
			many := []*deployed{u.one}
			if u.all != nil {
				many = u.all.turns
			}
			for _, x := range many {
				if x.state != skipped && len(on) < maxTold {
					on = append(on, one(x))
				}
			}
		}
		if len(on) > 0 && r.state != skipped {
			entry := one(r)
			entry["dependsOn"] = on
			out = append(out, entry)
		}
	}
	return out
}

// Where a deployment's operations and its template are kept with its document.
const (
	operationsTag = "drydockOperations"
	templateTag   = "drydockTemplate"
)

// exportDeployment gives the template that was deployed.
func exportDeployment(tx *resource.Tx, r *resource.Request, _ map[string]any) (map[string]any, *arm.Error) {
	doc := tx.Get(r.ID.Parent())
	if doc == nil {
		return nil, arm.NotFound(r.ID.Parent())
	}
	tpl, ok := doc.Hidden[templateTag].(map[string]any)
	if !ok {
		return nil, arm.Gatewayf(http.StatusNotFound, "DeploymentTemplateNotFound", "%s", fmt.Sprintf("The template of the deployment '%s' is not kept.", doc.ID.Name()))
	}
	return map[string]any{"template": tpl}, nil
}
