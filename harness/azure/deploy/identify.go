package deploy

import (
	"net/http"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
)

// identify finds what a resource is called, of which type it is, and where it is made.
func (d *deployment) identify(v resource.View, r, parent *deployed) *arm.Error {
	name, bad := d.word(r, "name", true)
	if bad != nil {
		return bad
	}
	typ, bad := d.word(r, "type", true)
	if bad != nil {
		return bad
	}
	if parent != nil && !strings.Contains(strings.SplitN(typ, "/", 2)[0], ".") { // a child within its parent
		typ, name = parent.typeName+"/"+typ, parent.name+"/"+name
	}
	r.name, r.typeName = name, typ
	if r.apiVersion, bad = d.word(r, "apiVersion", false); bad != nil {
		return bad
	}
	if r.apiVersion == "" {
		return r.invalid("The template resource '%s' %s is not valid. The api-version is missing. Please see https://aka.ms/arm-syntax-resources for usage details.", name, r.at.Place())
	}
	names := strings.Split(name, "/")
	if strings.Count(typ, "/") != len(names) {
		return r.invalid("The template resource '%s' for type '%s' %s has incorrect segment lengths. A nested resource type must have identical number of segments as its resource name. A root resource type must have segment length one greater than its resource name. Please see https://aka.ms/arm-syntax-resources for usage details.", name, typ, r.at.Place())
	}
	path, bad := d.place(r, typ, names)
	if bad != nil {
		return bad
	}
	id, ok := arm.ParseID(path)
	if !ok {
		return r.invalid("The template resource '%s' is of a scope that is not one of the twin's: '%s'.", name, path)
	}
	r.id, r.typ = id, v.TypeOf(id)
	if strings.EqualFold(typ, groupType) {
		r.typ = v.TypeNamed("resourceGroups")
	}
	if r.typ == nil && !r.existing {
		return arm.Gatewayf(http.StatusBadRequest, "InvalidTemplate", "Deployment template validation failed: 'The resource type '%s' could not be found in the namespace '%s''.", typ, strings.SplitN(typ, "/", 2)[0])
	}
	return nil
}

// word evaluates a text of a resource that must be known before anything is deployed.
func (d *deployment) word(r *deployed, name string, needed bool) (string, *arm.Error) {
	written := arm.At(r.source, name)
	if written == nil && !needed {
		return "", nil
	}
	v, err := r.scope.Eval(written)
	if err != nil {
		return "", templateError(err, arm.Text(r.source, "name"), r.at.At(name).Place())
	}
	s, ok := v.(string)
	if !ok || s == "" && needed {
		return "", r.invalid("The template resource property '%s' is not a string that is not empty. Please see https://aka.ms/arm-syntax-resources for usage details.", name)
	}
	return s, nil
}

// place is the path of a resource: below what its scope says, in the subscription and the group it names (a nested deployment, and what exists), or where
// the deployment is.
func (d *deployment) place(r *deployed, typ string, names []string) (string, *arm.Error) {
	scope, bad := d.word(r, "scope", false)
	if bad != nil {
		return "", bad
	}
	subscription, bad := d.word(r, "subscriptionId", false)
	if bad != nil {
		return "", bad
	}
	group, bad := d.word(r, "resourceGroup", false)
	if bad != nil {
		return "", bad
	}
	isDeployment := strings.EqualFold(typ, typeName)
	if (subscription != "" || group != "") && !isDeployment && !r.existing {
		return "", r.invalid("The template resource '%s' of type '%s' has a 'subscriptionId' or a 'resourceGroup': only nested deployments do. Please see https://aka.ms/arm-deployment-subscription for usage details.", r.name, typ)
	}
	if strings.EqualFold(typ, groupType) && d.id.ResourceGroup != "" && scope == "" && subscription == "" {
		return "", r.invalid("The template resource '%s' of type '%s' is deployed to a subscription and not to a resource group. Please see https://aka.ms/arm-deployment-subscription for usage details.", r.name, typ)
	}
	base, in := "/subscriptions/"+d.id.Subscription, d.id.ResourceGroup
	switch {
	case scope == "/":
		return "", forbidden(d.caller.Principal, typ+"/write", scope)
	case scope != "":
		if !strings.HasPrefix(scope, "/") { // a resource's type and names, as extensions have it: Microsoft.Compute/virtualMachines/vm
			scope = base + groupPath(in) + "/providers/" + scope
		}
		return joined(scope, "", typ, names), nil
	case subscription != "":
		base, in = "/subscriptions/"+subscription, group
	case group != "":
		in = group
	}
	return joined(base, in, typ, names), nil
}

func groupPath(group string) string {
	if group == "" {
		return ""
	}
	return "/resourceGroups/" + group
}
