package deploy

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
	"drydock.dev/drydock/harness/azure/state"
)

// maxExported is how many resources of a group are exported ("Export template is not supported for resource groups that have more than '200' resources.",
// github.com/PrateekKumarSingh/AzViz#118).
const maxExported = 200

// exportGroup makes a template of what is in a group: names are parameters, and what the services alone write is left out. The api-version is the call's,
// for the twin keeps none with a resource.
func exportGroup(tx *resource.Tx, r *resource.Request, body map[string]any) (map[string]any, *arm.Error) {
	group := arm.GroupID(r.ID)
	if tx.Get(group) == nil {
		return nil, arm.NotFound(group)
	}
	wanted, _ := arm.At(body, "resources").([]any)
	var docs []*state.Document
	for _, doc := range tx.Below(group) {
		all := len(wanted) == 0 || slices.Contains(wanted, any("*"))
		named := slices.ContainsFunc(wanted, func(x any) bool { s, _ := x.(string); return strings.EqualFold(s, doc.ID.String()) })
		if typ := tx.TypeOf(doc.ID); typ != nil && typ.Name != typeName && doc.ID.Scope == "" && (all || named) {
			docs = append(docs, doc)
		}
	}
	if len(docs) > maxExported {
		return nil, arm.Gatewayf(http.StatusConflict, "ExportTemplateTooManyResources", "Export template is not supported for resource groups that have more than '%d' resources.", maxExported)
	}
	e := &exported{docs: docs, names: map[string]string{}, plain: strings.Contains(strings.ToLower(arm.Text(body, "options")), "skip")}
	parameters := map[string]any{}
	for _, doc := range docs {
		if len(doc.ID.Types) > 1 || e.plain {
			continue
		}
		p := doc.ID.Types[0] + "_" + strings.Map(func(c rune) rune {
			if c == '_' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' {
				return c
			}
			return '_'
		}, doc.ID.Name()) + "_name"
		e.names[doc.ID.Key()] = p
		one := map[string]any{"type": "String"}
		if strings.Contains(arm.Text(body, "options"), "IncludeParameterDefaultValue") {
			one["defaultValue"] = doc.ID.Name()
		}
		parameters[p] = one
	}
	resources := []any{}
	for _, doc := range docs {
		resources = append(resources, e.resource(tx.View, doc, r.Call.APIVersion))
	}
	return map[string]any{"template": map[string]any{
		"$schema": "https://schema.management.azure.com/schemas/2015-01-01/deploymentTemplate.json#", "contentVersion": "1.0.0.0", "parameters": parameters, "variables": map[string]any{}, "resources": resources,
	}}, nil
}

type exported struct {
	docs  []*state.Document
	names map[string]string // of the parameters, by the resources' keys
	plain bool              // names as they are
}

// name is an expression, without its brackets, of a resource's name or of those of a child.
func (e *exported) name(id arm.ID) []string {
	out := make([]string, len(id.Names))
	for i, n := range id.Names {
		out[i] = "'" + strings.ReplaceAll(n, "'", "''") + "'"
	}
	if p, ok := e.names[id.Top(1).Key()]; ok {
		out[0] = "parameters('" + p + "')"
	}
	return out
}

func (e *exported) reference(id arm.ID) string {
	return "resourceId('" + id.Type() + "', " + strings.Join(e.name(id), ", ") + ")"
}

func (e *exported) resource(v resource.View, doc *state.Document, version string) map[string]any {
	out := doc.Public()
	for _, k := range []string{"id", "etag", "name", "type", "resourceGroup"} {
		delete(out, k)
	}
	var depends []string
	on := func(id arm.ID) {
		if r := "[" + e.reference(id) + "]"; !slices.Contains(depends, r) {
			depends = append(depends, r)
		}
	}
	if len(doc.ID.Types) > 1 {
		on(doc.ID.Top(len(doc.ID.Types) - 1))
	}
	if typ := v.TypeOf(doc.ID); typ != nil { // as a client would write it: without who names it, and what else the service alone writes
		if read, bad := v.Understand(typ, doc.ID, version, out); bad == nil {
			out = read
		}
	}
	own := withoutOwn(arm.Object(out, "properties"))
	p, _ := e.rewritten(doc.ID, own, on).(map[string]any)
	out["properties"], out["type"], out["apiVersion"] = p, doc.ID.Type(), version
	out["name"] = strings.Join(doc.ID.Names, "/")
	if names := e.name(doc.ID); !e.plain {
		out["name"] = "[" + names[0] + "]"
		if len(names) > 1 {
			out["name"] = "[concat(" + strings.Join(names, ", '/', ") + ")]"
		}
	}
	if len(depends) > 0 {
		slices.Sort(depends)
		out["dependsOn"] = depends
	}
	return out
}

// withoutOwn leaves out what the services write by themselves.
func withoutOwn(v any) any {
	switch x := v.(type) {
	case map[string]any:
		out := maps.Clone(x)
		for _, k := range []string{"provisioningState", "resourceGuid", "vmId", "uniqueId", "timeCreated", "etag", "instanceView"} {
			delete(out, k)
		}
		for k := range out {
			out[k] = withoutOwn(out[k])
		}
		return out
	case []any:
		out := make([]any, len(x))
		for i := range x {
			out[i] = withoutOwn(x[i])
		}
		return out
	}
	return v
}

// rewritten writes ids of exported resources as expressions, and says which they are. Of a resource's own children, the id is left out.
func (e *exported) rewritten(own arm.ID, x any, on func(arm.ID)) any {
	switch x := x.(type) {
	case map[string]any:
		if id, ok := arm.ParseID(arm.Text(x, "id")); ok && strings.HasPrefix(id.Key(), own.Key()+"/") && arm.Text(x, "name") != "" {
			delete(x, "id")
		}
		for k := range x {
			x[k] = e.rewritten(own, x[k], on)
		}
	case []any:
		for i := range x {
			x[i] = e.rewritten(own, x[i], on)
		}
	case string:
		id, ok := arm.ParseID(x)
		if !ok || !strings.HasPrefix(x, "/subscriptions/") || len(id.Names) != len(id.Types) || id.Provider == "" {
			return x
		}
		if slices.ContainsFunc(e.docs, func(d *state.Document) bool { return d.ID.Key() == id.Top(1).Key() }) {
			if top := id.Top(1); top.Key() != own.Top(1).Key() {
				on(top)
			}
			return "[" + e.reference(id) + "]"
		}
	}
	return x
}
