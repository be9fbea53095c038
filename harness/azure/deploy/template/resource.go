package template

import (
	"strconv"
	"strings"
)

// resources are the functions of resources and their ids (learn.microsoft.com "Resource functions for ARM templates").
func resources() map[string]function {
	return map[string]function{
		"reference": {least: 1, most: 3, do: reference}, "references": {least: 1, most: 2, do: references},
		"resourceid": {least: 2, most: -1, do: resourceID}, "subscriptionresourceid": {least: 2, most: -1, do: subscriptionResourceID},
		"tenantresourceid":          {least: 2, most: -1, do: func(_ *Scope, a []any) (any, error) { return idBelow("tenantResourceId", "", a) }},
		"extensionresourceid":       {least: 3, most: -1, do: extensionResourceID},
		"managementgroupresourceid": {least: 2, most: -1, do: managementGroupResourceID},
		"pickzones":                 {least: 3, most: 5, do: pickZones},
		"providers":                 {least: 1, most: 2, do: providers},
	}
}

func full(name string, a []any, at int) (bool, error) {
	if len(a) <= at {
		return false, nil
	}
	switch mode := text(a[at]); {
	case strings.EqualFold(mode, "full"):
		return true, nil
	case strings.EqualFold(mode, "properties"):
		return false, nil
	default:
		return false, wrong(name, "'Full' or 'Properties'", a[at])
	}
}

func reference(s *Scope, a []any) (any, error) {
	if s.Reference == nil {
		return nil, unexpected("reference")
	}
	whole, err := full("reference", a, 2)
	if err != nil {
		return nil, err
	}
	return s.Reference(text(a[0]), whole)
}

func references(s *Scope, a []any) (any, error) {
	if s.References == nil {
		return nil, unexpected("references")
	}
	whole, err := full("references", a, 1)
	if err != nil {
		return nil, err
	}
	return s.References(text(a[0]), whole)
}

func list(s *Scope, name string, a []any) (any, error) {
	if s.List == nil {
		return nil, unexpected(name)
	}
	var values any
	if len(a) > 2 {
		values = a[2]
	}
	return s.List(name, text(a[0]), values)
}

func words(name string, a []any) ([]string, error) {
	out := make([]string, len(a))
	for i, x := range a {
		t, ok := x.(string)
		if !ok {
			return nil, wrong(name, "a string", x)
		}
		out[i] = t
	}
	return out, nil
}

// typed takes [before...,] type, name...: the type is the first argument with a slash, and says how many names follow.
func typed(name string, before int, a []any) (head []string, typ string, names []string, err error) {
	w, err := words(name, a)
	if err != nil {
		return nil, "", nil, err
	}
	at := 0
	for at < len(w) && !strings.Contains(w[at], "/") {
		at++
	}
	if at > before || at >= len(w) {
		return nil, "", nil, errorf("Unable to evaluate template language function '%s': the type '%s' requires the form Provider/type. Please see https://aka.ms/arm-functions/#%s for usage details.", name, w[0], strings.ToLower(name))
	}
	typ, names = strings.TrimSuffix(w[at], "/"), w[at+1:]
	if want := strings.Count(typ, "/"); len(names) != want {
		return nil, "", nil, errorf("Unable to evaluate template language function '%s': the type '%s' requires '%d' resource name argument(s). Please see https://aka.ms/arm-functions/#%s for usage details.", name, typ, want, strings.ToLower(name))
	}
	return w[:at], typ, names, nil
}

// resourceID takes [subscription,] [group,] type, name...
func resourceID(s *Scope, a []any) (any, error) {
	head, typ, names, err := typed("resourceId", 2, a)
	if err != nil {
		return nil, err
	}
	subscription, group := "", ""
	if n := len(head); n > 0 {
		group, subscription = head[n-1], strings.Join(head[:n-1], "")
	}
	return s.ResourceID(subscription, group, typ, names)
}

// idBelow is the id of a type and its names below a scope.
func idBelow(name, scope string, a []any) (string, error) {
	_, typ, names, err := typed(name, 0, a)
	if err != nil {
		return "", err
	}
	if strings.EqualFold(typ, "Microsoft.Resources/resourceGroups") && strings.HasPrefix(strings.ToLower(scope), "/subscriptions/") { // its id has no provider
		return scope + "/resourceGroups/" + names[0], nil
	}
	parts := strings.Split(typ, "/")
	id := strings.TrimSuffix(scope, "/") + "/providers/" + parts[0]
	for i, n := range names {
		id += "/" + parts[i+1] + "/" + n
	}
	return id, nil
}

func subscriptionResourceID(s *Scope, a []any) (any, error) {
	subscription := text(s.Subscription["subscriptionId"])
	if first, ok := a[0].(string); ok && !strings.Contains(first, "/") {
		subscription, a = first, a[1:]
	}
	if subscription == "" {
		return nil, unexpected("subscriptionResourceId")
	}
	return idBelow("subscriptionResourceId", "/subscriptions/"+subscription, a)
}

func extensionResourceID(_ *Scope, a []any) (any, error) {
	base, ok := a[0].(string)
	if !ok {
		return nil, wrong("extensionResourceId", "a string", a[0])
	}
	return idBelow("extensionResourceId", base, a[1:])
}

func managementGroupResourceID(s *Scope, a []any) (any, error) {
	group := text(s.ManagementGroup["name"])
	if first, ok := a[0].(string); ok && !strings.Contains(first, "/") {
		group, a = first, a[1:]
	}
	if group == "" {
		return nil, unexpected("managementGroupResourceId")
	}
	return idBelow("managementGroupResourceId", "/providers/Microsoft.Management/managementGroups/"+group, a)
}

// providers is deprecated and still in the templates that az makes: a provider's resource types, or one of them, with its regions and API versions.
func providers(s *Scope, a []any) (any, error) {
	w, err := words("providers", a)
	if err != nil {
		return nil, err
	}
	if s.Provider == nil {
		return nil, unknown("providers")
	}
	all, _ := s.Provider(w[0])["resourceTypes"].([]any)
	if len(w) == 1 && all != nil {
		return map[string]any{"namespace": w[0], "resourceTypes": all}, nil
	}
	for _, t := range all {
		if one, ok := t.(map[string]any); ok && strings.EqualFold(text(one["resourceType"]), w[len(w)-1]) {
			return map[string]any{"resourceType": one["resourceType"], "locations": one["locations"], "apiVersions": one["apiVersions"]}, nil
		}
	}
	return nil, wrong("providers", "the namespace of a resource provider and, if anything more, a type of it", strings.Join(w, "/"))
}

func pickZones(s *Scope, a []any) (any, error) {
	w, err := words("pickZones", a[:3])
	if err != nil {
		return nil, err
	}
	n, offset, ok, ok2 := int64(1), int64(0), true, true
	if len(a) > 3 {
		n, ok = whole(a[3])
	}
	if len(a) > 4 {
		offset, ok2 = whole(a[4])
	}
	if !ok || !ok2 || n < 1 || n > 3 || offset < 0 || offset > 3 {
		return nil, wrong("pickZones", "a number of zones of 1 to 3 and an offset", a)
	}
	if s.Zones == nil {
		return nil, unknown("pickZones")
	}
	zones := int64(s.Zones(w[0], w[1], w[2]))
	out := []any{}
	if zones == 0 {
		return out, nil
	}
	if offset+n > zones {
		return nil, wrong("pickZones", "an offset and a number of zones that the region has", a)
	}
	for i := range n {
		out = append(out, strconv.FormatInt(offset+i+1, 10))
	}
	return out, nil
}
