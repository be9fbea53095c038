package azure

import (
	"net/http"
	"slices"
	"strings"
)

// providers are the namespaces the twin has types of.
var providers = []string{ //nolint:gochecknoglobals // a constant list
	"Microsoft.Authorization", "Microsoft.Compute", "Microsoft.ManagedIdentity", "Microsoft.Network", "Microsoft.Resources", "Microsoft.Storage",
}

// resourceTypes are those of no provider in particular, and of the small ones.
func resourceTypes() []*Type {
	return []*Type{
		{name: "subscriptions", show: showSubscriptions},
		{name: "providers", show: showProviders},
		{name: "providers/register", actions: map[string]Action{"": {now: register}}, show: func(View, ID) map[string]any { return nil }},
		{name: "providers/unregister", actions: map[string]Action{"": {now: register}}, show: func(View, ID) map[string]any { return nil }},
		{name: "resourceGroups", located: true},
	}
}

// A subscription exists as soon as somebody asks for it: any id is good.
func showSubscriptions(v View, id ID) map[string]any {
	one := func(s string) map[string]any {
		return map[string]any{
			"id": "/subscriptions/" + s, "subscriptionId": s, "tenantId": v.tenant(), "displayName": "Drydock", "state": "Enabled",
			"subscriptionPolicies": map[string]any{"locationPlacementId": "Public_2014-09-01", "quotaId": "EnterpriseAgreement_2014-09-01", "spendingLimit": "Off"},
		}
	}
	if id.Subscription == "" {
		return map[string]any{"value": []any{one(v.subscription())}}
	}
	return one(id.Subscription)
}

func providerBody(subscription, namespace string) map[string]any {
	return map[string]any{
		"id": "/subscriptions/" + subscription + "/providers/" + namespace, "namespace": namespace, "registrationState": "Registered", "registrationPolicy": "RegistrationRequired", "resourceTypes": []any{},
	}
}

func showProviders(_ View, id ID) map[string]any {
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

func register(tx *Tx, r *Request, _ map[string]any) (map[string]any, *Error) {
	if body := showProviders(tx.View, ID{Subscription: r.id.Subscription, Types: []string{"providers"}, Names: []string{r.id.Names[0]}}); body != nil {
		return body, nil
	}
	return nil, gatewayf(http.StatusNotFound, "InvalidResourceNamespace", "The resource namespace '%s' is invalid.", r.id.Names[0])
}
