package provider

import (
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
)

// identityTypes are Microsoft.ManagedIdentity's.
func identityTypes() []*resource.Type {
	return []*resource.Type{
		{Name: "Microsoft.ManagedIdentity/userAssignedIdentities", Located: true, AtOnce: resource.Every, Plain: true, Fill: fillIdentity},
		{Name: "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials", AtOnce: resource.Every, No: resource.Patches, Plain: true},
	}
}

func fillIdentity(tx *resource.Tx, id arm.ID, body, _ map[string]any) {
	p := arm.Object(body, "properties")
	p["tenantId"], p["principalId"], p["clientId"] = tx.Tenant(), arm.Derived("principal", id.String()), arm.Derived("client", id.String())
}
