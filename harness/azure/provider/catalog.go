package provider

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
	"drydock.dev/drydock/harness/azure/state"
)

// catalogTypes are what clients look up before they make anything: where there is what, of which size, and how much is left of it. It is the same for every
// subscription, and a selection: of the regions, sizes, images and roles of the public cloud those that cluster tools ask for.
func catalogTypes() []*resource.Type {
	const images = "Microsoft.Compute/locations/publishers/artifacttypes/offers/skus/versions"
	return []*resource.Type{
		{Name: "tenants", In: resource.InTenant, Show: showTenants},
		{Name: "locations", Show: showLocations},
		{Name: "resources", All: true, No: resource.Every},
		{Name: "Microsoft.Compute/skus", Show: showSKUs},
		{Name: "Microsoft.Compute/locations/vmSizes", Show: showSizes},
		{Name: "Microsoft.Compute/locations/usages", Show: showComputeUsages},
		{Name: "Microsoft.Network/locations/usages", Show: showNetworkUsages},
		{Name: images, Bare: true, Show: showImages},
		{Name: "Microsoft.Authorization/roleDefinitions", Show: showRoles},
		{Name: "Microsoft.Storage/checkNameAvailability", No: resource.Every | resource.Reads, Actions: map[string]resource.Action{"checknameavailability": {Anew: true, Now: checkStorageName}}},
	}
}

func list[T any](rows []T, show func(T) map[string]any) map[string]any {
	all := make([]any, 0, len(rows))
	for _, r := range rows {
		all = append(all, show(r))
	}
	return map[string]any{"value": all}
}

func showTenants(v resource.View, _ arm.ID) map[string]any {
	return list([]string{v.Tenant()}, func(t string) map[string]any {
		return map[string]any{"id": "/tenants/" + t, "tenantId": t, "displayName": "Drydock", "tenantType": "AAD", "tenantCategory": "Home"}
	})
}

// region is one of the public cloud, as GET /subscriptions/{id}/locations has it.
type region struct{ name, display, geography string }

func regions() []region {
	return []region{
		{"eastus", "East US", "US"}, {"eastus2", "East US 2", "US"}, {"centralus", "Central US", "US"}, {"westus2", "West US 2", "US"}, {"westus3", "West US 3", "US"},
		{"westeurope", "West Europe", "Europe"}, {"northeurope", "North Europe", "Europe"}, {"uksouth", "UK South", "UK"}, {"francecentral", "France Central", "Europe"},
		{"germanywestcentral", "Germany West Central", "Europe"}, {"swedencentral", "Sweden Central", "Europe"}, {"southeastasia", "Southeast Asia", "Asia Pacific"}, {"japaneast", "Japan East", "Asia Pacific"},
		{"australiaeast", "Australia East", "Asia Pacific"},
	}
}

// Locations are the regions' names.
func Locations() []string {
	var out []string
	for _, r := range regions() {
		out = append(out, r.name)
	}
	return out
}

// Regions are the names of all regions of the public cloud (the list in LocationNotAvailableForResourceGroup's message, as users quote it); regions has
// what more is told of some.
func Regions() []string {
	return []string{
		"eastasia", "southeastasia", "australiaeast", "australiasoutheast", "australiacentral", "australiacentral2", "austriaeast", "belgiumcentral", "brazilsouth", "brazilsoutheast", "canadacentral", "canadaeast", "chilecentral",
		"denmarkeast", "francecentral", "francesouth", "germanywestcentral", "germanynorth", "centralindia", "southindia", "westindia", "jioindiawest", "jioindiacentral", "indonesiacentral", "israelcentral", "italynorth", "japaneast",
		"japanwest", "koreacentral", "koreasouth", "malaysiawest", "mexicocentral", "newzealandnorth", "northeurope", "westeurope", "norwayeast", "norwaywest", "polandcentral", "qatarcentral", "southafricanorth", "southafricawest",
		"spaincentral", "swedencentral", "swedensouth", "switzerlandnorth", "switzerlandwest", "uaenorth", "uaecentral", "uksouth", "ukwest", "centralus", "eastus", "eastus2", "centraluseuap", "eastus2euap", "northcentralus",
		"southcentralus", "westcentralus", "westus", "westus2", "westus3",
	}
}

func showLocations(_ resource.View, id arm.ID) map[string]any {
	return list(regions(), func(r region) map[string]any {
		return map[string]any{
			"id": "/subscriptions/" + id.Subscription + "/locations/" + r.name, "name": r.name, "type": "Region", "displayName": r.display, "regionalDisplayName": "(" + r.geography + ") " + r.display,
			"metadata": map[string]any{"regionType": "Physical", "regionCategory": "Recommended", "geographyGroup": r.geography},
		}
	})
}

// size is one of virtual machines (learn.microsoft.com/azure/virtual-machines/sizes).
type size struct {
	name, family            string
	cores, gigabytes, disks int
}

func sizes() []size {
	return []size{
		{"Standard_B2s", "standardBSFamily", 2, 4, 4}, {"Standard_B2ms", "standardBSFamily", 2, 8, 4}, {"Standard_D2s_v3", "standardDSv3Family", 2, 8, 4}, {"Standard_D4s_v3", "standardDSv3Family", 4, 16, 8},
		{"Standard_D8s_v3", "standardDSv3Family", 8, 32, 16}, {"Standard_D2s_v5", "standardDSv5Family", 2, 8, 4}, {"Standard_D4s_v5", "standardDSv5Family", 4, 16, 8}, {"Standard_E4s_v5", "standardESv5Family", 4, 32, 8},
		{"Standard_DS2_v2", "standardDSv2Family", 2, 7, 8}, {"Standard_F4s_v2", "standardFSv2Family", 4, 8, 8},
	}
}

func showSizes(_ resource.View, _ arm.ID) map[string]any {
	return list(sizes(), func(s size) map[string]any {
		return map[string]any{
			"name": s.name, "numberOfCores": s.cores, "memoryInMB": s.gigabytes << 10, "maxDataDiskCount": s.disks, "osDiskSizeInMB": 1047552, "resourceDiskSizeInMB": s.gigabytes << 11,
		}
	})
}

func showSKUs(_ resource.View, _ arm.ID) map[string]any {
	var where, zones []any
	for _, r := range regions() {
		where = append(where, r.name)
		zones = append(zones, map[string]any{"location": r.name, "zones": []any{"1", "2", "3"}, "zoneDetails": []any{}})
	}
	return list(sizes(), func(s size) map[string]any {
		capability := func(name string, value any) map[string]any {
			return map[string]any{"name": name, "value": fmt.Sprint(value)}
		}
		return map[string]any{
			"resourceType": "virtualMachines", "name": s.name, "tier": "Standard", "size": strings.TrimPrefix(s.name, "Standard_"), "family": s.family, "locations": where, "locationInfo": zones, "restrictions": []any{},
			"capabilities": []any{
				capability("vCPUs", s.cores), capability("MemoryGB", s.gigabytes), capability("MaxDataDiskCount", s.disks), capability("PremiumIO", "True"), capability("HyperVGenerations", "V1,V2"), capability("CpuArchitectureType", "x64"),
			},
		}
	})
}

// usage is one line of what a subscription has of something in a region: the limits of a new subscription.
func usage(name, display string, used, limit int) map[string]any {
	return map[string]any{"unit": "Count", "currentValue": used, "limit": limit, "name": map[string]any{"value": name, "localizedValue": display}}
}

// count is how many of a type there are in a region.
func count(v resource.View, subscription, region, namespace, typ string) (n int) {
	docs, _ := v.List(arm.ID{Subscription: subscription, Provider: namespace, Types: []string{typ}}, "", 1<<30)
	for _, d := range docs {
		if arm.SameLocation(arm.Text(d.Public(), "location"), region) {
			n++
		}
	}
	return n
}

func showComputeUsages(v resource.View, id arm.ID) map[string]any {
	machines, sets := count(v, id.Subscription, id.Name(), "Microsoft.Compute", "virtualMachines"), count(v, id.Subscription, id.Name(), "Microsoft.Compute", "virtualMachineScaleSets")
	return map[string]any{"value": []any{
		usage("availabilitySets", "Availability Sets", count(v, id.Subscription, id.Name(), "Microsoft.Compute", "availabilitySets"), 2500),
		usage("virtualMachines", "Virtual Machines", machines, 25000), usage("virtualMachineScaleSets", "Virtual Machine Scale Sets", sets, 2500),
	}}
}

func showNetworkUsages(v resource.View, id arm.ID) map[string]any {
	one := func(typ, name, display string, limit int) any {
		u := usage(name, display, count(v, id.Subscription, id.Name(), "Microsoft.Network", typ), limit)
		u["id"] = "/subscriptions/" + id.Subscription + "/providers/Microsoft.Network/locations/" + id.Name() + "/usages/" + name
		return u
	}
	return map[string]any{"value": []any{
		one("virtualNetworks", "VirtualNetworks", "Virtual Networks", 1000), one("networkInterfaces", "NetworkInterfaces", "Network Interfaces", 65536), one("publicIPAddresses", "PublicIPAddresses", "Public IP Addresses", 1000),
		one("loadBalancers", "LoadBalancers", "Load Balancers", 1000), one("networkSecurityGroups", "NetworkSecurityGroups", "Network Security Groups", 5000), one("routeTables", "RouteTables", "Route Tables", 200),
	}}
}

// showImages has a version of whatever image is asked for, and that one too: machines of the twin boot from none.
func showImages(_ resource.View, id arm.ID) map[string]any {
	one := func(version string) map[string]any {
		self := id
		self.Names = append(self.Names[:len(self.Types)-1:len(self.Types)-1], version)
		return map[string]any{"id": self.String(), "name": version, "location": id.Names[0]}
	}
	if !id.Collection() {
		body := one(id.Name())
		body["properties"] = map[string]any{"osDiskImage": map[string]any{"operatingSystem": "Linux"}, "dataDiskImages": []any{}, "hyperVGeneration": "V2", "architecture": "x64"}
		return body
	}
	return list([]string{"22.04.202611010"}, one)
}

// role is one that Azure has built in (learn.microsoft.com/azure/role-based-access-control/built-in-roles).
type role struct{ id, name, about string }

func roles() []role {
	return []role{
		{"8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "Owner", "Grants full access to manage all resources, including the ability to assign roles in Azure RBAC."},
		{"b24988ac-6180-42a0-ab88-20f7382dd24c", "Contributor", "Grants full access to manage all resources, but does not allow you to assign roles in Azure RBAC."},
		{"acdd72a7-3385-48ef-bd42-f606fba81ae7", "Reader", "View all resources, but does not allow you to make any changes."},
		{"18d7d88d-d35e-4fb5-a5c3-7773c20a72d9", "User Access Administrator", "Lets you manage user access to Azure resources."},
		{"4d97b98b-1d4f-4787-a291-c67834d212e7", "Network Contributor", "Lets you manage networks, but not access to them."},
		{"9980e02c-c2be-4d73-94e8-173b1dc7cf3c", "Virtual Machine Contributor", "Lets you manage virtual machines, but not access to them."},
		{"f1a07417-d97a-45cb-824c-7a7467783830", "Managed Identity Operator", "Read and Assign User Assigned Identity"},
	}
}

func showRoles(_ resource.View, id arm.ID) map[string]any {
	one := func(r role) map[string]any {
		return map[string]any{
			"id": "/subscriptions/" + id.Subscription + "/providers/Microsoft.Authorization/roleDefinitions/" + r.id, "name": r.id, "type": "Microsoft.Authorization/roleDefinitions",
			"properties": map[string]any{"roleName": r.name, "type": "BuiltInRole", "description": r.about, "assignableScopes": []any{"/"}, "permissions": []any{}},
		}
	}
	if id.Collection() {
		return list(roles(), one)
	}
	for _, r := range roles() {
		if strings.EqualFold(r.id, id.Name()) {
			return one(r)
		}
	}
	return nil
}

var storageName = regexp.MustCompile(`^[a-z0-9]{3,24}$`)

// checkStorageName tells whether an account may have a name. In Azure no subscription may have one of another's; here only the one that asks is looked at.
func checkStorageName(tx *resource.Tx, r *resource.Request, body map[string]any) (map[string]any, *arm.Error) {
	name := arm.Text(body, "name")
	accounts, _ := tx.List(arm.ID{Subscription: r.ID.Subscription, Provider: "Microsoft.Storage", Types: []string{"storageAccounts"}}, "", 1<<30)
	switch {
	case name == "":
		return nil, arm.Errorf(http.StatusBadRequest, "InvalidRequestContent", "The property 'name' is required.")
	case !storageName.MatchString(name):
		return map[string]any{"nameAvailable": false, "reason": "AccountNameInvalid",
			"message": name + " is not a valid storage account name. Storage account name must be between 3 and 24 characters in length and use numbers and lower-case letters only."}, nil
	case slices.ContainsFunc(accounts, func(d *state.Document) bool { return strings.EqualFold(d.ID.Name(), name) }):
		return map[string]any{"nameAvailable": false, "reason": "AlreadyExists", "message": "The storage account named " + name + " is already taken."}, nil
	}
	return map[string]any{"nameAvailable": true}, nil
}
