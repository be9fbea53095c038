package deploy

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
)

// steps are what a deployment does and has done.
func (d *deployment) steps(now time.Time) []any {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := []any{}
	for _, r := range d.resources {
		if r.state == waiting || r.state == skipped || r.existing {
			continue
		}
		out = append(out, d.step(r, r.operation, now))
	}
	if d.removing != nil {
		for _, r := range d.removing.steps {
			if r.state != waiting {
				out = append(out, d.step(r, "Delete", now))
			}
		}
	}
	return out
}

func (d *deployment) step(r *deployed, what string, now time.Time) map[string]any {
	status := "OK"
	ended := r.ended
	if r.state == running {
		ended = now
	}
	p := map[string]any{
		"provisioningOperation": what, "provisioningState": map[string]string{running: "Running", arm.Succeeded: arm.Succeeded, arm.Failed: arm.Failed}[r.state],
		"timestamp": arm.Timestamp(ended), "duration": duration(ended.Sub(r.begun)), "serviceRequestId": arm.Derived("request", d.id.String(), r.id.String()),
		"targetResource": map[string]any{"id": r.id.String(), "resourceType": r.typeName, "resourceName": r.name},
	}
	if r.request != nil {
		p["request"] = map[string]any{"content": r.request}
	}
	if r.response != nil {
		p["response"] = map[string]any{"content": r.response}
	}
	switch {
	case r.failure != nil:
		status = http.StatusText(r.failure.Status)
		p["statusMessage"] = map[string]any{"error": r.failure.Body()}
	case r.state == running:
		status = "Created"
	}
	p["statusCode"] = strings.ReplaceAll(status, " ", "")
	op := strings.ToUpper(strings.ReplaceAll(arm.Derived("operation", d.id.String(), what, r.id.String()), "-", ""))[:16]
	return map[string]any{"id": d.id.String() + "/operations/" + op, "operationId": op, "properties": p}
}

// operations lists what a deployment does, while it does it and after.
func (ds *deployments) operations(v resource.View, id arm.ID) map[string]any {
	at := id.Top(1)
	if at.Provider == "" { // a path without the provider
		at = arm.ID{Subscription: id.Subscription, ResourceGroup: id.ResourceGroup, Provider: "Microsoft.Resources", Types: id.Types[:1], Names: id.Names[:1]}
	}
	doc := v.Get(at)
	if doc == nil {
		return nil
	}
	list, _ := doc.Hidden[operationsTag].([]any)
	if d := ds.find(at); d != nil {
		list = d.steps(v.Now())
	}
	if list == nil {
		list = []any{}
	}
	if len(id.Names) > 1 {
		i := slices.IndexFunc(list, func(x any) bool { return strings.EqualFold(arm.Text(x, "operationId"), id.Name()) })
		if i < 0 {
			return nil
		}
		op, _ := list[i].(map[string]any)
		return op
	}
	return map[string]any{"value": list}
}
