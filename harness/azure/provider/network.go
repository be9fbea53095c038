package provider

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
)

// networkTypes are Microsoft.Network's.
func networkTypes() []*resource.Type {
	const ns = "Microsoft.Network/"
	return slices.Concat(networkViews(), plainNetworkTypes(), privateZones(), []*resource.Type{
		networkInterfaces(),
		{
			Name: ns + "publicIPAddresses", Located: true, Tagged: true, AtOnce: resource.Patches, Rules: []resource.Rule{skuUnchanged}, Check: checkPublicIP, Fill: fillPublicIP,
			// As specification/network/…/2023-09-01/examples/PublicIpAddressCreateDefaults.json has it; tier as of a capture of the public cloud.
			Defaults: map[string]any{
				"properties.publicIPAddressVersion": "IPv4", "properties.publicIPAllocationMethod": "Dynamic", "properties.idleTimeoutInMinutes": 4, "sku.name": "Basic", "sku.tier": "Regional",
			},
			Held: heldPublicIP, Refs: []resource.Ref{{From: "properties.publicIPPrefix", Back: "publicIPAddresses[]"}},
		},
		publicPrefixes(),
		loadBalancers(),
		{Name: ns + "loadBalancers/backendAddressPools", Inside: "backendAddressPools", Held: heldPool},
		{
			Name: ns + "loadBalancers/frontendIPConfigurations", Inside: "frontendIPConfigurations", No: resource.Every,
			Defaults: map[string]any{"properties.privateIPAllocationMethod": "Dynamic"},
		},
		{Name: ns + "loadBalancers/loadBalancingRules", Inside: "loadBalancingRules", No: resource.Every},
		{Name: ns + "loadBalancers/probes", Inside: "probes", No: resource.Every},
		{Name: ns + "loadBalancers/outboundRules", Inside: "outboundRules", No: resource.Every},
		{Name: ns + "loadBalancers/inboundNatRules", Inside: "inboundNatRules"},
		{Name: ns + "networkInterfaces/ipConfigurations", Inside: "ipConfigurations", No: resource.Every},
		{Name: ns + "networkSecurityGroups", Located: true, Tagged: true, AtOnce: resource.Patches, Check: checkSecurityGroup, Fill: fillSecurityGroup,
			Held: referenced("InUseNetworkSecurityGroupCannotBeDeleted", "Network security group %s cannot be deleted because it is in use by the following resources: %s.", "networkSecurityGroup")},
		{Name: ns + "networkSecurityGroups/securityRules", Inside: "securityRules"},
		{Name: ns + "networkSecurityGroups/defaultSecurityRules", Inside: "defaultSecurityRules", No: resource.Every},
		{Name: ns + "routeTables", Located: true, Tagged: true, AtOnce: resource.Patches, Fill: resource.NameInside("routes", ns+"routeTables/routes"),
			Held: referenced("InUseRouteTableCannotBeDeleted", "Route table %s is in use and cannot be deleted: %s.", "routeTable")},
		{Name: ns + "routeTables/routes", Inside: "routes"},
		{Name: ns + "virtualNetworks", Located: true, Tagged: true, AtOnce: resource.Patches, Check: checkNetwork, Fill: fillNetwork, Changed: changedNetwork, Held: heldNetwork, Refs: subnetRefs()},
		{Name: ns + "virtualNetworks/subnets", Inside: "subnets", Held: heldSubnet},
		networkPeerings(),
		natGateways(),
		{Name: ns + "applicationSecurityGroups", Located: true, Tagged: true, AtOnce: resource.Patches},
		{Name: ns + "privateEndpoints", Located: true, Tagged: true, No: resource.Patches},
		{Name: ns + "privateLinkServices", Located: true, Tagged: true, No: resource.Patches},
	})
}

// networkInterfaces fills in what specification/network/…/2023-09-01/examples/NetworkInterfaceCreate.json shows that its request does not say; clients that
// trust it panic without. Subnets are not told of the interfaces in them: of one with thousands each write would be one of all.
func networkInterfaces() *resource.Type {
	const ip = "properties.ipConfigurations[].properties."
	return &resource.Type{
		Name: "Microsoft.Network/networkInterfaces", Located: true, Tagged: true, AtOnce: resource.Patches, Check: checkNIC, Fill: fillNIC, Held: heldNIC, Actions: effective(),
		Defaults: map[string]any{
			ip + "privateIPAddressVersion": "IPv4", ip + "privateIPAllocationMethod": "Dynamic",
			"properties.enableAcceleratedNetworking": false, "properties.enableIPForwarding": false, "properties.vnetEncryptionSupported": false, "properties.disableTcpStateTracking": false,
			"properties.dnsSettings.dnsServers": []any{}, "properties.dnsSettings.appliedDnsServers": []any{},
		},
		// A balancer is deleted with interfaces in its pools: the cloud provider takes only scale sets out first (cleanOrphanedLoadBalancer in cloud-provider-azure).
		Refs: []resource.Ref{{From: ip + "loadBalancerBackendAddressPools[]", Back: "backendIPConfigurations[]", Loose: true}, {From: ip + "publicIPAddress", Back: "ipConfiguration"}},
	}
}

// loadBalancers fills in what armnetwork's models say is the default, and skus as of a capture of the public cloud.
func loadBalancers() *resource.Type {
	const frontend, rule, outbound = "properties.frontendIPConfigurations[].properties.", "properties.loadBalancingRules[].properties.", "properties.outboundRules[].properties."
	return &resource.Type{
		Name: "Microsoft.Network/loadBalancers", Located: true, Tagged: true, AtOnce: resource.Patches, Rules: []resource.Rule{skuUnchanged}, Fill: fillLoadBalancer,
		Defaults: map[string]any{
			"sku.name": "Basic", "sku.tier": "Regional", rule + "idleTimeoutInMinutes": 4, rule + "enableFloatingIP": false, rule + "enableTcpReset": false, rule + "disableOutboundSnat": false,
			rule + "loadDistribution": "Default", "properties.probes[].properties.intervalInSeconds": 15,
		},
		Refs: []resource.Ref{
			{From: frontend + "publicIPAddress", Back: "ipConfiguration"}, {From: rule + "frontendIPConfiguration", Back: "loadBalancingRules[]"}, {From: rule + "backendAddressPool", Back: "loadBalancingRules[]"},
			{From: outbound + "frontendIPConfigurations[]", Back: "outboundRules[]"}, {From: outbound + "backendAddressPool", Back: "outboundRules[]"},
		},
	}
}

func checkNIC(tx *resource.Tx, id arm.ID, body, _ map[string]any) *arm.Error {
	configs := arm.Objects(body, "properties", "ipConfigurations")
	if len(configs) == 0 {
		return arm.Errorf(http.StatusBadRequest, "NetworkInterfaceMustHaveOneIpConfiguration", "Network interface %s must have at least one IP configuration.", id)
	}
	static := map[string]bool{}
	for _, c := range configs {
		if address := arm.Text(c, "properties", "privateIPAddress"); address != "" && strings.EqualFold(arm.Text(c, "properties", "privateIPAllocationMethod"), "Static") {
			if in := strings.ToLower(arm.Text(c, "properties", "subnet", "id")) + " " + address; static[in] {
				return arm.Errorf(http.StatusBadRequest, "PrivateIPAddressIsAllocated", "IP configuration %s/ipConfigurations/%s is using the private IP address %s which is already allocated to resource %[1]s.", id, arm.Text(c, "name"), address)
			}
			static[strings.ToLower(arm.Text(c, "properties", "subnet", "id"))+" "+address] = true
		}
		for _, ref := range []string{arm.Text(c, "properties", "subnet", "id"), arm.Text(c, "properties", "publicIPAddress", "id")} {
			if ref != "" && !tx.Exists(ref) {
				return arm.InvalidReference(ref, id)
			}
		}
		if bad := checkAddress(tx.View, id, c); bad != nil {
			return bad
		}
	}
	return nil
}

func fillNIC(tx *resource.Tx, id arm.ID, body, old map[string]any) {
	sum := arm.Derived(id.String())
	mac, _ := strconv.ParseUint(sum[:6], 16, 64)
	p := arm.Object(body, "properties")
	p["macAddress"] = fmt.Sprintf("00-0D-3A-%02X-%02X-%02X", mac>>16&0xff, mac>>8&0xff, mac&0xff)
	p["resourceGuid"] = arm.Derived("guid", id.String())
	for _, own := range []string{"macAddress", "resourceGuid"} { // it was given them where it was then
		if was := arm.At(old, "properties", own); was != nil {
			p[own] = was
		}
	}
	configs := arm.Objects(body, "properties", "ipConfigurations")
	allocate(tx, id, configs, arm.Objects(old, "properties", "ipConfigurations"))
	for i, c := range configs {
		c["id"], c["type"], c["etag"] = id.String()+"/ipConfigurations/"+arm.Text(c, "name"), "Microsoft.Network/networkInterfaces/ipConfigurations", ""
		cp := arm.Object(c, "properties")
		cp["provisioningState"] = arm.Succeeded
		if _, ok := cp["primary"]; !ok {
			cp["primary"] = i == 0
		}
	}
}

func heldNIC(tx *resource.Tx, id arm.ID) *arm.Error {
	if vm := arm.Text(tx.Get(id).Body(), "properties", "virtualMachine", "id"); vm != "" {
		return arm.Errorf(http.StatusBadRequest, "NicInUse", "Network Interface %s is used by existing resource %s. In order to delete the network interface, it must be dissociated from the resource. To learn more, see aka.ms/deletenic.", id, vm)
	}
	return nil
}

func fillNetwork(_ *resource.Tx, id arm.ID, body, _ map[string]any) {
	for _, property := range []string{"subnets", "virtualNetworkPeerings"} {
		resource.NameChildren(id, body, property, "Microsoft.Network/virtualNetworks/"+property)
	}
}

// heldPool refuses to delete a pool by itself that an interface is in (terraform-provider-azurerm#10496 reports it). With its balancer, or by a PUT of
// that without it, it goes, and interfaces are taken out of it: what Azure does there is not recorded.
func heldPool(tx *resource.Tx, id arm.ID) *arm.Error {
	if len(arm.Objects(tx.Body(id), "properties", "backendIPConfigurations")) == 0 {
		return nil
	}
	return arm.Errorf(http.StatusBadRequest, "ModificationOfNICIpConfigBackendPoolNotSupported",
		"Operation on backend pool %s not allowed since it adds/modifies/deletes backend address pool members that are specified with a network interface IP configuration.", id)
}

func fillLoadBalancer(tx *resource.Tx, id arm.ID, body, old map[string]any) {
	allocate(tx, id, arm.Objects(body, "properties", "frontendIPConfigurations"), arm.Objects(old, "properties", "frontendIPConfigurations"))
	for _, property := range []string{
		"frontendIPConfigurations", "backendAddressPools", "loadBalancingRules", "probes", "outboundRules", "inboundNatRules", "inboundNatPools",
	} {
		resource.NameChildren(id, body, property, "Microsoft.Network/loadBalancers/"+property)
	}
}

// referenced refuses to delete what another resource of Microsoft.Network names in a property.
func referenced(code, message, property string) func(tx *resource.Tx, id arm.ID) *arm.Error {
	return func(tx *resource.Tx, id arm.ID) *arm.Error {
		for _, d := range tx.Naming(id) {
			if strings.EqualFold(d.ID.Provider, "Microsoft.Network") && names(d.Body(), property, id.String()) {
				return arm.Errorf(http.StatusBadRequest, code, message, id, d.ID)
			}
		}
		return nil
	}
}

// names looks for {property: {id: ref}}, or a list of such, anywhere in a document.
func names(v any, property, ref string) bool {
	switch x := v.(type) {
	case map[string]any:
		for k, val := range x {
			if strings.EqualFold(k, property) && (strings.EqualFold(arm.Text(val, "id"), ref) || slices.ContainsFunc(arm.Objects(x, k), func(m map[string]any) bool { return strings.EqualFold(arm.Text(m, "id"), ref) })) || names(val, property, ref) {
				return true
			}
		}
	case []any:
		for _, val := range x {
			if names(val, property, ref) {
				return true
			}
		}
	}
	return false
}

func heldSubnet(tx *resource.Tx, id arm.ID) *arm.Error {
	return referenced("InUseSubnetCannotBeDeleted", "Subnet %s is in use by %s and cannot be deleted. In order to delete the subnet, delete all the resources within the subnet. See aka.ms/deletesubnet.", "subnet")(tx, id)
}

func heldNetwork(tx *resource.Tx, id arm.ID) *arm.Error {
	for _, s := range arm.Objects(tx.Get(id).Body(), "properties", "subnets") {
		sub, ok := arm.ParseID(arm.Text(s, "id"))
		if ok {
			if bad := heldSubnet(tx, sub); bad != nil {
				return bad
			}
		}
	}
	return nil
}
