package provider

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
)

// networkTypes are Microsoft.Network's.
func networkTypes() []*resource.Type {
	const ns = "Microsoft.Network/"
	return []*resource.Type{
		{Name: ns + "networkInterfaces", Located: true, Tagged: true, Check: checkNIC, Fill: fillNIC, Held: heldNIC},
		{Name: ns + "publicIPAddresses", Located: true, Tagged: true, Fill: fillPublicIP, Held: referenced("PublicIPAddressCannotBeDeleted", "Public IP address %s can not be deleted since it is still allocated to resource %s.", "publicIPAddress")},
		{Name: ns + "publicIPPrefixes", Located: true, Tagged: true},
		{Name: ns + "loadBalancers", Located: true, Tagged: true, Fill: fillLoadBalancer},
		{Name: ns + "loadBalancers/backendAddressPools", Inside: "backendAddressPools"},
		{Name: ns + "loadBalancers/frontendIPConfigurations", Inside: "frontendIPConfigurations"},
		{Name: ns + "networkSecurityGroups", Located: true, Tagged: true, Fill: resource.NameInside("securityRules", ns+"networkSecurityGroups/securityRules"),
			Held: referenced("InUseNetworkSecurityGroupCannotBeDeleted", "Network security group %s cannot be deleted because it is in use by the following resources: %s.", "networkSecurityGroup")},
		{Name: ns + "networkSecurityGroups/securityRules", Inside: "securityRules"},
		{Name: ns + "routeTables", Located: true, Tagged: true, Fill: resource.NameInside("routes", ns+"routeTables/routes"),
			Held: referenced("InUseRouteTableCannotBeDeleted", "Route table %s is in use and cannot be deleted: %s.", "routeTable")},
		{Name: ns + "routeTables/routes", Inside: "routes"},
		{Name: ns + "virtualNetworks", Located: true, Tagged: true, Fill: resource.NameInside("subnets", ns+"virtualNetworks/subnets"), Held: heldNetwork},
		{Name: ns + "virtualNetworks/subnets", Inside: "subnets", Held: heldSubnet},
		{Name: ns + "natGateways", Located: true, Tagged: true},
		{Name: ns + "applicationSecurityGroups", Located: true, Tagged: true},
		{Name: ns + "privateEndpoints", Located: true, Tagged: true},
		{Name: ns + "privateLinkServices", Located: true, Tagged: true},
	}
}

func checkNIC(tx *resource.Tx, id arm.ID, body, old map[string]any) *arm.Error {
	configs := arm.Objects(body, "properties", "ipConfigurations")
	if len(configs) == 0 {
		return arm.Errorf(http.StatusBadRequest, "NetworkInterfaceMustHaveOneIpConfiguration", "Network interface %s must have at least one IP configuration.", id)
	}
	for _, c := range configs {
		for _, ref := range []string{arm.Text(c, "properties", "subnet", "id"), arm.Text(c, "properties", "publicIPAddress", "id")} {
			if ref != "" && !tx.Exists(ref) {
				return arm.InvalidReference(ref, id)
			}
		}
	}
	if vm := arm.At(old, "properties", "virtualMachine"); vm != nil { // the machine it is attached to is the provider's to say
		arm.Object(body, "properties")["virtualMachine"] = vm
	}
	return nil
}

func fillNIC(_ *resource.Tx, id arm.ID, body, _ map[string]any) {
	sum := arm.Derived(id.String())
	mac, _ := strconv.ParseUint(sum[:6], 16, 64)
	p := arm.Object(body, "properties")
	p["macAddress"] = fmt.Sprintf("00-0D-3A-%02X-%02X-%02X", mac>>16&0xff, mac>>8&0xff, mac&0xff)
	p["resourceGuid"] = arm.Derived("guid", id.String())
	for i, c := range arm.Objects(body, "properties", "ipConfigurations") {
		c["id"], c["type"] = id.String()+"/ipConfigurations/"+arm.Text(c, "name"), "Microsoft.Network/networkInterfaces/ipConfigurations"
		cp := arm.Object(c, "properties")
		cp["provisioningState"] = arm.Succeeded
		if arm.Text(cp, "privateIPAddress") == "" {
			cp["privateIPAddress"] = fmt.Sprintf("10.240.%d.%d", mac>>8&0xff, max(4, (int(mac)+i)&0xff))
		}
		if arm.Text(cp, "privateIPAllocationMethod") == "" {
			cp["privateIPAllocationMethod"] = "Dynamic"
		}
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

func fillPublicIP(_ *resource.Tx, id arm.ID, body, _ map[string]any) {
	n, _ := strconv.ParseUint(arm.Derived(id.String())[:4], 16, 64)
	p := arm.Object(body, "properties")
	if arm.Text(p, "ipAddress") == "" {
		p["ipAddress"] = fmt.Sprintf("20.50.%d.%d", n>>8&0xff, n&0xff)
	}
	if arm.Text(p, "publicIPAddressVersion") == "" {
		p["publicIPAddressVersion"] = "IPv4"
	}
}

func fillLoadBalancer(_ *resource.Tx, id arm.ID, body, _ map[string]any) {
	for _, property := range []string{
		"frontendIPConfigurations", "backendAddressPools", "loadBalancingRules", "probes", "outboundRules", "inboundNatRules", "inboundNatPools",
	} {
		resource.NameChildren(id, body, property, "Microsoft.Network/loadBalancers/"+property)
	}
}

// referenced refuses to delete what another resource of the group's subscription names in a property.
func referenced(code, message, property string) func(tx *resource.Tx, id arm.ID) *arm.Error {
	return func(tx *resource.Tx, id arm.ID) *arm.Error {
		want := `"` + property + `":{`
		for _, d := range tx.All() {
			if strings.EqualFold(d.ID.Provider, "Microsoft.Network") && strings.EqualFold(d.ID.Subscription, id.Subscription) && strings.Contains(string(d.Raw), want) &&
				names(d.Body(), property, id.String()) {
				return arm.Errorf(http.StatusBadRequest, code, message, id, d.ID)
			}
		}
		return nil
	}
}

// names looks for {property: {id: ref}} anywhere in a document.
func names(v any, property, ref string) bool {
	switch x := v.(type) {
	case map[string]any:
		for k, val := range x {
			if strings.EqualFold(k, property) && strings.EqualFold(arm.Text(val, "id"), ref) || names(val, property, ref) {
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
