package deploy

import (
	"maps"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/deploy/template"
	"drydock.dev/drydock/harness/azure/resource"
)

// asked is what a deployment is asked to be, and how that was written, if it is known: all of it, or the template.
type asked struct {
	body         map[string]any
	at, template template.Source
	around       []string // what is secure in the deployments around it
	withheld     []string // parameters whose values nobody knows any more
	base         string   // where the template around it was linked to, or its own; empty: nowhere

	link, parametersLink map[string]any // that were resolved, as they are told
}

// sent is what a client has asked for.
func sent(r *resource.Request, body map[string]any) asked {
	text, place := arm.LenientPlaces(r.Text)
	return asked{body: body, at: template.ReadSource(text, r.Text, place)}
}

// prepare reads a deployment's template and finds everything that is wrong before anything is made.
func (ds *deployments) prepare(v resource.View, id arm.ID, caller arm.Call, a asked) (*deployment, *arm.Error) {
	d := &deployment{all: ds, id: id, caller: caller, begun: v.Now(), around: a.around}
	d.link, d.parametersLink, d.base = a.link, a.parametersLink, a.base
	p, bad := d.request(a)
	if bad != nil {
		return nil, bad
	}
	if bad = d.readOnError(v, p, a.at); bad != nil {
		return nil, bad
	}
	doc, bad := templateOf(p, a.at)
	if bad != nil {
		return nil, bad
	}
	if !a.template.Exists() {
		a.template = a.at.At("properties", "template")
	}
	var err error
	if d.tpl, err = template.Parse(doc, a.template); err != nil {
		return nil, templateError(err, "", template.Place{})
	}
	d.hash = d.tpl.At.Hash()
	if d.scope, bad = d.newScope(v, doc); bad != nil {
		return nil, bad
	}
	given, _ := arm.At(p, "parameters").(map[string]any)
	if inner, ok := arm.At(given, "parameters").(map[string]any); ok && arm.Text(given, "$schema") != "" { // a parameters file as it is
		given = inner
	}
	if bad := secrets(v, given); bad != nil {
		return nil, bad
	}
	if len(a.withheld) > 0 {
		given = maps.Clone(given)
		if given == nil {
			given = map[string]any{}
		}
		for _, name := range a.withheld {
			given[name] = template.Unknown{Err: notKept(name)}
		}
	}
	if err := d.tpl.Bind(d.scope, given); err != nil {
		return nil, d.conceal(templateError(err, "", template.Place{}))
	}
	if err := d.tpl.CheckOutputs(d.scope); err != nil {
		return nil, d.conceal(templateError(err, "", template.Place{}))
	}
	if bad := d.expand(v); bad != nil {
		return nil, d.conceal(bad)
	}
	return d, d.order()
}

// request reads what a deployment is asked to be beside its template.
func (d *deployment) request(a asked) (map[string]any, *arm.Error) {
	body := a.body
	p, ok := arm.At(body, "properties").(map[string]any)
	if !ok {
		return nil, invalidContent(a.at, "", "Required property 'properties' not found in JSON.")
	}
	mode, ok := arm.At(p, "mode").(string)
	if !ok || mode == "" {
		return nil, invalidContent(a.at.At("properties"), "properties", "Required property 'mode' not found in JSON.")
	}
	i := slices.IndexFunc([]string{"Incremental", "Complete"}, func(m string) bool { return strings.EqualFold(m, mode) })
	if i < 0 {
		return nil, invalidContent(a.at.At("properties", "mode"), "properties.mode", "Error converting value \"%s\" to type 'Azure.Deployments.Core.Definitions.DeploymentMode'.", mode)
	}
	d.mode = []string{"Incremental", "Complete"}[i]
	d.location, d.debug = arm.Text(body, "location"), arm.Text(p, "debugSetting", "detailLevel")
	d.tags, _ = arm.Field(body, "tags").(map[string]any)
	if d.id.ResourceGroup == "" {
		if d.location == "" {
			return nil, arm.Gatewayf(400, "LocationRequired", "The location property is required for this definition.")
		}
		if d.complete() {
			return nil, arm.Gatewayf(400, "InvalidDeploymentMode", "The deployment mode 'Complete' is not supported at the scope of a subscription: only 'Incremental' is.")
		}
	} else if d.location != "" {
		return nil, arm.Gatewayf(400, "InvalidDeployment", "The 'location' property is not allowed for '%s' at resource group scope. Please see https://aka.ms/arm-deployment-subscription for usage details.", d.id.Name())
	}
	return p, nil
}

func templateOf(p map[string]any, at template.Source) (map[string]any, *arm.Error) {
	written := arm.At(p, "template")
	if _, ok := written.(string); ok { // github.com/Azure/azure-rest-api-specs#16759
		return nil, invalidContent(at.At("properties", "template"), "properties.template", "Error converting value to type 'Azure.Deployments.Core.Definitions.Schema.Template'.")
	}
	doc, ok := written.(map[string]any)
	if !ok {
		return nil, arm.Gatewayf(400, "InvalidTemplateDeployment", "The deployment has neither a template nor a templateLink.")
	}
	return doc, nil
}

// newScope is what the template's expressions see of where it is deployed.
func (d *deployment) newScope(v resource.View, doc map[string]any) (*template.Scope, *arm.Error) {
	s := &template.Scope{
		Now:          v.Now(),
		Tenant:       map[string]any{"tenantId": v.Tenant(), "displayName": "Drydock", "id": "/tenants/" + v.Tenant()},
		Subscription: map[string]any{"id": "/subscriptions/" + d.id.Subscription, "subscriptionId": d.id.Subscription, "tenantId": v.Tenant(), "displayName": "Drydock"},
		Deployment:   map[string]any{"name": d.id.Name(), "properties": map[string]any{"mode": d.mode, "provisioningState": "Accepted", "parameters": map[string]any{}, "template": doc, "templateHash": d.hash}},
		ResourceID:   d.resourceID,
		Provider:     d.provider(v),
		Zones:        zones,
	}
	if d.link != nil {
		arm.Object(s.Deployment, "properties")["templateLink"] = maps.Clone(d.link)
	}
	if d.location != "" {
		s.Deployment["location"] = d.location
	}
	if d.id.ResourceGroup != "" {
		group := v.Get(arm.GroupID(d.id))
		if group == nil {
			return nil, arm.NotFound(arm.GroupID(d.id))
		}
		s.ResourceGroup = group.Public()
	}
	return s, nil
}

// provider gives the documents of resource providers.
func (d *deployment) provider(v resource.View) func(string) map[string]any {
	return func(namespace string) map[string]any {
		id, ok := arm.ParseID("/subscriptions/" + d.id.Subscription + "/providers/" + namespace)
		if typ := v.TypeOf(id); ok && typ != nil && typ.Show != nil {
			return typ.Show(v, id)
		}
		return nil
	}
}

// resourceID is the function of that name: the deployment's own subscription and group unless others are named. In a subscription a first name is the
// subscription's, for there is no group.
func (d *deployment) resourceID(subscription, group, typ string, names []string) (string, error) {
	if d.id.ResourceGroup == "" && subscription == "" && group != "" {
		subscription, group = group, ""
	}
	id := arm.ID{Subscription: d.id.Subscription, ResourceGroup: d.id.ResourceGroup}
	if subscription != "" {
		id.Subscription = subscription
	}
	if group != "" {
		id.ResourceGroup = group
	}
	return joined("/subscriptions/"+id.Subscription, id.ResourceGroup, typ, names), nil
}

// joined is the id of a type and its names below a subscription, or below anything else where group is empty.
func joined(scope, group, typ string, names []string) string {
	var b strings.Builder
	b.WriteString(strings.TrimSuffix(scope, "/"))
	if strings.EqualFold(typ, groupType) && group == "" && len(names) == 1 {
		return b.String() + "/resourceGroups/" + names[0]
	}
	if group != "" {
		b.WriteString("/resourceGroups/" + group)
	}
	parts := strings.Split(typ, "/")
	b.WriteString("/providers/" + parts[0])
	for i, n := range names {
		b.WriteString("/" + parts[i+1] + "/" + n)
	}
	return b.String()
}

// groupType is a resource group as templates name it.
const groupType = "Microsoft.Resources/resourceGroups"

// zones: three in a region that has them. The regions are those of learn.microsoft.com "Azure regions list" with availability zones; the types are the
// twin's zonal ones.
func zones(provider, typ, location string) int {
	zonal := []string{"Microsoft.Compute/virtualMachines", "Microsoft.Compute/virtualMachineScaleSets", "Microsoft.Compute/disks", "Microsoft.Network/publicIPAddresses", "Microsoft.Network/loadBalancers"}
	regions := []string{
		"australiaeast", "brazilsouth", "canadacentral", "centralindia", "centralus", "eastasia", "eastus", "eastus2", "francecentral", "germanywestcentral", "italynorth", "japaneast",
		"koreacentral", "northeurope", "norwayeast", "polandcentral", "qatarcentral", "southafricanorth", "southcentralus", "southeastasia", "spaincentral", "swedencentral",
		"switzerlandnorth", "uaenorth", "uksouth", "westeurope", "westus2", "westus3",
	}
	is := func(list []string, what string) bool {
		return slices.ContainsFunc(list, func(x string) bool { return strings.EqualFold(x, what) })
	}
	if is(zonal, provider+"/"+typ) && is(regions, strings.ReplaceAll(location, " ", "")) {
		return 3
	}
	return 0
}
