package resource

import (
	"fmt"
	"net/http"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
)

// there is the error for a resource whose group or parent does not exist.
func (v View) there(id arm.ID) *arm.Error {
	if id.ResourceGroup == "" || id.Provider == "" {
		return nil
	}
	if bad := v.groupThere(id); bad != nil {
		return bad
	}
	if len(id.Types) > 1 && len(id.Names) > 0 {
		parent := id.Top(len(id.Types) - 1)
		if v.TypeOf(parent) != nil && v.Get(parent) == nil {
			e := arm.NotFound(parent)
			e.Code = "ParentResourceNotFound"
			e.Message = fmt.Sprintf("Failed to perform '%s' on resource(s) of type '%s', because the parent resource '%s' could not be found.", "action", strings.Join(id.Types, "/"), parent)
			return e
		}
	}
	return nil
}

// Gate says why the Resource Manager itself refuses to have something done to a resource, before its provider is asked: because of a lock, say.
type Gate func(v View, id arm.ID, way Way) *arm.Error

// Way is what is done to a resource, as the gate calls it.
type Way string

// The ways there are. An action writes.
const (
	ToWrite  Way = "write"
	ToDelete Way = "delete"
)

// Gate asks the Resource Manager whether something may be done.
func (v View) Gate(id arm.ID, way Way) *arm.Error {
	if v.engine.options.Gate == nil {
		return nil
	}
	return v.engine.options.Gate(v, id, way)
}

// deleting reports whether a document is on its way out.
func deleting(d *state.Document) bool {
	return d != nil && arm.Text(d.Body(), "properties", "provisioningState") == arm.Deleting
}

// Open is the error for a change of what is being deleted, or of anything in it: of a resource group in the words of Azure/azure-cli#28679, of others in
// those of Azure/azure-sdk-for-python#2702, which are a virtual machine's. What the change is called is said to the client.
func (v View) Open(id arm.ID, change string) *arm.Error {
	if group := arm.GroupID(id); id.ResourceGroup != "" && deleting(v.Get(group)) {
		return arm.Gatewayf(http.StatusConflict, "ResourceGroupBeingDeleted", "The resource group '%s' is in deprovisioning state and cannot perform this operation.", id.ResourceGroup)
	}
	for n := len(id.Names); n > 0 && id.Provider != ""; n-- {
		d := v.Get(id.Top(n))
		if !deleting(d) {
			continue
		}
		if strings.EqualFold(id.Provider, "Microsoft.Network") {
			if bad := v.inProgress(d.ID); bad != nil {
				return bad
			}
		}
		noun := d.ID.Types[n-1]
		if typ := v.TypeOf(d.ID); typ != nil && typ.Called != "" {
			noun = typ.Called
		}
		if change == "Update" {
			change += " " + noun
		}
		return arm.Errorf(http.StatusConflict, "OperationNotAllowed",
			"Operation '%[1]s' is not allowed on %[2]s '%[3]s' since the %[2]s is marked for deletion. You can only retry the Delete operation (or wait for an ongoing one to complete).", change, noun, d.ID.Name())
	}
	return nil
}

// groupThere is the error for a resource group that does not exist.
func (v View) groupThere(id arm.ID) *arm.Error {
	if group := arm.GroupID(id); id.ResourceGroup != "" && v.Get(group) == nil {
		return arm.NotFound(group)
	}
	return nil
}

// inProgress is Microsoft.Network's answer to a write of what another operation writes; elsewhere the later write preempts the earlier one.
func (v View) inProgress(id arm.ID) *arm.Error {
	op, running := v.Running(id)
	if !running || !strings.EqualFold(id.Provider, "Microsoft.Network") {
		return nil
	}
	return arm.Errorf(http.StatusConflict, "AnotherOperationInProgress",
		"Another operation on this or dependent resource is in progress. To retrieve status of the operation use uri: /subscriptions/%s/providers/Microsoft.Network/locations/%s/operations/%s.", id.Subscription, op.Location, op.ID)
}
