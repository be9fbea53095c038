package provider

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
	"drydock.dev/drydock/harness/azure/state"
)

// The states of a subscription's registration to use a namespace (learn.microsoft.com "Azure resource providers and types"; Unregistered is what one has after
// it was undone, Azure/azure-sdk-for-python#9272).
const (
	registered    = "Registered"
	registering   = "Registering"
	unregistering = "Unregistering"
	undone        = "Unregistered"
	notRegistered = "NotRegistered"
)

// registers is how long it takes to register, and to undo it. Azure says no time; clients wait for it (azcore asks every 15 s, for 5 minutes).
const registers = 20 * time.Second

// Namespaces are those that Azure has, whether the twin has types of them or not.
func Namespaces() []string {
	all := served()
	for _, n := range slices.Concat(standing(), others()) {
		if n = "Microsoft." + n; !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all
}

// namespace is one as Azure writes it; empty: there is none of that name. Few writes look one up: see unregistered.
func namespace(name string) string {
	all := Namespaces()
	i := slices.IndexFunc(all, func(n string) bool { return strings.EqualFold(n, name) })
	if i < 0 {
		return ""
	}
	return all[i]
}

// isFree reports whether a namespace is used without registering.
func isFree(name string) bool {
	return slices.ContainsFunc(standing(), func(n string) bool { return strings.EqualFold("Microsoft."+n, name) })
}

// isServed reports whether the twin has types of a namespace.
func isServed(name string) bool {
	return slices.ContainsFunc(served(), func(n string) bool { return strings.EqualFold(n, name) })
}

// since is where a registration has the time of its last change.
const since = "drydockSince"

func registrationID(subscription, name string) arm.ID {
	return arm.ID{Subscription: subscription, Types: []string{"providers"}, Names: []string{name}}
}

// registration is how far a subscription's is.
func registration(v resource.View, subscription, name string) string {
	d := v.Get(registrationID(subscription, name))
	switch {
	case d == nil && (isServed(name) || isFree(name)):
		return registered
	case d == nil:
		return notRegistered
	}
	body := d.Body()
	state := arm.Text(body, "registrationState")
	at, err := time.Parse(time.RFC3339Nano, arm.Text(body, since))
	if err != nil || v.Now().Before(at.Add(registers)) {
		return state
	}
	switch state {
	case registering:
		return registered
	case unregistering:
		return undone
	}
	return state
}

// unregistered is the error for a write of what belongs to a namespace that the subscription is not registered to use. While it registers, it is good in some
// regions, and nobody is to wait for that ("Don't block the creation of resources", learn.microsoft.com as above). The words are those of
// Azure/azure-sdk-for-python#9272 and nforgeio/neonKUBE#1670.
func unregistered(v resource.View, id arm.ID) *arm.Error {
	if id.Provider == "" || id.Subscription == "" {
		return nil
	}
	if v.Get(registrationID(id.Subscription, id.Provider)) == nil && isServed(id.Provider) { // as most are: nothing more is looked up for them
		return nil
	}
	name := namespace(id.Provider)
	if name == "" {
		return nil
	}
	state := registration(v, id.Subscription, name)
	words := "The subscription is not registered to use namespace '" + name + "'."
	switch state {
	case registered, registering:
		return nil
	case undone, unregistering:
		words = "The subscription registration is in '" + state + "' state. The subscription must be registered to use namespace '" + name + "'."
	}
	words += " See https://aka.ms/rps-not-found for how to register subscriptions."
	e := arm.Gatewayf(http.StatusConflict, "MissingSubscriptionRegistration", "%s", words)
	e.Details = []arm.Error{{Code: e.Code, Target: name, Message: words}}
	return e
}

// typesOf are the types of a namespace, as providers list them.
func typesOf(v resource.View, name string) []any {
	var where []any
	for _, r := range regions() {
		where = append(where, r.display)
	}
	types := []any{}
	for _, t := range v.Types() {
		of, ok := strings.CutPrefix(t.Name, name+"/")
		if of == "operations" || !ok && (name != "Microsoft.Resources" || !slices.Contains([]string{"subscriptions", "resourceGroups", "tenants", "providers"}, t.Name)) {
			continue
		}
		types = append(types, map[string]any{"resourceType": of, "locations": where, "apiVersions": versions(name), "capabilities": capabilities(t)})
	}
	return types
}

// capabilities is what a type can do beside being there.
func capabilities(t *resource.Type) string {
	if t.Located {
		return "SupportsTags, SupportsLocation"
	}
	return "None"
}

// providerBody is a namespace as a subscription sees it, or, without one, the tenant.
func providerBody(v resource.View, subscription, name string) map[string]any {
	policy := "RegistrationRequired"
	if isFree(name) {
		policy = "RegistrationFree"
	}
	body := map[string]any{"id": "/providers/" + name, "namespace": name, "registrationPolicy": policy, "resourceTypes": typesOf(v, name)}
	if subscription != "" {
		body["id"], body["registrationState"] = "/subscriptions/"+subscription+"/providers/"+name, registration(v, subscription, name)
	}
	return body
}

// invalid is what a namespace is called that there is none of.
func invalid() arm.Absence {
	return arm.Absence{Code: "InvalidResourceNamespace", Format: "The resource namespace '%s' is invalid."}
}

func showProviders(v resource.View, id arm.ID) map[string]any {
	if id.Collection() {
		return list(Namespaces(), func(n string) map[string]any { return providerBody(v, id.Subscription, n) })
	}
	if name := namespace(id.Name()); name != "" {
		return providerBody(v, id.Subscription, name)
	}
	return nil
}

func showProviderTypes(v resource.View, id arm.ID) map[string]any {
	if name := namespace(id.Name()); name != "" {
		return map[string]any{"value": typesOf(v, name)}
	}
	return nil
}

// showProviderPermissions tells which applications a namespace acts as: the twin's act by themselves.
func showProviderPermissions(_ resource.View, id arm.ID) map[string]any {
	if namespace(id.Name()) == "" {
		return nil
	}
	return map[string]any{"value": []any{}}
}

func register(tx *resource.Tx, r *resource.Request, _ map[string]any) (map[string]any, *arm.Error) {
	name := namespace(r.ID.Names[0])
	if name == "" {
		return nil, invalid().Of(r.ID.Top(1))
	}
	if now := registration(tx.View, r.ID.Subscription, name); now != registered && now != registering {
		change(tx, r.ID.Subscription, name, registering)
	}
	return providerBody(tx.View, r.ID.Subscription, name), nil
}

// unregister undoes a registration. What is there in a namespace holds it ("You can't unregister a resource provider when you still have resource types from
// that resource provider in your subscription", learn.microsoft.com as above); the code that the service gives then is not known.
func unregister(tx *resource.Tx, r *resource.Request, _ map[string]any) (map[string]any, *arm.Error) {
	name := namespace(r.ID.Names[0])
	if name == "" {
		return nil, invalid().Of(r.ID.Top(1))
	}
	if isFree(name) {
		return nil, arm.Gatewayf(http.StatusConflict, "CannotUnregisterNamespace", "The subscription cannot be unregistered from namespace '%s': it is registered by default.", name)
	}
	docs, _ := tx.Everything(arm.ID{Subscription: r.ID.Subscription}, "", 1<<30)
	if i := slices.IndexFunc(docs, func(d *state.Document) bool { return strings.EqualFold(d.ID.Provider, name) }); i >= 0 {
		return nil, arm.Gatewayf(http.StatusConflict, "CannotUnregisterNamespace", "The subscription cannot be unregistered from namespace '%s': it has resources of it, such as '%s'.", name, docs[i].ID)
	}
	if now := registration(tx.View, r.ID.Subscription, name); now == registered || now == registering {
		change(tx, r.ID.Subscription, name, unregistering)
	}
	return providerBody(tx.View, r.ID.Subscription, name), nil
}

func change(tx *resource.Tx, subscription, name, state string) {
	id := registrationID(subscription, name)
	tx.Put(id, map[string]any{"id": id.String(), "registrationState": state, since: tx.Now().UTC().Format(time.RFC3339Nano)})
}
