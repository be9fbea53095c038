package azure

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/template"
)

// advance starts every resource whose dependencies are done, and ends the deployment when nothing is left to do. It is called when it begins
// and whenever an operation of its own has ended, so that it takes as long as its resources do.
func (d *deployment) advance(tx *Tx) {
	if d.over {
		return
	}
	for {
		progress := false
		for _, r := range d.resources {
			if r.state == waiting && d.ready(r) && d.start(tx, r) {
				progress = true
			}
		}
		if !progress {
			break
		}
	}
	if slices.ContainsFunc(d.resources, func(r *deployed) bool { return r.state == running }) {
		return
	}
	d.end(tx)
}

// cancel starts nothing more; what runs goes on.
func (d *deployment) cancel(tx *Tx) {
	d.over = true
	d.document(tx, canceled, nil)
}

// settled notes that a resource's own operation has ended, and goes on.
func (d *deployment) settled(tx *Tx, r *deployed, failure *Error) {
	d.ended(r, failure)
	d.advance(tx)
}

func (d *deployment) ready(r *deployed) bool {
	for _, dep := range r.depends {
		for _, n := range d.needs(dep) {
			if n != r && n.state != succeeded && n.state != skipped {
				return false
			}
		}
	}
	return true
}

// start begins with a resource. One that refers to another that is not there yet waits for it; false: it does.
func (d *deployment) start(tx *Tx, r *deployed) (begun bool) {
	if failure := guarded(func() *Error { begun = d.put(tx, r); return nil }); failure != nil {
		d.ended(r, failure)
		return true
	}
	return begun
}

// put makes the resource, or begins to.
func (d *deployment) put(tx *Tx, r *deployed) bool {
	scope := *r.scope
	scope.Reference = d.reference(tx.View)
	body, err := d.evaluate(r, &scope)
	if errors.Is(err, template.ErrNotReady) {
		return false
	}
	r.begun, r.state = tx.now(), running
	if err != nil {
		d.ended(r, templateError(err, r.id.String()))
		return true
	}
	if strings.EqualFold(r.typ.name, "Microsoft.Resources/deployments") {
		d.nest(tx, r, body)
		return true
	}
	doc, isNew, bad := tx.replace(r.id, r.typ, body)
	if bad != nil {
		d.ended(r, bad)
		return true
	}
	if tx.immediate(r.typ.name) {
		d.ended(r, tx.finishWrite(doc.id, r.typ))
		return true
	}
	verb := "update"
	if isNew {
		verb = "create"
	}
	tx.start(doc.id, verb, "", func(tx *Tx) *Error {
		failure := tx.guarded(doc.id, func() *Error { return tx.finishWrite(doc.id, r.typ) })
		d.settled(tx, r, failure)
		return failure
	})
	return true
}

func (d *deployment) ended(r *deployed, failure *Error) {
	r.failure = failure
	if r.state = succeeded; failure != nil {
		r.state = failed
	}
}

// evaluate makes the body a PUT would have. A nested template is left as it is: it has a scope of its own.
func (d *deployment) evaluate(r *deployed, scope *template.Scope) (map[string]any, error) {
	source := maps.Clone(r.source)
	for _, k := range []string{"copy", "dependsOn", "condition", "resources", "apiVersion", "name", "type", "comments"} {
		delete(source, k)
	}
	var inner any
	if strings.EqualFold(r.typ.name, "Microsoft.Resources/deployments") {
		p, _ := at(source, "properties").(map[string]any)
		p = maps.Clone(p)
		inner = field(p, "template")
		delete(p, "template")
		source["properties"] = p
	}
	v, err := scope.Eval(source)
	if err != nil {
		return nil, err
	}
	body, _ := v.(map[string]any)
	if inner != nil {
		if !strings.EqualFold(text(body, "properties", "expressionEvaluationOptions", "scope"), "inner") { // outer is the service's default: the parent's parameters and variables
			if inner, err = outerScope(scope, inner); err != nil {
				return nil, err
			}
		}
		object(body, "properties")["template"] = inner
	}
	return body, nil
}

// outerScope evaluates a nested template's expressions with the scope around it, as templates without options have it.
func outerScope(scope *template.Scope, inner any) (any, error) {
	m, ok := inner.(map[string]any)
	if !ok {
		return inner, nil
	}
	if p, ok := at(m, "parameters").(map[string]any); ok && len(p) > 0 { // declared parameters mean a scope of its own
		return inner, nil
	}
	return scope.Eval(m)
}

// nest runs a deployment within this one.
func (d *deployment) nest(tx *Tx, r *deployed, body map[string]any) {
	inner, bad := d.all.prepare(tx.View, r.id, body)
	if bad != nil {
		d.ended(r, bad)
		return
	}
	inner.nested = func(tx *Tx, failure *Error) { d.settled(tx, r, failure) }
	inner.document(tx, "Running", nil)
	// It begins when this deployment's turn is over: it may end at once, and would go through this one's list while that is gone through.
	tx.start(r.id, "create", "", func(tx *Tx) *Error { inner.advance(tx); return nil })
}

// reference gives what a resource of the deployment, or of the subscription, has for properties.
func (d *deployment) reference(v View) func(ref string, full bool) (any, error) {
	return func(ref string, full bool) (any, error) {
		if own := d.needs(strings.ToLower(ref)); len(own) == 1 {
			if own[0].state == waiting || own[0].state == running {
				return nil, fmt.Errorf("%s: %w", own[0].name, template.ErrNotReady)
			}
			ref = own[0].id.String()
		}
		id, ok := ParseID(ref)
		if !ok {
			return nil, &template.Error{Message: fmt.Sprintf("The resource referenced in the template function 'reference' is not found: '%s'. Please see https://aka.ms/arm-function-reference for usage details.", ref)}
		}
		doc := v.get(id)
		if doc == nil {
			return nil, notFound(id)
		}
		if full {
			return doc.public(), nil
		}
		return at(doc.public(), "properties"), nil
	}
}

// end tells how it went.
func (d *deployment) end(tx *Tx) {
	d.over = true
	var details []Error
	left := 0
	for _, r := range d.resources {
		switch {
		case r.failure != nil:
			status := *r.failure
			details = append(details, Error{Code: status.Code, Message: status.Message, Target: status.Target, Details: status.Details})
		case r.state == waiting:
			left++
		}
	}
	var failure *Error
	switch {
	case len(details) > 0:
		failure = &Error{
			Status: http.StatusConflict, Code: "DeploymentFailed",
			Message: "At least one resource deployment operation failed. Please list deployment operations for details. Please see https://aka.ms/arm-deployment-operations for usage details.", Details: details,
		}
	case left > 0:
		failure = invalidTemplate("Circular dependency detected: references of %d resources wait for each other", left)
	}
	outputs := map[string]any{}
	if failure == nil {
		failure = guarded(func() (bad *Error) { outputs, bad = d.outputValues(tx.View); return bad })
	}
	state := succeeded
	if failure != nil {
		state = failed
	}
	d.document(tx, state, outputs, failure)
	d.all.running.Delete(d.id.key())
	if d.op != nil {
		tx.finish(d.op, failure)
	}
	if d.nested != nil {
		d.nested(tx, failure)
	}
}

func (d *deployment) outputValues(v View) (map[string]any, *Error) {
	scope := *d.scope
	scope.Reference = d.reference(v)
	out := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(d.outputs)) {
		value, err := scope.Eval(at(d.outputs, name, "value"))
		if err != nil {
			e := gatewayf(http.StatusBadRequest, "DeploymentOutputEvaluationFailed", "Unable to evaluate template outputs: '%s'. Please see error details and deployment operations. Please see https://aka.ms/arm-common-errors for usage details.", name)
			e.Details = []Error{{Code: "DeploymentOutputEvaluationFailed", Target: name, Message: fmt.Sprintf("The template output '%s' is not valid: %v.", name, err)}}
			return nil, e
		}
		out[name] = told(text(d.outputs, name, "type"), value)
	}
	return out, nil
}

// told is a parameter or an output as the deployment tells it afterwards: what is declared secure without its value.
func told(typ string, value any) map[string]any {
	out := map[string]any{"type": typ}
	if !secureType(out) {
		out["value"] = value
	}
	return out
}

// document writes the deployment's own resource.
func (d *deployment) document(tx *Tx, state string, outputs map[string]any, failure ...*Error) {
	now := tx.now()
	var made []any
	for _, r := range d.resources {
		if r.state == succeeded {
			made = append(made, map[string]any{"id": r.id.String()})
		}
	}
	values := map[string]any{}
	for k, v := range d.scope.Parameters {
		values[k] = told(text(d.declared, k, "type"), v)
	}
	p := map[string]any{
		"mode": "Incremental", "provisioningState": state, "timestamp": timestamp(now), "duration": "PT" + fmt.Sprintf("%.3f", now.Sub(d.begun).Seconds()) + "S",
		"correlationId": derived("deployment", d.id.String(), timestamp(d.begun)), "parameters": values, "outputResources": made,
	}
	if outputs != nil {
		p["outputs"] = outputs
	}
	for _, f := range failure {
		if f != nil {
			p["error"] = f.body()
		}
	}
	tx.put(d.id, map[string]any{"id": d.id.String(), "name": d.id.Name(), "type": "Microsoft.Resources/deployments", "properties": p, deploymentTag: d.operations()})
}

// deploymentTag is where a deployment's operations are kept with its document.
const deploymentTag = "drydockOperations"

func (d *deployment) operations() []any {
	out := []any{}
	for _, r := range d.resources {
		if r.state == waiting || r.state == skipped {
			continue
		}
		status := "OK"
		p := map[string]any{
			"provisioningOperation": "Create", "provisioningState": map[string]string{running: "Running", succeeded: succeeded, failed: failed}[r.state], "timestamp": timestamp(r.begun),
			"targetResource": map[string]any{"id": r.id.String(), "resourceType": r.typ.name, "resourceName": r.name}, "trackingId": derived("track", r.id.String()),
		}
		if r.failure != nil {
			status = http.StatusText(r.failure.Status)
			p["statusMessage"] = map[string]any{"error": r.failure.body()}
		}
		p["statusCode"] = strings.ReplaceAll(status, " ", "")
		op := derived("operation", d.id.String(), r.id.String())
		op = strings.ToUpper(strings.ReplaceAll(op, "-", ""))[:16]
		out = append(out, map[string]any{"id": d.id.String() + "/operations/" + op, "operationId": op, "properties": p})
	}
	return out
}

func showDeploymentOperations(v View, id ID) map[string]any {
	doc := v.get(id.top(1))
	if doc == nil {
		return nil
	}
	list, _ := doc.hidden[deploymentTag].([]any)
	if len(id.Names) > 1 {
		i := slices.IndexFunc(list, func(x any) bool { return strings.EqualFold(text(x, "operationId"), id.Name()) })
		if i < 0 {
			return nil
		}
		op, _ := list[i].(map[string]any)
		return op
	}
	return map[string]any{"value": list}
}
