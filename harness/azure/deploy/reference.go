package deploy

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/deploy/template"
	"drydock.dev/drydock/harness/azure/resource"
)

// runtime gives a scope the functions of what is deployed.
func (d *deployment) runtime(v resource.View, s *template.Scope) {
	s.Reference = func(ref string, full bool) (any, error) { return d.reference(v, ref, full) }
	s.References = func(symbol string, full bool) (any, error) { return d.references(v, symbol, full) }
	s.List = func(action, ref string, values any) (any, error) { return d.list(v, action, ref, values) }
}

// named finds the resource that a reference means; nil: it means none of the template's.
func (d *deployment) named(ref string) (*deployed, error) {
	found := d.find(ref)
	switch {
	case len(found) == 0:
		return nil, nil
	case len(found) > 1:
		return nil, &template.Error{Message: fmt.Sprintf("The resource '%s' of the template function 'reference' is ambiguous: more than one resource of the template has that name. Please see https://aka.ms/arm-function-reference for usage details.", ref)}
	case found[0].one == nil:
		return nil, &template.Error{Message: fmt.Sprintf("The template function 'reference' is not valid for the resource collection '%s': use 'references', or name one of its resources.", ref)}
	}
	r := found[0].one
	if r.state == waiting || r.state == running {
		return nil, &notYet{r}
	}
	return r, nil
}

// reference gives what a resource of the deployment, or of the subscription, has for properties.
func (d *deployment) reference(v resource.View, ref string, full bool) (any, error) {
	own, err := d.named(ref)
	if err != nil {
		return nil, err
	}
	if own != nil {
		return d.runtimeOf(v, own, full)
	}
	id, ok := arm.ParseID(ref)
	if !ok {
		return nil, &template.Error{Message: fmt.Sprintf("The resource referenced in the template function 'reference' is not defined in the template: '%s'. Please see https://aka.ms/arm-function-reference for usage details.", ref)}
	}
	return d.runtimeOf(v, &deployed{id: id, typeName: id.Type(), existing: true, state: arm.Succeeded}, full)
}

// runtimeOf is a resource as reference gives it: its properties, or all of it with what the deployment knows of it (learn.microsoft.com "reference").
func (d *deployment) runtimeOf(v resource.View, r *deployed, full bool) (any, error) {
	body := v.Body(r.id)
	if body == nil {
		return nil, arm.NotFound(r.id)
	}
	if !full {
		p, _ := arm.At(body, "properties").(map[string]any)
		if p == nil {
			p = map[string]any{}
		}
		return p, nil
	}
	for _, k := range []string{"id", "name", "type", "etag"} {
		delete(body, k)
	}
	_, path, _ := strings.Cut(r.id.String(), "/providers/")
	body["apiVersion"], body["subscriptionId"], body["resourceGroupName"], body["resourceId"] = r.apiVersion, r.id.Subscription, r.id.ResourceGroup, path
	body["condition"], body["isConditionTrue"], body["isTemplateResource"], body["isAction"] = true, true, !r.existing, false
	body["provisioningOperation"], body["scope"], body["existing"] = "Read", "", r.existing
	if r.source != nil && !r.existing {
		body["provisioningOperation"] = "Create"
	}
	if r.symbol != "" {
		body["symbolicName"] = r.symbol
	}
	return body, nil
}

// references gives a loop's resources in their order, without those that are not deployed.
func (d *deployment) references(v resource.View, symbol string, full bool) (any, error) {
	found := d.find(symbol)
	if len(found) != 1 || found[0].all == nil {
		return nil, &template.Error{Message: fmt.Sprintf("The template function 'references' needs the symbolic name of a resource collection, and '%s' is none of the template. Please see https://aka.ms/arm-function-references for usage details.", symbol)}
	}
	out := []any{}
	for _, r := range found[0].all.turns {
		switch r.state {
		case skipped:
			continue
		case waiting, running:
			return nil, &notYet{r}
		}
		x, err := d.runtimeOf(v, r, full)
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

// list asks an action of a resource whose name begins with list, as a POST does.
func (d *deployment) list(v resource.View, action, ref string, values any) (any, error) {
	own, err := d.named(ref)
	if err != nil {
		return nil, err
	}
	id, ok := arm.ParseID(ref)
	if own != nil {
		id, ok = own.id, true
	}
	if !ok {
		return nil, &template.Error{Message: fmt.Sprintf("The resource referenced in the template function '%s' is not defined in the template: '%s'. Please see https://aka.ms/arm-function-list for usage details.", action, ref)}
	}
	if v.Body(id) == nil {
		return nil, arm.NotFound(id)
	}
	typ := v.TypeOf(id)
	var a resource.Action
	if typ != nil {
		a = typ.Actions[strings.ToLower(action)]
	}
	if a.Now == nil {
		return nil, &template.Error{Message: fmt.Sprintf("The template function '%s' is not valid: the type '%s' has no such action. Please see https://aka.ms/arm-functions for usage details.", action, id.Type())}
	}
	body, _ := values.(map[string]any)
	at := id
	at.Types = append(append([]string{}, id.Types...), action)
	call := d.caller
	answer, bad := a.Now(&resource.Tx{View: v}, &resource.Request{
		Request: &http.Request{Method: http.MethodPost, URL: &url.URL{Path: at.String()}, Header: http.Header{}}, Call: &call, ID: at, Type: typ, Query: url.Values{}, Told: http.Header{},
	}, body)
	if bad != nil {
		return nil, bad
	}
	return answer, nil
}
