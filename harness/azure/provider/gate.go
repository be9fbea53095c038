package provider

import (
	"net/http"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
)

// Gate is what the Resource Manager refuses by itself: what is locked, what is in a group that takes part in a move, and what a namespace is needed for that the subscription is not registered to use.
func Gate(v resource.View, id arm.ID, way resource.Way) *arm.Error {
	if bad := locked(v, id, way); bad != nil {
		return bad
	}
	if bad := beingMoved(v, id); bad != nil {
		return bad
	}
	if way == resource.ToDelete { // what was made before can go
		return nil
	}
	return unregistered(v, id)
}

const lockType = "Microsoft.Authorization/locks"

// The levels of locks. A third, NotSpecified, holds nothing.
const (
	canNotDelete = "CanNotDelete"
	readOnly     = "ReadOnly"
)

// locked is the error for a change of what is locked, there or above, or for a deletion of what something locked is below of. A lock that says read only holds
// actions as well: the keys of a storage account cannot be listed, nor a machine be started (learn.microsoft.com "Lock your resources to protect your
// infrastructure"). The words are those of hashicorp/terraform-provider-azurerm's and az's reports; with several locks, how they are told is not known.
func locked(v resource.View, id arm.ID, way resource.Way) *arm.Error {
	if strings.EqualFold(id.Type(), lockType) { // a lock must not keep itself
		return nil
	}
	locks, _ := v.List(arm.ID{Subscription: id.Subscription, Provider: "Microsoft.Authorization", Types: []string{"locks"}}, "", 1<<30)
	key := id.Key() + "/"
	var by []string
	for _, l := range locks {
		at := resource.ScopeOf(l.ID) + "/"
		held := strings.HasPrefix(key, at) || way == resource.ToDelete && strings.HasPrefix(at, key)
		level := arm.Text(l.Public(), "properties", "level")
		if held && (strings.EqualFold(level, readOnly) || way == resource.ToDelete && strings.EqualFold(level, canNotDelete)) {
			by = append(by, l.ID.String()[:len(at)-1])
		}
	}
	if len(by) == 0 {
		return nil
	}
	slices.Sort(by)
	return arm.Gatewayf(http.StatusConflict, "ScopeLocked", "The scope '%s' cannot perform %s operation because following scope(s) are locked: '%s'. Please remove the lock and try again.",
		id, way, strings.Join(slices.Compact(by), ","))
}

func checkLock(tx *resource.Tx, id arm.ID, body, _ map[string]any) *arm.Error {
	level := arm.Text(body, "properties", "level")
	for _, known := range []string{canNotDelete, readOnly, "NotSpecified"} {
		if strings.EqualFold(level, known) {
			arm.Object(body, "properties")["level"] = known
			return lockable(tx.View, id)
		}
	}
	return arm.Gatewayf(http.StatusBadRequest, "InvalidRequestContent", "The request content was invalid: the level of the lock is '%s' and not one of 'NotSpecified,CanNotDelete,ReadOnly'.", level)
}

// lockable is the error for a lock of what is not there.
func lockable(v resource.View, id arm.ID) *arm.Error {
	if id.Scope == "" {
		return nil // a subscription is always there, and whether the group is was asked before
	}
	if of, ok := arm.ParseID(id.Scope); ok && !v.Exists(of.String()) {
		return arm.NotFound(of)
	}
	return nil
}
