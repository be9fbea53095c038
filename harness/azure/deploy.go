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
func (d *deployment) advance() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return
	}
	for {
		progress := false
		for _, r := range d.resources {
			if r.state == waiting && d.ready(r) && d.start(r) {
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
	d.end()
}

// cancel starts nothing more; what runs goes on.
func (d *deployment) cancel() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
	d.document(canceled, nil)
}

// settled notes that a resource's own operation has ended, and goes on.
func (d *deployment) settled(r *deployed, failure *Error) {
	d.mu.Lock()
	d.ended(r, failure)
	d.mu.Unlock()
	d.advance()
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
func (d *deployment) start(r *deployed) (begun bool) {
	if failure := guarded(func() *Error { begun = d.put(r); return nil }); failure != nil {
		d.ended(r, failure)
		return true
	}
	return begun
}

// put makes the resource, or begins to.
func (d *deployment) put(r *deployed) bool {
	scope := *r.scope
	scope.Reference = d.reference
	body, err := d.evaluate(r, &scope)
	if errors.Is(err, template.ErrNotReady) {
		return false
	}
	r.begun, r.state = d.twin.clock.Now(), running
	if err != nil {
		d.ended(r, templateError(err, r.id.String()))
		return true
	}
	if strings.EqualFold(r.typ.name, "Microsoft.Resources/deployments") {
		d.nest(r, body)
		return true
	}
	doc, isNew, bad := d.twin.write(r.id, r.typ, body)
	if bad != nil {
		d.ended(r, bad)
		return true
	}
	if d.twin.ops.immediate(r.typ.name) {
		d.ended(r, d.twin.finishWrite(doc.id, r.typ))
		return true
	}
	verb := "update"
	if isNew {
		verb = "create"
	}
	d.twin.ops.start(doc.id, verb, "", func() *Error {
		failure := d.twin.guarded(doc.id, func() *Error { return d.twin.finishWrite(doc.id, r.typ) })
		d.settled(r, failure)
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
func (d *deployment) nest(r *deployed, body map[string]any) {
	inner, bad := d.twin.prepare(r.id, body)
	if bad != nil {
		d.ended(r, bad)
		return
	}
	inner.nested = func(failure *Error) { d.settled(r, failure) }
	inner.document("Running", nil)
	// It begins when this deployment's turn is over: it may end at once, and would go through this one's list while that is gone through.
	d.twin.ops.start(r.id, "create", "", func() *Error { inner.advance(); return nil })
}

// reference gives what a resource of the deployment, or of the subscription, has for properties.
func (d *deployment) reference(ref string, full bool) (any, error) {
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
	doc := d.twin.store.get(id)
	if doc == nil {
		return nil, notFound(id)
	}
	if full {
		return doc.public(), nil
	}
	return at(doc.public(), "properties"), nil
}

// end tells how it went.
func (d *deployment) end() {
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
		failure = guarded(func() (bad *Error) { outputs, bad = d.outputValues(); return bad })
	}
	state := succeeded
	if failure != nil {
		state = failed
	}
	d.document(state, outputs, failure)
	d.twin.deployments.Delete(d.id.key())
	if d.op != nil {
		d.twin.ops.finish(d.op, failure)
	}
	if d.nested != nil {
		d.nested(failure)
	}
}

func (d *deployment) outputValues() (map[string]any, *Error) {
	scope := *d.scope
	scope.Reference = d.reference
	out := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(d.outputs)) {
		v, err := scope.Eval(at(d.outputs, name, "value"))
		if err != nil {
			e := gatewayf(http.StatusBadRequest, "DeploymentOutputEvaluationFailed", "Unable to evaluate template outputs: '%s'. Please see error details and deployment operations. Please see https://aka.ms/arm-common-errors for usage details.", name)
			e.Details = []Error{{Code: "DeploymentOutputEvaluationFailed", Target: name, Message: fmt.Sprintf("The template output '%s' is not valid: %v.", name, err)}}
			return nil, e
		}
		out[name] = told(text(d.outputs, name, "type"), v)
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
func (d *deployment) document(state string, outputs map[string]any, failure ...*Error) {
	now := d.twin.clock.Now()
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
	d.twin.store.put(d.id, map[string]any{"id": d.id.String(), "name": d.id.Name(), "type": "Microsoft.Resources/deployments", "properties": p, deploymentTag: d.operations()})
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

func showDeploymentOperations(t *Twin, id ID) map[string]any {
	doc := t.store.get(id.top(1))
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
