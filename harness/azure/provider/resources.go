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

// resourceTypes are those of no provider in particular, and of the small ones.
func resourceTypes() []*resource.Type {
	return []*resource.Type{
		{Name: "subscriptions", Show: showSubscriptions},
		{Name: "providers", Show: showProviders, Actions: map[string]resource.Action{"register": {Now: register}, "unregister": {Now: register}}},
		{Name: "resourceGroups", Located: true, AtOnce: resource.Every &^ resource.Deletes, Codes: resource.Codes{Gone: http.StatusNotFound}},
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

func providerBody(subscription, namespace string) map[string]any {
	return map[string]any{
		"id": "/subscriptions/" + subscription + "/providers/" + namespace, "namespace": namespace, "registrationState": "Registered", "registrationPolicy": "RegistrationRequired", "resourceTypes": []any{},
	}
}

func showProviders(_ resource.View, id arm.ID) map[string]any {
	if id.Collection() {
		var all []any
		for _, p := range providers {
			all = append(all, providerBody(id.Subscription, p))
		}
		return map[string]any{"value": all}
	}
	if i := slices.IndexFunc(providers, func(p string) bool { return strings.EqualFold(p, id.Name()) }); i >= 0 {
		return providerBody(id.Subscription, providers[i])
	}
	return nil
}

func register(tx *resource.Tx, r *resource.Request, _ map[string]any) (map[string]any, *arm.Error) {
	if body := showProviders(tx.View, arm.ID{Subscription: r.ID.Subscription, Types: []string{"providers"}, Names: []string{r.ID.Names[0]}}); body != nil {
		return body, nil
	}
	return nil, arm.Gatewayf(http.StatusNotFound, "InvalidResourceNamespace", "The resource namespace '%s' is invalid.", r.ID.Names[0])
}
