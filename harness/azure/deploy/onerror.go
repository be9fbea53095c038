package deploy

import (
	"net/http"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/deploy/template"
	"drydock.dev/drydock/harness/azure/resource"
)

// onError is what a deployment has deployed when it fails: an earlier one of its group, as that was, in complete mode (learn.microsoft.com "Rollback on error to
// successful deployment").
type onError struct {
	Type  string `json:"type"`
	Name  string `json:"deploymentName,omitempty"`
	State string `json:"provisioningState,omitempty"`
}

func (o *onError) told() map[string]any {
	out := map[string]any{"type": o.Type}
	if o.Name != "" {
		out["deploymentName"] = o.Name
	}
	if o.State != "" {
		out["provisioningState"] = o.State
	}
	return out
}

// The kinds of what is deployed then.
const (
	lastSuccessful     = "LastSuccessful"
	specificDeployment = "SpecificDeployment"
)

// readOnError reads it. The words of what is refused are the twin's: the documentation says only that it is.
func (d *deployment) readOnError(v resource.View, p map[string]any, at template.Source) *arm.Error {
	written, ok := arm.Field(p, "onErrorDeployment").(map[string]any)
	if !ok {
		return nil
	}
	kind := arm.Text(written, "type")
	i := slices.IndexFunc([]string{lastSuccessful, specificDeployment}, func(k string) bool { return strings.EqualFold(k, kind) })
	if i < 0 {
		return invalidContent(at.At("properties", "onErrorDeployment", "type"), "properties.onErrorDeployment.type", "Error converting value \"%s\" to type 'Azure.Deployments.Core.Definitions.OnErrorDeploymentType'.", kind)
	}
	d.onError = &onError{Type: []string{lastSuccessful, specificDeployment}[i], Name: arm.Text(written, "deploymentName"), State: arm.Text(written, "provisioningState")}
	if d.id.ResourceGroup == "" {
		return arm.Gatewayf(http.StatusBadRequest, "InvalidOnErrorDeployment", "The property 'onErrorDeployment' of the deployment '%s' is supported at the scope of a resource group only. Please see https://aka.ms/arm-rollback-on-error for usage details.", d.id.Name())
	}
	if d.onError.Type == lastSuccessful {
		d.onError.Name = ""
		return nil
	}
	earlier := d.id
	earlier.Names = []string{d.onError.Name}
	doc := v.Get(earlier)
	switch {
	case d.onError.Name == "" || doc == nil:
		return arm.Gatewayf(http.StatusNotFound, "DeploymentNotFound", "Deployment '%s' could not be found.", d.onError.Name)
	case arm.Text(doc.Body(), "properties", "provisioningState") != arm.Succeeded:
		return arm.Gatewayf(http.StatusBadRequest, "InvalidOnErrorDeployment", "The deployment '%s' cannot be deployed on error: it has not succeeded. Please see https://aka.ms/arm-rollback-on-error for usage details.", d.onError.Name)
	}
	return nil
}

// remember keeps a deployment's secure values while the process runs: no document has them.
func (d *deployment) remember() {
	values := map[string]any{}
	for name, v := range d.scope.Parameters {
		if declared, _ := d.tpl.Parameters[name].(map[string]any); d.tpl.Secure(declared) {
			values[name] = v
		}
	}
	if len(values) > 0 {
		d.all.secrets.Store(d.id.Key(), values)
	}
}

// fallBack deploys the earlier one after this has failed.
func (d *deployment) fallBack(tx *resource.Tx) {
	id, ok := d.earlier(tx.View)
	if !ok {
		return
	}
	d.onError.Name, d.onError.State = id.Name(), "Running"
	tx.After(d.id.Subscription, 0, func(tx *resource.Tx) {
		if bad := d.redeploy(tx, id); bad != nil {
			d.fellBack(tx, bad)
		}
	})
}

// earlier is the deployment that is named, or the last that succeeded.
func (d *deployment) earlier(v resource.View) (last arm.ID, ok bool) {
	at := ""
	for _, doc := range history(v, d.id) {
		p := doc.Body()
		named := d.onError.Type == lastSuccessful || strings.EqualFold(doc.ID.Name(), d.onError.Name)
		if when := arm.Text(p, "properties", "timestamp"); named && doc.ID.Key() != d.id.Key() && arm.Text(p, "properties", "provisioningState") == arm.Succeeded && when >= at && doc.Hidden[templateTag] != nil {
			last, at, ok = doc.ID, when, true
		}
	}
	return last, ok
}

// redeploy runs an earlier deployment as it was.
func (d *deployment) redeploy(tx *resource.Tx, id arm.ID) *arm.Error {
	doc := tx.Get(id)
	if doc == nil {
		return arm.NotFound(id)
	}
	if d.all.find(id) != nil {
		return stillActive(id, tx.Now())
	}
	was := doc.Body()
	remembered, _ := d.all.secrets.Load(id.Key())
	secrets, _ := remembered.(map[string]any)
	values := map[string]any{}
	a := asked{body: map[string]any{"tags": was["tags"], "properties": map[string]any{"mode": "Complete", "template": doc.Hidden[templateTag], "parameters": values}}}
	told, _ := arm.At(was, "properties", "parameters").(map[string]any)
	for name, p := range told {
		one, _ := p.(map[string]any)
		v, plain := one["value"]
		if !plain {
			if v, plain = secrets[name]; !plain { // another process knew it
				a.withheld = append(a.withheld, name)
				continue
			}
		}
		values[name] = map[string]any{"value": v}
	}
	again, bad := d.all.ready(tx, id, d.caller, a)
	if bad != nil {
		return bad
	}
	again.op = tx.StartHeld(id, "create")
	again.nested = d.fellBack
	again.document(tx, "Running", nil, nil)
	d.all.running.Store(id.Key(), again)
	again.advance(tx)
	return nil
}

// fellBack tells how that went.
func (d *deployment) fellBack(tx *resource.Tx, failure *arm.Error) {
	if d.onError.State = arm.Succeeded; failure != nil {
		d.onError.State = arm.Failed
	}
	tx.Edit(d.id, func(body map[string]any) { arm.Object(body, "properties")["onErrorDeployment"] = d.onError.told() })
}
