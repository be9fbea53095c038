package azure

// identityTypes are Microsoft.ManagedIdentity's.
func identityTypes() []*Type {
	return []*Type{
		{name: "Microsoft.ManagedIdentity/userAssignedIdentities", located: true, fill: fillIdentity},
	}
}

func fillIdentity(tx *Tx, id ID, body, _ map[string]any) {
	p := object(body, "properties")
	p["tenantId"], p["principalId"], p["clientId"] = tx.tenant(), derived("principal", id.String()), derived("client", id.String())
}
