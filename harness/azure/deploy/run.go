package deploy

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/deploy/template"
	"drydock.dev/drydock/harness/azure/resource"
)

// advance starts every resource whose dependencies are done, and ends the deployment when nothing is left to do. It is called when it begins
// and whenever an operation of its own has ended, so that it takes as long as its resources do.
func (d *deployment) advance(tx *resource.Tx) {
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
func (d *deployment) cancel(tx *resource.Tx) {
	d.over = true
	d.document(tx, arm.Canceled, nil)
}

// settled notes that a resource's own operation has ended, and goes on.
func (d *deployment) settled(tx *resource.Tx, r *deployed, failure *arm.Error) {
	d.ended(r, failure)
	d.advance(tx)
}

func (d *deployment) ready(r *deployed) bool {
	for _, dep := range r.depends {
		for _, n := range d.needs(dep) {
			if n != r && n.state != arm.Succeeded && n.state != skipped {
				return false
			}
		}
	}
	return true
}

// start begins with a resource. One that refers to another that is not there yet waits for it; false: it does.
func (d *deployment) start(tx *resource.Tx, r *deployed) (begun bool) {
	if failure := arm.Guarded(func() *arm.Error { begun = d.put(tx, r); return nil }); failure != nil {
		d.ended(r, failure)
		return true
	}
	return begun
}

// put makes the resource, or begins to.
func (d *deployment) put(tx *resource.Tx, r *deployed) bool {
	scope := *r.scope
	scope.Reference = d.reference(tx.View)
	body, err := d.evaluate(r, &scope)
	if errors.Is(err, template.ErrNotReady) {
		return false
	}
	r.begun, r.state = tx.Now(), running
	if err != nil {
		d.ended(r, templateError(err, r.id.String()))
		return true
	}
	if strings.EqualFold(r.typ.Name, "Microsoft.Resources/deployments") {
		d.nest(tx, r, body)
		return true
	}
	refused, fails := tx.Inject(r.typ, r.id, body)
	if refused != nil {
		d.ended(r, refused)
		return true
	}
	doc, isNew, bad := tx.Replace(r.id, r.typ, body)
	if bad != nil {
		d.ended(r, bad)
		return true
	}
	if tx.Immediate(r.typ.Name) {
		d.ended(r, tx.FinishWrite(doc.ID, r.typ))
		return true
	}
	verb := "update"
	if isNew {
		verb = "create"
	}
	finish := func(tx *resource.Tx) *arm.Error { return tx.FinishWrite(doc.ID, r.typ) }
	if fails != nil {
		if failure := fails(); failure != nil {
			finish = func(tx *resource.Tx) *arm.Error { tx.SetState(doc.ID, arm.Failed); return failure }
		}
	}
	tx.Start(doc.ID, verb, "", func(tx *resource.Tx) *arm.Error {
		failure := tx.Guarded(doc.ID, func() *arm.Error { return finish(tx) })
		d.settled(tx, r, failure)
		return failure
	})
	return true
}

func (d *deployment) ended(r *deployed, failure *arm.Error) {
	r.failure = failure
	if r.state = arm.Succeeded; failure != nil {
		r.state = arm.Failed
	}
}

// evaluate makes the body a PUT would have. A nested template is left as it is: it has a scope of its own.
func (d *deployment) evaluate(r *deployed, scope *template.Scope) (map[string]any, error) {
	source := maps.Clone(r.source)
	for _, k := range []string{"copy", "dependsOn", "condition", "resources", "apiVersion", "name", "type", "comments"} {
		delete(source, k)
	}
	var inner any
	if strings.EqualFold(r.typ.Name, "Microsoft.Resources/deployments") {
		p, _ := arm.At(source, "properties").(map[string]any)
		p = maps.Clone(p)
		inner = arm.Field(p, "template")
		delete(p, "template")
		source["properties"] = p
	}
	v, err := scope.Eval(source)
	if err != nil {
		return nil, err
	}
	body, _ := v.(map[string]any)
	if inner != nil {
		if !strings.EqualFold(arm.Text(body, "properties", "expressionEvaluationOptions", "scope"), "inner") { // outer is the service's default: the parent's parameters and variables
			if inner, err = outerScope(scope, inner); err != nil {
				return nil, err
			}
		}
		arm.Object(body, "properties")["template"] = inner
	}
	return body, nil
}

// outerScope evaluates a nested template's expressions with the scope around it, as templates without options have it.
func outerScope(scope *template.Scope, inner any) (any, error) {
	m, ok := inner.(map[string]any)
	if !ok {
		return inner, nil
	}
	if p, ok := arm.At(m, "parameters").(map[string]any); ok && len(p) > 0 { // declared parameters mean a scope of its own
		return inner, nil
	}
	return scope.Eval(m)
}

// nest runs a deployment within this one.
func (d *deployment) nest(tx *resource.Tx, r *deployed, body map[string]any) {
	inner, bad := d.all.prepare(tx.View, r.id, body)
	if bad != nil {
		d.ended(r, bad)
		return
	}
	inner.nested = func(tx *resource.Tx, failure *arm.Error) { d.settled(tx, r, failure) }
	inner.document(tx, "Running", nil)
	// It begins when this deployment's turn is over: it may end at once, and would go through this one's list while that is gone through.
	tx.Start(r.id, "create", "", func(tx *resource.Tx) *arm.Error { inner.advance(tx); return nil })
}

// reference gives what a resource of the deployment, or of the subscription, has for properties.
func (d *deployment) reference(v resource.View) func(ref string, full bool) (any, error) {
	return func(ref string, full bool) (any, error) {
		if own := d.needs(strings.ToLower(ref)); len(own) == 1 {
			if own[0].state == waiting || own[0].state == running {
				return nil, fmt.Errorf("%s: %w", own[0].name, template.ErrNotReady)
			}
			ref = own[0].id.String()
		}
		id, ok := arm.ParseID(ref)
		if !ok {
			return nil, &template.Error{Message: fmt.Sprintf("The resource referenced in the template function 'reference' is not found: '%s'. Please see https://aka.ms/arm-function-reference for usage details.", ref)}
		}
		doc := v.Get(id)
		if doc == nil {
			return nil, arm.NotFound(id)
		}
		if full {
			return doc.Public(), nil
		}
		return arm.At(doc.Public(), "properties"), nil
	}
}

// end tells how it went.
func (d *deployment) end(tx *resource.Tx) {
	d.over = true
	var details []arm.Error
	left := 0
	for _, r := range d.resources {
		switch {
		case r.failure != nil:
			status := *r.failure
			details = append(details, arm.Error{Code: status.Code, Message: status.Message, Target: status.Target, Details: status.Details})
		case r.state == waiting:
			left++
		}
	}
	var failure *arm.Error
	switch {
	case len(details) > 0:
		failure = &arm.Error{
			Status: http.StatusConflict, Code: "DeploymentFailed",
			Message: "At least one resource deployment operation failed. Please list deployment operations for details. Please see https://aka.ms/arm-deployment-operations for usage details.", Details: details,
		}
	case left > 0:
		failure = invalidTemplate("Circular dependency detected: references of %d resources wait for each other", left)
	}
	if d.fails != nil && failure == nil {
		failure = d.fails()
	}
	outputs := map[string]any{}
	if failure == nil {
		failure = arm.Guarded(func() (bad *arm.Error) { outputs, bad = d.outputValues(tx.View); return bad })
	}
	state := arm.Succeeded
	if failure != nil {
		state = arm.Failed
	}
	d.document(tx, state, outputs, failure)
	d.all.running.Delete(d.id.Key())
	if d.op != nil {
		tx.Finish(d.op, failure)
	}
	if d.nested != nil {
		d.nested(tx, failure)
	}
}

func (d *deployment) outputValues(v resource.View) (map[string]any, *arm.Error) {
	scope := *d.scope
	scope.Reference = d.reference(v)
	out := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(d.outputs)) {
		value, err := scope.Eval(arm.At(d.outputs, name, "value"))
		if err != nil {
			e := arm.Gatewayf(http.StatusBadRequest, "DeploymentOutputEvaluationFailed", "Unable to evaluate template outputs: '%s'. Please see error details and deployment operations. Please see https://aka.ms/arm-common-errors for usage details.", name)
			e.Details = []arm.Error{{Code: "DeploymentOutputEvaluationFailed", Target: name, Message: fmt.Sprintf("The template output '%s' is not valid: %v.", name, err)}}
			return nil, e
		}
		out[name] = told(arm.Text(d.outputs, name, "type"), value)
	}
	return out, nil
}

// told is a parameter or an output as the deployment tells it afterwards: what is declared secure without its value.
func told(typ string, value any) map[string]any {
	out := map[string]any{"type": typ}
	if !arm.Secure(out) {
		out["value"] = value
	}
	return out
}

// document writes the deployment's own resource.
func (d *deployment) document(tx *resource.Tx, state string, outputs map[string]any, failure ...*arm.Error) {
	now := tx.Now()
	var made []any
	for _, r := range d.resources {
		if r.state == arm.Succeeded {
			made = append(made, map[string]any{"id": r.id.String()})
		}
	}
	values := map[string]any{}
	for k, v := range d.scope.Parameters {
		values[k] = told(arm.Text(d.declared, k, "type"), v)
	}
	p := map[string]any{
		"mode": "Incremental", "provisioningState": state, "timestamp": arm.Timestamp(now), "duration": "PT" + fmt.Sprintf("%.3f", now.Sub(d.begun).Seconds()) + "S",
		"correlationId": arm.Derived("deployment", d.id.String(), arm.Timestamp(d.begun)), "parameters": values, "outputResources": made,
	}
	if outputs != nil {
		p["outputs"] = outputs
	}
	for _, f := range failure {
		if f != nil {
			p["error"] = f.Body()
		}
	}
	tx.Put(d.id, map[string]any{"id": d.id.String(), "name": d.id.Name(), "type": "Microsoft.Resources/deployments", "properties": p, deploymentTag: d.operations()})
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
			"provisioningOperation": "Create", "provisioningState": map[string]string{running: "Running", arm.Succeeded: arm.Succeeded, arm.Failed: arm.Failed}[r.state], "timestamp": arm.Timestamp(r.begun),
			"targetResource": map[string]any{"id": r.id.String(), "resourceType": r.typ.Name, "resourceName": r.name}, "trackingId": arm.Derived("track", r.id.String()),
		}
		if r.failure != nil {
			status = http.StatusText(r.failure.Status)
			p["statusMessage"] = map[string]any{"error": r.failure.Body()}
		}
		p["statusCode"] = strings.ReplaceAll(status, " ", "")
		op := arm.Derived("operation", d.id.String(), r.id.String())
		op = strings.ToUpper(strings.ReplaceAll(op, "-", ""))[:16]
		out = append(out, map[string]any{"id": d.id.String() + "/operations/" + op, "operationId": op, "properties": p})
	}
	return out
}

func showDeploymentOperations(v resource.View, id arm.ID) map[string]any {
	doc := v.Get(id.Top(1))
	if doc == nil {
		return nil
	}
	list, _ := doc.Hidden[deploymentTag].([]any)
	if len(id.Names) > 1 {
		i := slices.IndexFunc(list, func(x any) bool { return strings.EqualFold(arm.Text(x, "operationId"), id.Name()) })
		if i < 0 {
			return nil
		}
		op, _ := list[i].(map[string]any)
		return op
	}
	return map[string]any{"value": list}
}
