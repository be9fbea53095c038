package provider

import (
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
)

// identityTypes are Microsoft.ManagedIdentity's.
func identityTypes() []*resource.Type {
	return []*resource.Type{
		{Name: "Microsoft.ManagedIdentity/userAssignedIdentities", Located: true, AtOnce: resource.Every, Plain: true, Fill: fillIdentity},
		{Name: "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials", AtOnce: resource.Every, No: resource.Patches, Plain: true},
		{Name: "Microsoft.ManagedIdentity/identities", Show: showOwnIdentity},
	}
}

// showOwnIdentity is the identity that a resource has of itself: it goes with it, and has no document.
func showOwnIdentity(v resource.View, id arm.ID) map[string]any {
	of, ok := arm.ParseID(id.Scope)
	body := v.Body(of)
	if !ok || id.Collection() || !strings.EqualFold(id.Name(), "default") || arm.Text(body, "identity", "principalId") == "" {
		return nil
	}
	return map[string]any{
		"id": id.String(), "name": "default", "type": "Microsoft.ManagedIdentity/identities", "location": arm.Text(body, "location"),
		"properties": map[string]any{"tenantId": arm.Text(body, "identity", "tenantId"), "principalId": arm.Text(body, "identity", "principalId"), "clientId": arm.Derived("client", of.String())},
	}
}

func fillIdentity(tx *resource.Tx, id arm.ID, body, _ map[string]any) {
	p := arm.Object(body, "properties")
	p["tenantId"], p["principalId"], p["clientId"] = tx.Tenant(), arm.Derived("principal", id.String()), arm.Derived("client", id.String())
}
