package deploy

import (
	"encoding/json"
	"net/http"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
)

// preflight asks of each resource whether it would be refused for want of quota or of its size, before any is made: the deployment is refused as a whole then
// (theonemule/fahclient-azure-vm#3, of the quota; github.com/GoogleCloudPlatform/PerfKitBenchmarker has one of a size). What depends on a
// resource that is not there yet is not known before its turn.
func (d *deployment) preflight(tx *resource.Tx) *arm.Error {
	var details []arm.Error
	for _, r := range d.resources {
		early := r.early
		r.early = nil
		if early == nil || r.existing || r.state != waiting || strings.EqualFold(r.typeName, typeName) {
			continue
		}
		var body map[string]any
		if json.Unmarshal(arm.Marshal(early), &body) != nil { // told at its turn
			continue
		}
		if refused := tx.Preflight(r.typ, r.id, body); refused != nil {
			details = append(details, *refused)
		}
	}
	if details == nil {
		return nil
	}
	bad := arm.Gatewayf(http.StatusBadRequest, "InvalidTemplateDeployment", "The template deployment '%s' is not valid according to the validation procedure. The tracking id is '%s'. See inner errors for details.",
		d.id.Name(), arm.Derived("tracking", d.id.String(), arm.Timestamp(d.begun)))
	bad.Details = details
	return bad
}

// ready reads what a deployment is asked to be, and asks whether it would be refused.
func (ds *deployments) ready(tx *resource.Tx, id arm.ID, caller arm.Call, a asked) (*deployment, *arm.Error) {
	d, bad := ds.prepare(tx.View, id, caller, a)
	if bad == nil {
		bad = d.preflight(tx)
	}
	return d, bad
}
