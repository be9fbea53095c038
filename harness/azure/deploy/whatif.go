package deploy

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
)

// whatIf tells what a deployment would change, and changes nothing (learn.microsoft.com "ARM template deployment what-if operation").
func (ds *deployments) whatIf(tx *resource.Tx, r *resource.Request, body map[string]any) (map[string]any, *arm.Error) {
	a := sent(r, body)
	if bad := ds.resolve(tx, &a); bad != nil {
		return nil, bad
	}
	ds.groom(tx, r.ID.Parent())
	d, bad := ds.ready(tx, r.ID.Parent(), *r.Call, a)
	if bad != nil {
		return nil, bad
	}
	idOnly := strings.EqualFold(arm.Text(body, "properties", "whatIfSettings", "resultFormat"), "ResourceIdOnly")
	changes := []any{}
	told := map[string]bool{}
	for _, x := range d.resources {
		told[x.id.Top(1).Key()] = true
		if x.existing || x.state == skipped {
			continue
		}
		changes = append(changes, d.change(tx.View, x, idOnly))
	}
	if d.id.ResourceGroup != "" {
		kind := "Ignore"
		if d.complete() {
			kind = "Delete"
		}
		for _, doc := range surplus(tx.View, d.id, told) {
			c := map[string]any{"resourceId": doc.ID.String(), "changeType": kind}
			if !idOnly {
				c["before"] = doc.Public()
				if kind == "Ignore" {
					c["after"] = doc.Public()
				}
			}
			changes = append(changes, c)
		}
	}
	slices.SortStableFunc(changes, func(a, b any) int { return strings.Compare(arm.Text(a, "resourceId"), arm.Text(b, "resourceId")) })
	return map[string]any{"status": arm.Succeeded, "properties": map[string]any{"changes": changes}}, nil
}

// change is what becomes of one resource. What depends on a resource that is not there yet is told as it is written: it is not known before.
func (d *deployment) change(v resource.View, r *deployed, idOnly bool) map[string]any {
	out := map[string]any{"resourceId": r.id.String()}
	for _, x := range d.resources { // references see what is there now
		if x.state == waiting && v.Exists(x.id.String()) {
			x.state = arm.Succeeded
			defer func() { x.state = waiting }()
		}
	}
	after, err := d.evaluate(v, r)
	if err != nil {
		after = d.evaluated(r)
	}
	after["id"], after["name"], after["type"], after["apiVersion"] = r.id.String(), r.id.Name(), r.typeName, r.apiVersion
	before := v.Body(r.id)
	delta := differences(before, after)
	switch {
	case before == nil:
		out["changeType"] = "Create"
	case len(delta) == 0:
		out["changeType"] = "NoChange"
	default:
		out["changeType"] = "Modify"
	}
	if idOnly {
		if before != nil {
			out["changeType"] = "Deploy"
		}
		return out
	}
	out["after"] = after
	if before != nil {
		out["before"] = before
		if len(delta) > 0 {
			out["delta"] = delta
		}
	}
	return out
}

// differences are the properties a template gives that are not so. What it does not give is the provider's: most of that is filled in by it.
func differences(before, after map[string]any) []any {
	out := []any{}
	for _, k := range slices.Sorted(maps.Keys(after)) {
		if k == "apiVersion" || k == "id" || k == "name" || k == "type" {
			continue
		}
		out = append(out, difference(k, arm.Field(before, k), after[k])...)
	}
	return out
}

func difference(path string, before, after any) []any {
	b, bothObjects := before.(map[string]any)
	a, isObject := after.(map[string]any)
	if bothObjects && isObject {
		var out []any
		for _, k := range slices.Sorted(maps.Keys(a)) {
			out = append(out, difference(path+"."+k, arm.Field(b, k), a[k])...)
		}
		return out
	}
	old, bothLists := before.([]any)
	list, isList := after.([]any)
	if bothLists && isList {
		var children []any
		for i := range max(len(old), len(list)) {
			switch {
			case i >= len(old):
				children = append(children, map[string]any{"path": strconv.Itoa(i), "propertyChangeType": "Create", "after": list[i]})
			case i >= len(list):
				children = append(children, map[string]any{"path": strconv.Itoa(i), "propertyChangeType": "Delete", "before": old[i]})
			default:
				if inner := difference(strconv.Itoa(i), old[i], list[i]); len(inner) > 0 {
					children = append(children, map[string]any{"path": strconv.Itoa(i), "propertyChangeType": "Modify", "children": inner})
				}
			}
		}
		if len(children) == 0 {
			return nil
		}
		return []any{map[string]any{"path": path, "propertyChangeType": "Array", "children": children}}
	}
	x, isNumber := arm.Number(before)
	y, areNumbers := arm.Number(after)
	switch {
	case before != nil && after != nil && isNumber && areNumbers && x == y, reflect.DeepEqual(before, after):
		return nil
	case before == nil:
		return []any{map[string]any{"path": path, "propertyChangeType": "Create", "after": after}}
	case after == nil:
		return []any{map[string]any{"path": path, "propertyChangeType": "Delete", "before": before}}
	}
	return []any{map[string]any{"path": path, "propertyChangeType": "Modify", "before": before, "after": after}}
}
