package provider

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
)

// referables are the properties of Microsoft.Network's documents that name another resource of it, and the type that has to have.
func referables() map[string]string {
	return map[string]string{
		"publicIPAddress": "publicIPAddresses", "subnet": "virtualNetworks/subnets", "networkSecurityGroup": "networkSecurityGroups", "routeTable": "routeTables", "natGateway": "natGateways", "publicIPPrefix": "publicIPPrefixes",
	}
}

// reference is one of a document's.
type reference struct{ path, id, typ string }

// referencesIn finds them, at whatever depth; the documents that are named are not looked into.
func referencesIn(v any, path string, types map[string]string) (out []reference) {
	switch x := v.(type) {
	case map[string]any:
		for k, e := range x {
			at := strings.TrimPrefix(path+"."+k, ".")
			if typ := types[k]; typ != "" {
				if id := arm.Text(e, "id"); id != "" {
					out = append(out, reference{at, id, typ})
				}
				continue
			}
			out = append(out, referencesIn(e, at, types)...)
		}
	case []any:
		for i, e := range x {
			out = append(out, referencesIn(e, fmt.Sprintf("%s[%d]", path, i), types)...)
		}
	}
	return out
}

// references holds what a document names to what there is: an id (MSOpenTech/azure-xplat-cli#497), of the right type, of a resource that is there and in the same
// region. What it named before stays as it was.
func references(tx *resource.Tx, id arm.ID, body, old map[string]any) *arm.Error {
	types := referables()
	all := referencesIn(body["properties"], "properties", types)
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b reference) int { return cmp.Compare(a.path, b.path) })
	before := map[string]bool{}
	for _, r := range referencesIn(old["properties"], "properties", types) {
		before[strings.ToLower(r.id)] = true
	}
	location := cmp.Or(arm.Text(body, "location"), arm.Text(old, "location"))
	for _, r := range all {
		if before[strings.ToLower(r.id)] {
			continue
		}
		to, ok := arm.ParseID(r.id)
		switch {
		case !ok || to.Collection() || to.Provider == "":
			return badReference("InvalidJsonReferenceFormat", "Reference Id %s is not formatted correctly. The Id is expected to reference resources of type %s. Path %s.", r)
		case !strings.EqualFold(to.Type(), "Microsoft.Network/"+r.typ):
			return badReference("InvalidJsonReferenceWrongType", "Reference Id %s is referencing resource of a wrong type. The Id is expected to reference resources of type %s. Path %s.", r)
		case !tx.Exists(r.id):
			return arm.InvalidReference(r.id, id)
		}
		if there := arm.Text(tx.Get(to.Top(1)).Body(), "location"); there != "" && location != "" && !arm.SameLocation(there, location) {
			return arm.InvalidReference(r.id, id)
		}
	}
	return nil
}

func badReference(code, format string, r reference) *arm.Error {
	last := r.typ[strings.LastIndexByte(r.typ, '/')+1:]
	bad := arm.Errorf(http.StatusBadRequest, "InvalidRequestFormat", "Cannot parse the request.")
	bad.Details = []arm.Error{*arm.Errorf(0, code, format, r.id, last, r.path)}
	return bad
}
