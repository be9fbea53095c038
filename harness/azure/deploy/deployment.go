// Package deploy runs deployments of templates: a type of resource whose operation makes others, in their order, by the engine that answers calls. The
// expressions are template's.
package deploy

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/deploy/template"
	"drydock.dev/drydock/harness/azure/resource"
	"drydock.dev/drydock/harness/azure/state"
)

// Draw takes what a call that a deployment makes by itself costs of its caller's budgets at the resource provider, as if the caller made it: zero, or how
// long to wait before it may be made, with what the provider answers until then. The location is that of the resource; empty: it has none.
type Draw func(caller arm.Call, operation string, id arm.ID, location string) (time.Duration, *arm.Error)

const typeName = "Microsoft.Resources/deployments"

// Types are deployments of templates, in a resource group and in a subscription, and what they have done. draw may be nil: they cost nothing; and so may download: nothing is to be had from elsewhere.
func Types(draw Draw, download Download) []*resource.Type {
	if draw == nil {
		draw = func(arm.Call, string, arm.ID, string) (time.Duration, *arm.Error) { return 0, nil }
	}
	if download == nil {
		download = noDownload
	}
	ds := &deployments{draw: draw, download: download}
	return []*resource.Type{
		{Name: typeName, Absent: arm.Absence{Code: "DeploymentNotFound", Format: "Deployment '%s' could not be found."}, Own: true, Lenient: true, No: resource.Patches, Put: ds.put, Held: ds.held, Gone: ds.gone, Save: ds.save, Resume: ds.resume, Actions: map[string]resource.Action{
			"validate": {Now: ds.validate, Anew: true}, "whatif": {Now: ds.whatIf, Anew: true}, "cancel": {Now: ds.cancel, Code: http.StatusNoContent}, "exporttemplate": {Now: exportDeployment},
		}},
		{Name: typeName + "/operations", Show: ds.operations},
		{Name: "Microsoft.Resources/calculateTemplateHash", In: resource.InTenant, Lenient: true, No: resource.Every | resource.Reads, Actions: map[string]resource.Action{"calculatetemplatehash": {Now: calculateHash, Anew: true}}},
		{Name: "exportTemplate", No: resource.Every | resource.Reads, Actions: map[string]resource.Action{"exporttemplate": {Now: exportGroup, Anew: true}}}, // of a resource group, which is in the path
		{Name: "deployments/operations", Show: ds.operations}, // the path that SDKs list them by has no provider in it
	}
}

// deployments are those that run.
type deployments struct {
	draw     Draw
	download Download
	running  sync.Map // key -> *deployment
	secrets  sync.Map // key -> values of the secure parameters of one that succeeded, for another that fails: map[string]any
}

func (ds *deployments) find(id arm.ID) *deployment {
	v, _ := ds.running.Load(id.Key())
	d, _ := v.(*deployment)
	return d
}

// deployment is one that runs.
type deployment struct {
	all      *deployments
	id       arm.ID
	caller   arm.Call
	location string // of one in a subscription
	mode     string
	tags     map[string]any
	base     string // see asked

	link, parametersLink map[string]any

	debug   string   // what is told of requests and responses: debugSetting.detailLevel
	onError *onError // what is deployed when it fails
	tpl     *template.Template
	scope   *template.Scope
	graph
	op       *state.Operation
	begun    time.Time
	around   []string                       // what is secure in the deployments around it
	nested   func(*resource.Tx, *arm.Error) // told when it ends, of a nested one
	fails    func() *arm.Error              // by a fault: how it ends, though all of it was made
	hash     string                         // of its template
	ran      map[string]kept                // of one that another process began: those within it that ran
	outer    bool                           // its template was evaluated in the scope of the one around it
	over     atomic.Bool                    // asked by what is nested in it, in whichever subscription that is
	removing *removal                       // of complete mode

	mu sync.Mutex // over what resources are at: whoever lists operations reads it
}

// complete says whether what the template does not name is deleted.
func (d *deployment) complete() bool { return d.mode == "Complete" }

// invalidTemplate is a template's mistake, of what stands somewhere in it; the zero place: of no part of it.
func invalidTemplate(at template.Place, format string, args ...any) *arm.Error {
	return violation(at, "Deployment template validation failed: '%s'.", fmt.Sprintf(format, args...))
}

func violation(at template.Place, format string, args ...any) *arm.Error {
	e := arm.Gatewayf(http.StatusBadRequest, "InvalidTemplate", format, args...)
	e.Where = &arm.Violation{Line: at.Line, Column: at.Column, Path: at.Path}
	return e
}

func invalidContent(at template.Source, path, format string, args ...any) *arm.Error {
	p := at.Place()
	return arm.Gatewayf(http.StatusBadRequest, "InvalidRequestContent", "The request content was invalid and could not be deserialized: '%s Path '%s', line %d, position %d.'.", fmt.Sprintf(format, args...), path, p.Line, p.Column)
}

// invalid is a mistake of a resource.
func (r *deployed) invalid(format string, args ...any) *arm.Error {
	return invalidTemplate(r.at.Place(), format, args...)
}

// templateError is a template's mistake as the service tells it, with the resource it is of, and where that stands.
func templateError(err error, of string, at template.Place) *arm.Error {
	var e *arm.Error
	if errors.As(err, &e) {
		return e
	}
	var mistake *template.Error
	if errors.As(err, &mistake) && mistake.At != (template.Place{}) {
		at = mistake.At
	}
	switch {
	case mistake != nil && mistake.Parse:
		return violation(at, "Deployment template parse failed: '%s'.", err)
	case of == "":
		return invalidTemplate(at, "%s", err)
	default:
		return violation(at, "Unable to process template language expressions for resource '%s' %s. '%s'", of, at, err)
	}
}

func (ds *deployments) put(tx *resource.Tx, r *resource.Request, body map[string]any) *arm.Error {
	if r.Method != http.MethodPut {
		return arm.NotAllowed(r.Request)
	}
	a := sent(r, body)
	if bad := ds.resolve(tx, &a); bad != nil {
		return bad
	}
	old := tx.Get(r.ID)
	if op, active := tx.Running(r.ID); active {
		return stillActive(r.ID, op.Begun)
	}
	if at := ds.find(r.ID); at != nil { // within another, it has no operation of its own
		return stillActive(r.ID, at.begun)
	}
	if n := ds.groom(tx, r.ID); old == nil && n >= maxDeployments {
		return tooMany(r.ID, n)
	}
	d, bad := ds.ready(tx, r.ID, *r.Call, a)
	if bad != nil {
		return bad
	}
	d.fails = r.Fails
	d.op = tx.Begin(r, r.ID, "create", d.location)
	tx.Hold(d.op)
	d.document(tx, "Running", nil, nil)
	ds.running.Store(d.id.Key(), d)
	d.advance(tx)
	status := http.StatusOK
	if old == nil {
		status = http.StatusCreated
	}
	r.AnswerRaw(status, tx.Get(r.ID).Raw)
	return nil
}

// stillActive is the answer to a change of a deployment that runs.
func stillActive(id arm.ID, begun time.Time) *arm.Error {
	return arm.Gatewayf(http.StatusConflict, "DeploymentActive", "Unable to edit or replace deployment '%s': previous deployment from '%s' is still active. Please see https://aka.ms/arm-deploy for usage details.",
		id.Name(), begun.UTC().Format("1/2/2006 3:04:05 PM"))
}

func (ds *deployments) validate(tx *resource.Tx, r *resource.Request, body map[string]any) (map[string]any, *arm.Error) {
	a := sent(r, body)
	if bad := ds.resolve(tx, &a); bad != nil {
		return nil, bad
	}
	ds.groom(tx, r.ID.Parent())
	d, bad := ds.ready(tx, r.ID.Parent(), *r.Call, a)
	if bad != nil {
		return nil, bad
	}
	p := d.told(tx.Now(), arm.Succeeded)
	var validated []any
	for _, x := range d.resources {
		if x.state == waiting && !x.existing {
			validated = append(validated, map[string]any{"id": x.id.String()})
		}
	}
	p["validatedResources"] = validated
	return map[string]any{"id": d.id.String(), "name": d.id.Name(), "type": typeName, "properties": p}, nil
}

// cancel starts nothing more; what runs goes on.
func (ds *deployments) cancel(tx *resource.Tx, r *resource.Request, _ map[string]any) (map[string]any, *arm.Error) {
	id := r.ID.Parent()
	d := ds.find(id)
	if d == nil || !tx.Cancel(id) {
		return nil, arm.Gatewayf(http.StatusConflict, "DeploymentCannotBeCancelled", "The deployment '%s' cannot be cancelled because it is not running.", id.Name())
	}
	d.halt(tx)
	d.document(tx, arm.Canceled, nil, nil)
	return nil, nil
}

// held: one that runs is not deleted.
func (ds *deployments) held(_ *resource.Tx, id arm.ID) *arm.Error {
	if ds.find(id) != nil {
		return arm.Gatewayf(http.StatusConflict, "DeploymentActive", "Unable to delete deployment '%s': it is still active. Cancel it first.", id.Name())
	}
	return nil
}

// gone stops one whose resource group was deleted: it makes nothing more.
func (ds *deployments) gone(tx *resource.Tx, id arm.ID, _ map[string]any) {
	ds.secrets.Delete(id.Key())
	d := ds.find(id)
	if d == nil {
		return
	}
	d.halt(tx)
	tx.Cancel(id)
	if d.nested != nil { // the one around it, in another group, waits for it; when all of this group is gone
		tx.After(id.Subscription, 0, func(tx *resource.Tx) { d.nested(tx, arm.NotFound(id)) })
	}
}

// halt stops a deployment, and lets those within it say so that run: nobody else would ever end them.
func (d *deployment) halt(tx *resource.Tx) {
	within := d.runningWithin()
	d.stop()
	for _, inner := range within {
		tx.After(inner.id.Subscription, 0, func(tx *resource.Tx) {
			if tx.Get(inner.id) != nil {
				inner.document(tx, arm.Canceled, nil, nil)
			}
		})
	}
}

// runningWithin are the deployments within one that run, however deep.
func (d *deployment) runningWithin() (out []*deployment) {
	for _, r := range d.resources {
		if inner := r.inner.Load(); inner != nil && !inner.over.Load() {
			out = append(append(out, inner), inner.runningWithin()...)
		}
	}
	return out
}

// stop lets a deployment do nothing more, nor those within it.
func (d *deployment) stop() {
	d.over.Store(true)
	d.all.running.Delete(d.id.Key())
	for _, r := range d.resources {
		if inner := r.inner.Load(); inner != nil {
			inner.stop()
		}
	}
}

// calculateHash is the hash of a template, and the text that it is of.
func calculateHash(_ *resource.Tx, r *resource.Request, body map[string]any) (map[string]any, *arm.Error) {
	a := sent(r, body)
	return map[string]any{"minifiedTemplate": a.at.Minified(), "templateHash": a.at.Hash()}, nil
}
