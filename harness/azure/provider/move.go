package provider

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
	"drydock.dev/drydock/harness/azure/state"
)

// What is moved from a group to another keeps what it is, and gets another id; what names it is told (learn.microsoft.com "Move Azure resources to a new
// resource group or subscription"). A request is taken with 202 whatever it asks for, and refused at its end (MicrosoftDocs/azure-docs#71455).

// maxMoved is how many there may be in a request (learn.microsoft.com as above: "Resource Manager immediately returns an error").
const maxMoved = 800

// moving is where both groups of a move have its operation.
const moving = "drydockMoving"

// moveTypes are the calls on a group, and what a group does at the end of them.
func moveTypes() []*resource.Type {
	none := resource.Every | resource.Reads
	return []*resource.Type{
		{Name: "moveResources", No: none, Actions: map[string]resource.Action{"moveresources": {Anew: true, Code: http.StatusAccepted, Now: beginMove}}},
		{Name: "validateMoveResources", No: none, Actions: map[string]resource.Action{"validatemoveresources": {Anew: true, Code: http.StatusAccepted, Now: beginMove}}},
	}
}

// fixed are the types with a location that stay where they are
// (MicrosoftDocs/azure-docs, move-support-resources.md, and networking-move-limitations.md of private links).
func fixed() []string {
	return []string{"Microsoft.ManagedIdentity/userAssignedIdentities", "Microsoft.Network/privateEndpoints", "Microsoft.Network/privateLinkServices"}
}

// move is what is asked for.
type move struct {
	source, target arm.ID
	resources      []arm.ID
}

func readMove(v resource.View, source arm.ID, body map[string]any) (m move, bad *arm.Error) {
	if m.source = arm.GroupID(source); v.Get(m.source) == nil {
		return m, arm.NotFound(m.source)
	}
	m.source = v.Get(m.source).ID
	list, _ := arm.Field(body, "resources").([]any)
	if len(list) == 0 || len(list) > maxMoved {
		return m, arm.Gatewayf(http.StatusBadRequest, "InvalidRequestContent", "The request content was invalid: '%d' resources are to be moved, and a request moves from '1' to '%d'.", len(list), maxMoved)
	}
	for _, x := range list {
		s, _ := x.(string)
		id, ok := arm.ParseID(s)
		if !ok || id.Collection() || id.Provider == "" {
			return m, arm.Gatewayf(http.StatusBadRequest, "InvalidRequestContent", "The request content was invalid: '%v' is not the id of a resource.", x)
		}
		m.resources = append(m.resources, id)
	}
	to := arm.Text(body, "targetResourceGroup")
	target, ok := arm.ParseID(to)
	switch {
	case !ok || target.ResourceGroup == "" || target.Provider != "" || target.Key() == m.source.Key():
		return m, arm.Gatewayf(http.StatusBadRequest, "InvalidRequestContent", "The request content was invalid: the target resource group '%s' is not the id of another resource group.", to)
	case v.Get(target) == nil:
		return m, arm.NotFound(target)
	}
	m.target = v.Get(target).ID
	return m, nil
}

// beginMove takes a request. What is wrong with it is found now, and told at its end.
func beginMove(tx *resource.Tx, r *resource.Request, body map[string]any) (map[string]any, *arm.Error) {
	m, bad := readMove(tx.View, r.ID, body)
	if bad != nil {
		return nil, bad
	}
	if !strings.EqualFold(m.source.Subscription, m.target.Subscription) { // nobody is alone in two
		r.Call.Unanswered = r.Method + " " + arm.Pattern(r.URL.Path) + " to another subscription"
		return nil, arm.Gatewayf(http.StatusConflict, "ResourceMoveNotSupported", "The twin moves resources within a subscription only, and not to '%s'.", m.target)
	}
	for _, group := range []arm.ID{m.source, m.target} {
		if bad := tx.Gate(group, resource.ToWrite); bad != nil {
			return nil, bad
		}
		if bad := tx.Open(group, "moveResources"); bad != nil {
			return nil, bad
		}
	}
	args := map[string]any{"resources": body["resources"], "targetResourceGroup": m.target.String()}
	validates := strings.EqualFold(r.ID.Types[0], "validateMoveResources")
	if refused := m.check(tx.View); refused != nil {
		args["refused"] = refused
	} else if validates {
		args["refused"] = nil
	}
	op := tx.Begin(r, m.source, "action/"+moveWork, arm.Text(tx.Get(m.source).Body(), "location"), state.Work{Do: moveWork, Args: args})
	if _, over := args["refused"]; !over {
		for _, group := range []arm.ID{m.source, m.target} {
			tx.Edit(group, func(b map[string]any) { b[moving] = op.ID })
		}
	}
	return nil, nil
}

// moveWork is what is done at the end, by the group that the resources are in.
const moveWork = "moveresources"

func finishMove(tx *resource.Tx, source arm.ID, args map[string]any) *arm.Error {
	m, bad := readMove(tx.View, source, args)
	if bad != nil { // a group is gone: nothing else can be
		return bad
	}
	for _, group := range []arm.ID{m.source, m.target} {
		tx.Edit(group, func(b map[string]any) { delete(b, moving) })
	}
	if refused, over := args["refused"]; over {
		var e *arm.Error // it may have been saved meanwhile
		if err := json.Unmarshal(arm.Marshal(refused), &e); err != nil {
			return arm.Mistake(err)
		}
		return e
	}
	names := map[string]string{}
	for _, id := range m.resources {
		d := tx.Get(id)
		if d == nil { // both groups are closed meanwhile: nobody takes it away
			continue
		}
		to := d.ID // in its own case, whatever the request wrote
		to.ResourceGroup = m.target.ResourceGroup
		names[d.ID.String()] = to.String()
	}
	tx.Rename(m.source, names, func(d *state.Document) bool { // a role assigned to a resource is left behind (learn.microsoft.com as above); what was deployed is history
		return strings.EqualFold(d.ID.Type(), "Microsoft.Authorization/roleAssignments") || strings.EqualFold(d.ID.Type(), "Microsoft.Resources/deployments")
	})
	return nil
}

// check says what keeps the resources from being moved: nil, nothing does. The code and the words are those of AaronSaikovski/armv's report of 2024, those of
// its details of learn.microsoft.com "Troubleshoot moving resources" where it has them.
func (m move) check(v resource.View) *arm.Error {
	var details []arm.Error
	for _, id := range m.resources {
		if bad := m.checkOne(v, id); bad != nil {
			details = append(details, *bad)
		}
	}
	if len(details) == 0 {
		return nil
	}
	e := arm.Gatewayf(http.StatusConflict, "ResourceMoveValidationFailed", "The resource batch move request has '%d' validation errors. Diagnostic information: timestamp '%s'.",
		len(details), v.Now().UTC().Format("20060102T150405Z"))
	e.Details = details
	return e
}

func (m move) checkOne(v resource.View, id arm.ID) *arm.Error {
	wrong := func(code, format string, args ...any) *arm.Error {
		e := arm.Errorf(0, code, format, args...)
		e.Target = id.String()
		return e
	}
	typ, d := v.TypeOf(id), v.Get(id)
	switch {
	case d == nil || !strings.EqualFold(id.ResourceGroup, m.source.ResourceGroup) || !strings.EqualFold(id.Subscription, m.source.Subscription):
		return wrong("MoveResourcesNotFound", "The move resources request contains resources that cannot be found. Please check details for these resource ids.")
	case typ == nil || !typ.Located || len(id.Types) > 1 || id.Scope != "" || slices.Contains(fixed(), typ.Name):
		return wrong("ResourceMoveNotSupported", "Resource move is not supported for resource types '%s'.", d.ID.Type())
	}
	if bad := v.Gate(id, resource.ToWrite); bad != nil {
		bad.Target = id.String()
		return bad
	}
	for _, x := range append(v.Below(id), d) {
		if _, running := v.Running(x.ID); running {
			return wrong("MoveResourcesHavePendingOperations", "The move resources request contains resources for which an operation is pending. Please check details for these resource ids. Retry the operation once pending operations are complete.")
		}
	}
	body := d.Body()
	if s := arm.Text(body, "properties", "provisioningState"); s != "" && s != arm.Succeeded {
		return wrong("MoveCannotProceedWithResourcesNotInSucceededState", "One of the resources being migrated or its dependency is not in Succeeded state.")
	}
	to := id
	if to.ResourceGroup = m.target.ResourceGroup; v.Get(to) != nil {
		return wrong("CannotMoveResource", "The resource '%s' already exists in the target resource group '%s'.", id.Name(), m.target.ResourceGroup) // the service's own code is not known
	}
	if len(arm.Objects(body, "properties", "virtualNetworkPeerings")) > 0 {
		return wrong("CannotMoveResource", "The virtual network '%s' is peered: peerings have to be removed before it is moved.", id.Name())
	}
	if lb := standardBalancer(v, body); lb != "" && strings.EqualFold(id.Type(), "Microsoft.Compute/virtualMachineScaleSets") {
		return wrong("CannotMoveResource", "The scale set '%s' has instances behind the balancer '%s' of the Standard SKU, and cannot be moved.", id.Name(), lb)
	}
	return m.together(v, id, body, wrong)
}

// standardBalancer is one of the Standard SKU that a document names ("Virtual Machine Scale Sets with Standard SKU Load Balancer or Standard SKU Public IP can't
// be moved", virtual-machines-move-limitations.md); empty: none.
func standardBalancer(v resource.View, body any) string {
	switch x := body.(type) {
	case map[string]any:
		for _, e := range x {
			if found := standardBalancer(v, e); found != "" {
				return found
			}
		}
	case []any:
		for _, e := range x {
			if found := standardBalancer(v, e); found != "" {
				return found
			}
		}
	case string:
		id, ok := arm.ParseID(x)
		if !ok || len(id.Types) == 0 || !strings.EqualFold(id.Top(1).Type(), "Microsoft.Network/loadBalancers") {
			return ""
		}
		if lb := v.Get(id.Top(1)); lb != nil && strings.EqualFold(arm.Text(lb.Public(), "sku", "name"), "Standard") {
			return lb.ID.Name()
		}
	}
	return ""
}

// together asks that a machine goes with its availability set, and a set with its machines ("Virtual machines in an availability set can't be moved
// individually", virtual-machines-move-limitations.md). What else a machine needs may stay where it is, for it is in the same subscription.
func (m move) together(v resource.View, id arm.ID, body map[string]any, wrong func(code, format string, args ...any) *arm.Error) *arm.Error {
	needed := []string{}
	if set := arm.Text(body, "properties", "availabilitySet", "id"); set != "" {
		needed = append(needed, set)
	}
	if strings.EqualFold(id.Type(), "Microsoft.Compute/availabilitySets") {
		for _, d := range v.Naming(id) {
			if strings.EqualFold(d.ID.Type(), "Microsoft.Compute/virtualMachines") {
				needed = append(needed, d.ID.String())
			}
		}
	}
	for _, n := range needed {
		if !slices.ContainsFunc(m.resources, func(x arm.ID) bool { return strings.EqualFold(x.String(), n) }) {
			return wrong("MissingMoveDependentResources", "The move resources request does not contain all the dependent resources. Please check details for missing resource ids: '%s'.", n)
		}
	}
	return nil
}

// beingMoved is the error for a change of what is in a group that takes part in a move: both are closed until it is over. Which code the service gives is not known.
func beingMoved(v resource.View, id arm.ID) *arm.Error {
	if id.ResourceGroup == "" {
		return nil
	}
	d := v.Get(arm.GroupID(id))
	if d == nil || d.Hidden[moving] == nil {
		return nil
	}
	by, _ := d.Hidden[moving].(string)
	if op, ok := v.Find(by); !ok || op.Status != arm.InProgress {
		return nil
	}
	return arm.Gatewayf(http.StatusConflict, "ResourceGroupBeingMoved", "The resource group '%s' takes part in a move of resources and cannot perform this operation until it is over.", id.ResourceGroup)
}
