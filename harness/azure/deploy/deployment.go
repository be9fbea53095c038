// Package deploy runs deployments of templates: a type of resource whose operation makes others, in their order, by the engine that answers calls. The
// expressions are template's.
package deploy

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/deploy/template"
	"drydock.dev/drydock/harness/azure/resource"
	"drydock.dev/drydock/harness/azure/state"
)

// Types are deployments of templates, in a resource group, and what they have done.
func Types() []*resource.Type {
	const ns = "Microsoft.Resources/deployments"
	ds := &deployments{}
	return []*resource.Type{
		{Name: ns, Put: ds.put, Actions: map[string]resource.Action{"validate": {Now: ds.validate, Anew: true}, "cancel": {Now: ds.cancel}}},
		{Name: ns + "/operations", Show: showDeploymentOperations},
	}
}

// deployments are those that run.
type deployments struct{ running sync.Map } // key -> *deployment

// maxDeployments is how many a resource group keeps (taskcluster#8387 has the error).
const maxDeployments = 800

// deployment is one that runs.
type deployment struct {
	all       *deployments
	id        arm.ID
	scope     *template.Scope
	resources []*deployed
	outputs   map[string]any
	declared  map[string]any // parameters, as the template has them
	op        *state.Operation
	begun     time.Time
	nested    func(*resource.Tx, *arm.Error) // told when it ends, of a nested one
	fails     func() *arm.Error              // by a fault: how it ends, though all of it was made
	over      bool
}

// The states of a resource within a deployment.
const (
	waiting = "waiting"
	running = "running"
	skipped = "skipped"
)

// deployed is a resource of a template, one for each turn of its loop.
type deployed struct {
	source  map[string]any
	scope   *template.Scope
	name    string // as the template has it, with the names of its parents
	id      arm.ID
	typ     *resource.Type
	depends []string // ids in lower case, or names
	loop    string   // the name of its copy, others may depend on all of it
	state   string
	failure *arm.Error
	begun   time.Time
}

func invalidTemplate(format string, args ...any) *arm.Error {
	return arm.Gatewayf(http.StatusBadRequest, "InvalidTemplate", "Deployment template validation failed: '%s'.", fmt.Sprintf(format, args...))
}

// templateError is a template's mistake as the service tells it, with the resource it is of.
func templateError(err error, of string) *arm.Error {
	var e *arm.Error
	if errors.As(err, &e) {
		return e
	}
	if of == "" {
		return invalidTemplate("%s", err)
	}
	return arm.Gatewayf(http.StatusBadRequest, "InvalidTemplate", "Unable to process template language expressions for resource '%s' at line '1' and column '1'. '%s'", of, err)
}

func (ds *deployments) put(tx *resource.Tx, r *resource.Request, body map[string]any) *arm.Error {
	if r.Method != http.MethodPut {
		return arm.NotAllowed(r.Request)
	}
	old := tx.Get(r.ID)
	if op, active := tx.Running(r.ID); active {
		return arm.Gatewayf(http.StatusConflict, "DeploymentActive", "Unable to edit or replace deployment '%s': previous deployment from '%s' is still active. Please see https://aka.ms/arm-deploy for usage details.",
			r.ID.Name(), op.Begun.UTC().Format("1/2/2006 3:04:05 PM"))
	}
	all := r.ID
	all.Names = nil
	if docs, _ := tx.List(all, "", maxDeployments+1); old == nil && len(docs) >= maxDeployments {
		return arm.Gatewayf(http.StatusConflict, "DeploymentQuotaExceeded",
			"Creating the deployment '%s' would exceed the quota of '%d'. The current deployment count is '%d'. Please delete some deployments before creating a new one, or see https://aka.ms/arm-deploy for information on managing deployment limits.",
			r.ID.Name(), maxDeployments, len(docs))
	}
	d, bad := ds.prepare(tx.View, r.ID, body)
	if bad != nil {
		return bad
	}
	d.fails = r.Fails
	d.op = tx.Begin(r, r.ID, "create", "", nil)
	tx.Hold(d.op)
	d.document(tx, "Running", nil)
	ds.running.Store(d.id.Key(), d)
	d.advance(tx)
	status := http.StatusOK
	if old == nil {
		status = http.StatusCreated
	}
	r.AnswerRaw(status, tx.Get(r.ID).Raw)
	return nil
}

func (ds *deployments) validate(tx *resource.Tx, r *resource.Request, body map[string]any) (map[string]any, *arm.Error) {
	d, bad := ds.prepare(tx.View, r.ID.Parent(), body)
	if bad != nil {
		return nil, bad
	}
	return map[string]any{"id": d.id.String(), "name": d.id.Name(), "type": "Microsoft.Resources/deployments", "properties": map[string]any{"provisioningState": arm.Succeeded, "mode": "Incremental"}}, nil
}

func (ds *deployments) cancel(tx *resource.Tx, r *resource.Request, _ map[string]any) (map[string]any, *arm.Error) {
	id := r.ID.Parent()
	if !tx.Cancel(id) {
		return nil, arm.Gatewayf(http.StatusConflict, "DeploymentCannotBeCancelled", "The deployment '%s' cannot be cancelled because it is not running.", id.Name())
	}
	if d, ok := ds.running.Load(id.Key()); ok {
		d.(*deployment).cancel(tx) //nolint:forcetypeassert // nothing else is stored
	}
	return map[string]any{}, nil
}

// prepare reads a deployment's template and finds everything that is wrong before anything is made.
func (ds *deployments) prepare(v resource.View, id arm.ID, body map[string]any) (*deployment, *arm.Error) {
	p, _ := arm.At(body, "properties").(map[string]any)
	if p == nil {
		return nil, arm.Gatewayf(http.StatusBadRequest, "InvalidRequestContent", "The request content was invalid: the property 'properties' is missing.")
	}
	if mode := arm.Text(p, "mode"); !strings.EqualFold(mode, "Incremental") && mode != "" {
		return nil, arm.Gatewayf(http.StatusBadRequest, "InvalidDeploymentMode", "The deployment mode '%s' is not one of the twin's: Incremental.", mode)
	}
	tpl, _ := arm.At(p, "template").(map[string]any)
	if tpl == nil {
		return nil, arm.Gatewayf(http.StatusBadRequest, "InvalidTemplate", "Deployment template validation failed: 'The template is missing; templateLink is not one of the twin's'.")
	}
	d := &deployment{all: ds, id: id, begun: v.Now()}
	group := v.Get(arm.GroupID(id))
	if group == nil {
		return nil, arm.NotFound(arm.GroupID(id))
	}
	scope := &template.Scope{
		Variables:     map[string]any{},
		Subscription:  map[string]any{"id": "/subscriptions/" + id.Subscription, "subscriptionId": id.Subscription, "tenantId": v.Tenant(), "displayName": "Drydock"},
		ResourceGroup: group.Public(), Deployment: map[string]any{"name": id.Name(), "properties": map[string]any{"mode": "Incremental", "template": map[string]any{"contentVersion": arm.Text(tpl, "contentVersion")}}},
		ResourceID: d.resourceID,
	}
	d.scope = scope
	if variables, ok := arm.At(tpl, "variables").(map[string]any); ok {
		scope.Variables = variables
	}
	var bad *arm.Error
	given, _ := arm.At(p, "parameters").(map[string]any)
	d.declared, _ = arm.At(tpl, "parameters").(map[string]any)
	if scope.Parameters, bad = parameters(scope, d.declared, given); bad != nil {
		return nil, bad
	}
	if err := scope.Check(map[string]any(scope.Variables)); err != nil {
		return nil, templateError(err, "")
	}
	d.outputs, _ = arm.At(tpl, "outputs").(map[string]any)
	if err := scope.Check(d.outputs); err != nil {
		return nil, templateError(err, "")
	}
	list, _ := arm.At(tpl, "resources").([]any)
	if bad := d.expand(v, list, nil, ""); bad != nil {
		return nil, bad
	}
	return d, d.order()
}

// resourceID is the function of that name: the deployment's own subscription and group unless others are named.
func (d *deployment) resourceID(subscription, group, typ string, names []string) (string, error) {
	id := arm.ID{Subscription: d.id.Subscription, ResourceGroup: d.id.ResourceGroup, Names: names}
	if subscription != "" {
		id.Subscription = subscription
	}
	if group != "" {
		id.ResourceGroup = group
	}
	parts := strings.Split(typ, "/")
	id.Provider, id.Types = parts[0], parts[1:]
	return id.String(), nil
}

// expand lists the resources of a template: loops unrolled, conditions evaluated, children of resources beside them.
func (d *deployment) expand(v resource.View, list []any, parent *deployed, parentType string) *arm.Error {
	for _, x := range list {
		source, ok := x.(map[string]any)
		if !ok {
			return invalidTemplate("The template resource is no object")
		}
		turns, loop := 1, arm.Text(source, "copy", "name")
		if c := arm.At(source, "copy"); c != nil {
			var err error
			if turns, err = d.scope.Count(arm.At(c, "count")); err != nil {
				return templateError(err, "")
			}
		}
		for i := range turns {
			scope := d.scope
			if parent != nil {
				scope = parent.scope
			}
			if arm.At(source, "copy") != nil {
				scope = scope.Loop(loop, i)
			}
			if bad := d.add(v, source, scope, loop, parent, parentType); bad != nil {
				return bad
			}
		}
	}
	return nil
}

func (d *deployment) add(v resource.View, source map[string]any, scope *template.Scope, loop string, parent *deployed, parentType string) *arm.Error {
	get := func(name string) (string, *arm.Error) {
		v, err := scope.Eval(arm.At(source, name))
		if err != nil {
			return "", templateError(err, arm.Text(source, "name"))
		}
		s, ok := v.(string)
		if !ok || s == "" {
			return "", invalidTemplate("The template resource property '%s' is not a string that is not empty", name)
		}
		return s, nil
	}
	name, bad := get("name")
	if bad != nil {
		return bad
	}
	typ, bad := get("type")
	if bad != nil {
		return bad
	}
	if parent != nil && !strings.Contains(typ, ".") { // a child within its parent
		typ, name = parentType+"/"+typ, parent.name+"/"+name
	}
	if arm.Text(source, "apiVersion") == "" {
		return invalidTemplate("The template resource '%s' at line '1' and column '1' is not valid. The api-version is missing. Please see https://aka.ms/arm-syntax-resources for usage details.", name)
	}
	names := strings.Split(name, "/")
	if strings.Count(typ, "/") != len(names) {
		return invalidTemplate("The template resource '%s' for type '%s' at line '1' and column '1' has incorrect segment lengths. A nested resource type must have identical number of segments as its resource name. A root resource type must have segment length one greater than its resource name. Please see https://aka.ms/arm-syntax-resources for usage details.", name, typ)
	}
	path, _ := d.resourceID("", "", typ, names)
	id, _ := arm.ParseID(path)
	r := &deployed{source: source, scope: scope, name: name, id: id, loop: loop, state: waiting, typ: v.TypeNamed(typ)}
	if r.typ == nil {
		return arm.Gatewayf(http.StatusBadRequest, "InvalidTemplate", "Deployment template validation failed: 'The resource type '%s' could not be found in the namespace '%s''.", typ, id.Provider)
	}
	if c := arm.At(source, "condition"); c != nil {
		v, err := scope.Eval(c)
		if err != nil {
			return templateError(err, name)
		}
		if b, ok := v.(bool); ok && !b {
			r.state = skipped
		}
	}
	if strings.EqualFold(typ, "Microsoft.Resources/deployments") { // a template within it has a scope of its own
		if err := scope.Check(arm.At(source, "properties", "parameters")); err != nil {
			return templateError(err, name)
		}
	} else if err := scope.Check(map[string]any{"properties": arm.At(source, "properties"), "location": arm.At(source, "location"), "tags": arm.At(source, "tags")}); err != nil {
		return templateError(err, name)
	}
	depends, _ := arm.At(source, "dependsOn").([]any)
	for _, x := range depends {
		v, err := scope.Eval(x)
		if err != nil {
			return templateError(err, name)
		}
		r.depends = append(r.depends, strings.ToLower(fmt.Sprint(v)))
	}
	if parent != nil {
		r.depends = append(r.depends, parent.id.Key())
	}
	for _, other := range d.resources {
		if other.id.Key() == id.Key() {
			return invalidTemplate("The resource '%s' at line '1' and column '1' is defined multiple times in a template. Please see https://aka.ms/arm-syntax-resources for usage details.", id)
		}
	}
	d.resources = append(d.resources, r)
	if inner, ok := arm.At(source, "resources").([]any); ok {
		return d.expand(v, inner, r, typ)
	}
	return nil
}

// needs are the resources a dependency means: one by id or name, or all of a loop.
func (d *deployment) needs(dependency string) []*deployed {
	var out []*deployed
	for _, r := range d.resources {
		full := strings.ToLower(r.typ.Name + "/" + r.name)
		if r.id.Key() == dependency || strings.EqualFold(r.name, dependency) || full == dependency || r.loop != "" && strings.EqualFold(r.loop, dependency) {
			out = append(out, r)
		}
	}
	return out
}

// order proves that everything has a turn: dependencies exist and there is no circle of them.
func (d *deployment) order() *arm.Error {
	done := map[*deployed]bool{}
	for len(done) < len(d.resources) {
		progress := false
		for _, r := range d.resources {
			if done[r] {
				continue
			}
			ready := true
			for _, dep := range r.depends {
				needs := d.needs(dep)
				if len(needs) == 0 {
					return invalidTemplate("The resource '%s' is not defined in the template. Please see https://aka.ms/arm-syntax for usage details. (dependency of '%s')", dep, r.name)
				}
				for _, n := range needs {
					ready = ready && (done[n] || n == r)
				}
			}
			if ready {
				done[r], progress = true, true
			}
		}
		if !progress {
			var left []string
			for _, r := range d.resources {
				if !done[r] {
					left = append(left, r.id.String())
				}
			}
			return invalidTemplate("Circular dependency detected on resource: '%s'. Please see https://aka.ms/arm-syntax-resources for usage details.", strings.Join(left, ", "))
		}
	}
	return nil
}
