package provider

import (
	"net/http"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
)

// resourceTypes are those of no provider in particular, and of the small ones.
func resourceTypes() []*resource.Type {
	return []*resource.Type{
		{Name: "subscriptions", Show: showSubscriptions},
		{Name: "providers", In: resource.InBoth, Absent: invalid(), Show: showProviders, Actions: map[string]resource.Action{"register": {Now: register}, "unregister": {Now: unregister}}},
		{Name: "providers/resourceTypes", Absent: invalid(), Show: showProviderTypes},
		{Name: "providers/providerPermissions", Absent: invalid(), Show: showProviderPermissions},
		{Name: "resourceGroups", Located: true, AtOnce: resource.Every &^ resource.Deletes, Codes: resource.Codes{Gone: http.StatusNotFound},
			Actions: map[string]resource.Action{moveWork: {Then: finishMove}}},
		{Name: "Microsoft.Resources/tags", AtOnce: resource.Every, Plain: true, Codes: resource.Codes{Create: http.StatusOK, Gone: http.StatusOK}, Ask: askTags, Write: writeTags},
		{Name: "tagNames", AtOnce: resource.Every, No: resource.Patches, Ask: askTagNames, Write: writeTagName},
		{Name: "tagNames/tagValues", AtOnce: resource.Every, No: resource.Patches | resource.Reads, Ask: askTagNames, Write: writeTagName},
	}
}

// A subscription exists as soon as somebody asks for it: any id is good.
func showSubscriptions(v resource.View, id arm.ID) map[string]any {
	one := func(s string) map[string]any {
		return map[string]any{
			"id": "/subscriptions/" + s, "subscriptionId": s, "tenantId": v.Tenant(), "displayName": "Drydock", "state": "Enabled",
			"subscriptionPolicies": map[string]any{"locationPlacementId": "Public_2014-09-01", "quotaId": "EnterpriseAgreement_2014-09-01", "spendingLimit": "Off"},
		}
	}
	if id.Subscription == "" {
		return map[string]any{"value": []any{one(v.Subscription())}}
	}
	return one(id.Subscription)
}
