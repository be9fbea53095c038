package azure

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// providers are the namespaces the twin has types of.
var providers = []string{ //nolint:gochecknoglobals // a constant list
	"Microsoft.Authorization", "Microsoft.Compute", "Microsoft.ManagedIdentity", "Microsoft.Network", "Microsoft.Resources", "Microsoft.Storage",
}

// resourceTypes are those of no provider in particular, and of the small ones.
func resourceTypes() []*resourceType {
	return []*resourceType{
		{name: "subscriptions", show: showSubscriptions},
		{name: "providers", show: showProviders},
		{name: "providers/register", actions: map[string]action{"": {now: register}}, show: func(*Twin, ID) map[string]any { return nil }},
		{name: "providers/unregister", actions: map[string]action{"": {now: register}}, show: func(*Twin, ID) map[string]any { return nil }},
		{name: "resourceGroups", located: true},
		{name: "Microsoft.Authorization/roleAssignments", check: checkRoleAssignment},
		{name: "Microsoft.ManagedIdentity/userAssignedIdentities", located: true, fill: fillIdentity},
		{name: "Microsoft.Storage/storageAccounts", located: true, actions: map[string]action{"listkeys": {now: listKeys}}},
	}
}

// A subscription exists as soon as somebody asks for it: any id is good.
func showSubscriptions(t *Twin, id ID) map[string]any {
	one := func(s string) map[string]any {
		return map[string]any{
			"id": "/subscriptions/" + s, "subscriptionId": s, "tenantId": t.options.Tenant, "displayName": "Drydock", "state": "Enabled",
			"subscriptionPolicies": map[string]any{"locationPlacementId": "Public_2014-09-01", "quotaId": "EnterpriseAgreement_2014-09-01", "spendingLimit": "Off"},
		}
	}
	if id.Subscription == "" {
		return map[string]any{"value": []any{one(t.options.Subscription)}}
	}
	return one(id.Subscription)
}

func providerBody(subscription, namespace string) map[string]any {
	return map[string]any{
		"id": "/subscriptions/" + subscription + "/providers/" + namespace, "namespace": namespace, "registrationState": "Registered", "registrationPolicy": "RegistrationRequired", "resourceTypes": []any{},
	}
}

func showProviders(_ *Twin, id ID) map[string]any {
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

func register(t *Twin, r *request, _ map[string]any) (map[string]any, *Error) {
	if body := showProviders(t, ID{Subscription: r.id.Subscription, Types: []string{"providers"}, Names: []string{r.id.Names[0]}}); body != nil {
		return body, nil
	}
	return nil, gatewayf(http.StatusNotFound, "InvalidResourceNamespace", "The resource namespace '%s' is invalid.", r.id.Names[0])
}

func checkRoleAssignment(_ *Twin, id ID, body, old map[string]any) *Error {
	if old != nil {
		return errorf(http.StatusConflict, "RoleAssignmentExists", "The role assignment already exists. The ID of the existing role assignment is %s.", strings.ReplaceAll(id.Name(), "-", ""))
	}
	for _, p := range []string{"roleDefinitionId", "principalId"} {
		if text(body, "properties", p) == "" {
			return errorf(http.StatusBadRequest, "InvalidRoleAssignment", "The '%s' property of the role assignment is missing.", p)
		}
	}
	scope := id
	scope.Provider = "" // the path before the extension's own
	object(body, "properties")["scope"] = scope.String()
	return nil
}

// derived is an identifier that follows from a name: the same twin gives the same resource the same one.
func derived(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(strings.Join(parts, "|"))))
	sum[6], sum[8] = sum[6]&0x0f|0x40, sum[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

func fillIdentity(t *Twin, id ID, body, _ map[string]any) {
	p := object(body, "properties")
	p["tenantId"], p["principalId"], p["clientId"] = t.options.Tenant, derived("principal", id.String()), derived("client", id.String())
}

func listKeys(_ *Twin, r *request, _ map[string]any) (map[string]any, *Error) {
	var keys []any
	for _, name := range []string{"key1", "key2"} {
		sum := sha256.Sum256([]byte(name + r.id.key()))
		keys = append(keys, map[string]any{"keyName": name, "value": base64.StdEncoding.EncodeToString(append(sum[:], sum[:]...)), "permissions": "FULL"})
	}
	return map[string]any{"keys": keys}, nil
}
