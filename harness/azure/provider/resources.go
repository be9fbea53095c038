package provider

import (
	"net/http"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
)

// providers are the namespaces the twin has types of.
var providers = []string{ //nolint:gochecknoglobals // a constant list
	"Microsoft.Authorization", "Microsoft.Compute", "Microsoft.ManagedIdentity", "Microsoft.Network", "Microsoft.Resources", "Microsoft.Storage",
}

// Namespaces are those that Azure has, whether the twin has types of them or not.
func Namespaces() []string { return providers }

// resourceTypes are those of no provider in particular, and of the small ones.
func resourceTypes() []*resource.Type {
	return []*resource.Type{
		{Name: "subscriptions", Show: showSubscriptions},
		{Name: "providers", Show: showProviders, Actions: map[string]resource.Action{"register": {Now: register}, "unregister": {Now: register}}},
		{Name: "resourceGroups", Located: true, AtOnce: resource.Every &^ resource.Deletes, Codes: resource.Codes{Gone: http.StatusNotFound}},
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

// versions are api-versions that the types of a namespace say they have: those of the Go SDK that the twin is held against, and of the clients it serves
// (fixtures/arm, AKS Engine v0.79.0). The twin takes any.
func versions(namespace string) []any {
	known := map[string][]any{
		"Microsoft.Authorization": {"2022-04-01", "2020-04-01-preview", "2015-07-01"}, "Microsoft.Compute": {"2025-04-01", "2024-07-01", "2024-03-01", "2022-08-01", "2019-12-01"},
		"Microsoft.ManagedIdentity": {"2024-11-30", "2023-01-31", "2018-11-30"}, "Microsoft.Network": {"2025-05-01", "2024-05-01", "2023-09-01", "2018-08-01"},
		"Microsoft.Resources": {"2025-04-01", "2022-12-01", "2021-04-01", "2018-05-01"}, "Microsoft.Storage": {"2024-01-01", "2021-09-01", "2018-02-01"},
	}
	return known[namespace]
}

func providerBody(v resource.View, subscription, namespace string) map[string]any {
	var where, types []any
	for _, r := range regions() {
		where = append(where, r.display)
	}
	for _, t := range v.Types() {
		if name, ok := strings.CutPrefix(t.Name, namespace+"/"); ok {
			types = append(types, map[string]any{"resourceType": name, "locations": where, "apiVersions": versions(namespace), "capabilities": "None"})
		}
	}
	return map[string]any{
		"id": "/subscriptions/" + subscription + "/providers/" + namespace, "namespace": namespace, "registrationState": "Registered", "registrationPolicy": "RegistrationRequired", "resourceTypes": types,
	}
}

func showProviders(v resource.View, id arm.ID) map[string]any {
	if id.Collection() {
		return list(providers, func(p string) map[string]any { return providerBody(v, id.Subscription, p) })
	}
	if i := slices.IndexFunc(providers, func(p string) bool { return strings.EqualFold(p, id.Name()) }); i >= 0 {
		return providerBody(v, id.Subscription, providers[i])
	}
	return nil
}

func register(tx *resource.Tx, r *resource.Request, _ map[string]any) (map[string]any, *arm.Error) {
	if body := showProviders(tx.View, arm.ID{Subscription: r.ID.Subscription, Types: []string{"providers"}, Names: []string{r.ID.Names[0]}}); body != nil {
		return body, nil
	}
	return nil, arm.Gatewayf(http.StatusNotFound, "InvalidResourceNamespace", "The resource namespace '%s' is invalid.", r.ID.Names[0])
}
