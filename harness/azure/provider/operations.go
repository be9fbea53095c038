package provider

import (
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
)

// operationTypes list what can be done, by namespace and for roles, and what whoever asks may do: everything, for the twin keeps nobody from anything.
func operationTypes() []*resource.Type {
	types := []*resource.Type{
		{Name: "Microsoft.Authorization/providerOperations", In: resource.InTenant, Absent: invalid(), Show: showProviderOperations},
		{Name: "Microsoft.Authorization/permissions", Single: true, Ask: askPermissions},
		{Name: "Microsoft.Authorization/denyAssignments", Show: showNone}, // nobody can make one: services do (learn.microsoft.com "Understand Azure deny assignments")
		{Name: "Microsoft.Authorization/classicAdministrators", Show: showNone},
	}
	for _, name := range served() {
		types = append(types, &resource.Type{Name: name + "/operations", In: resource.InTenant, Show: showOperations})
	}
	return types
}

// showNone lists what there is none of.
func showNone(_ resource.View, id arm.ID) map[string]any {
	if !id.Collection() {
		return nil
	}
	return map[string]any{"value": []any{}}
}

// operation is something that can be done to a type: Microsoft.Compute/disks/write.
type operation struct{ typ, name, about string }

// operationsOf are those of a namespace, by type: reading, writing and deleting where its service knows that, and its actions.
func operationsOf(v resource.View, name string) (out []operation) {
	for _, t := range v.Types() {
		of, ok := strings.CutPrefix(t.Name, name+"/")
		if !ok || of == "operations" {
			continue
		}
		if t.No&resource.Reads == 0 {
			out = append(out, operation{of, t.Name + "/read", "Get " + of})
		}
		if t.Writable() && t.No&resource.Updates == 0 {
			out = append(out, operation{of, t.Name + "/write", "Create or update " + of})
		}
		if t.Writable() && t.No&resource.Deletes == 0 {
			out = append(out, operation{of, t.Name + "/delete", "Delete " + of})
		}
		for action := range t.Actions {
			full := t.Name + "/" + action + "/action"
			if strings.EqualFold(of, action) { // a path of its own
				full = t.Name + "/action"
			}
			out = append(out, operation{of, full, action + " of " + of})
		}
	}
	slices.SortFunc(out, func(a, b operation) int { return strings.Compare(a.name, b.name) })
	return out
}

func showOperations(v resource.View, id arm.ID) map[string]any {
	if !id.Collection() {
		return nil
	}
	name := namespace(id.Provider)
	return list(operationsOf(v, name), func(o operation) map[string]any {
		display := map[string]any{"provider": name, "resource": o.typ, "operation": o.about, "description": o.about}
		if name == "Microsoft.Authorization" { // the SDK's model of them has none
			delete(display, "description")
		}
		return map[string]any{"name": o.name, "display": display}
	})
}

func showProviderOperations(v resource.View, id arm.ID) map[string]any {
	one := func(name string) map[string]any {
		types := []any{}
		var last map[string]any
		for _, o := range operationsOf(v, name) {
			if last == nil || last["name"] != o.typ {
				last = map[string]any{"name": o.typ, "displayName": o.typ, "operations": []any{}}
				types = append(types, last)
			}
			done, _ := last["operations"].([]any)
			last["operations"] = append(done, map[string]any{"name": o.name, "displayName": o.about, "description": o.about, "isDataAction": false})
		}
		return map[string]any{"id": "/providers/Microsoft.Authorization/providerOperations/" + name, "name": name, "type": "Microsoft.Authorization/providerOperations", "displayName": name, "resourceTypes": types, "operations": []any{}}
	}
	if id.Collection() {
		return list(served(), one)
	}
	if name := namespace(id.Name()); name != "" {
		return one(name)
	}
	return nil
}

// askPermissions tells what whoever asks may do at a scope.
func askPermissions(v resource.View, id arm.ID, _ *resource.Request) (map[string]any, *arm.Error) {
	if group := arm.GroupID(id); id.ResourceGroup != "" && v.Get(group) == nil {
		return nil, arm.NotFound(group)
	}
	if scope, ok := arm.ParseID(id.Scope); ok && !v.Exists(id.Scope) {
		return nil, arm.NotFound(scope)
	}
	return map[string]any{"value": []any{map[string]any{"actions": []any{"*"}, "notActions": []any{}, "dataActions": []any{}, "notDataActions": []any{}}}}, nil
}
