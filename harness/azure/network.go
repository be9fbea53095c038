package azure

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// networkTypes are Microsoft.Network's.
func networkTypes() []*Type {
	const ns = "Microsoft.Network/"
	return []*Type{
		{name: ns + "networkInterfaces", located: true, tagged: true, check: checkNIC, fill: fillNIC, held: heldNIC},
		{name: ns + "publicIPAddresses", located: true, tagged: true, fill: fillPublicIP, held: referenced("PublicIPAddressCannotBeDeleted", "Public IP address %s can not be deleted since it is still allocated to resource %s.", "publicIPAddress")},
		{name: ns + "publicIPPrefixes", located: true, tagged: true},
		{name: ns + "loadBalancers", located: true, tagged: true, fill: fillLoadBalancer},
		{name: ns + "loadBalancers/backendAddressPools", inside: "backendAddressPools"},
		{name: ns + "loadBalancers/frontendIPConfigurations", inside: "frontendIPConfigurations"},
		{name: ns + "networkSecurityGroups", located: true, tagged: true, fill: nameInside("securityRules", ns+"networkSecurityGroups/securityRules"),
			held: referenced("InUseNetworkSecurityGroupCannotBeDeleted", "Network security group %s cannot be deleted because it is in use by the following resources: %s.", "networkSecurityGroup")},
		{name: ns + "networkSecurityGroups/securityRules", inside: "securityRules"},
		{name: ns + "routeTables", located: true, tagged: true, fill: nameInside("routes", ns+"routeTables/routes"),
			held: referenced("InUseRouteTableCannotBeDeleted", "Route table %s is in use and cannot be deleted: %s.", "routeTable")},
		{name: ns + "routeTables/routes", inside: "routes"},
		{name: ns + "virtualNetworks", located: true, tagged: true, fill: nameInside("subnets", ns+"virtualNetworks/subnets"), held: heldNetwork},
		{name: ns + "virtualNetworks/subnets", inside: "subnets", held: heldSubnet},
		{name: ns + "natGateways", located: true, tagged: true},
		{name: ns + "applicationSecurityGroups", located: true, tagged: true},
		{name: ns + "privateEndpoints", located: true, tagged: true},
		{name: ns + "privateLinkServices", located: true, tagged: true},
	}
}

func checkNIC(tx *Tx, id ID, body, old map[string]any) *Error {
	configs := objects(body, "properties", "ipConfigurations")
	if len(configs) == 0 {
		return errorf(http.StatusBadRequest, "NetworkInterfaceMustHaveOneIpConfiguration", "Network interface %s must have at least one IP configuration.", id)
	}
	for _, c := range configs {
		for _, ref := range []string{text(c, "properties", "subnet", "id"), text(c, "properties", "publicIPAddress", "id")} {
			if ref != "" && !tx.exists(ref) {
				return invalidReference(ref, id)
			}
		}
	}
	if vm := at(old, "properties", "virtualMachine"); vm != nil { // the machine it is attached to is the provider's to say
		object(body, "properties")["virtualMachine"] = vm
	}
	return nil
}

func fillNIC(_ *Tx, id ID, body, _ map[string]any) {
	sum := derived(id.String())
	mac, _ := strconv.ParseUint(sum[:6], 16, 64)
	p := object(body, "properties")
	p["macAddress"] = fmt.Sprintf("00-0D-3A-%02X-%02X-%02X", mac>>16&0xff, mac>>8&0xff, mac&0xff)
	p["resourceGuid"] = derived("guid", id.String())
	for i, c := range objects(body, "properties", "ipConfigurations") {
		c["id"], c["type"] = id.String()+"/ipConfigurations/"+text(c, "name"), "Microsoft.Network/networkInterfaces/ipConfigurations"
		cp := object(c, "properties")
		cp["provisioningState"] = succeeded
		if text(cp, "privateIPAddress") == "" {
			cp["privateIPAddress"] = fmt.Sprintf("10.240.%d.%d", mac>>8&0xff, max(4, (int(mac)+i)&0xff))
		}
		if text(cp, "privateIPAllocationMethod") == "" {
			cp["privateIPAllocationMethod"] = "Dynamic"
		}
		if _, ok := cp["primary"]; !ok {
			cp["primary"] = i == 0
		}
	}
}

func heldNIC(tx *Tx, id ID) *Error {
	if vm := text(tx.get(id).body(), "properties", "virtualMachine", "id"); vm != "" {
		return errorf(http.StatusBadRequest, "NicInUse", "Network Interface %s is used by existing resource %s. In order to delete the network interface, it must be dissociated from the resource. To learn more, see aka.ms/deletenic.", id, vm)
	}
	return nil
}

func fillPublicIP(_ *Tx, id ID, body, _ map[string]any) {
	n, _ := strconv.ParseUint(derived(id.String())[:4], 16, 64)
	p := object(body, "properties")
	if text(p, "ipAddress") == "" {
		p["ipAddress"] = fmt.Sprintf("20.50.%d.%d", n>>8&0xff, n&0xff)
	}
	if text(p, "publicIPAddressVersion") == "" {
		p["publicIPAddressVersion"] = "IPv4"
	}
}

func fillLoadBalancer(_ *Tx, id ID, body, _ map[string]any) {
	for _, property := range []string{
		"frontendIPConfigurations", "backendAddressPools", "loadBalancingRules", "probes", "outboundRules", "inboundNatRules", "inboundNatPools",
	} {
		nameChildren(id, body, property, "Microsoft.Network/loadBalancers/"+property)
	}
}

// referenced refuses to delete what another resource of the group's subscription names in a property.
func referenced(code, message, property string) func(tx *Tx, id ID) *Error {
	return func(tx *Tx, id ID) *Error {
		want := `"` + property + `":{`
		for _, d := range tx.all() {
			if strings.EqualFold(d.id.Provider, "Microsoft.Network") && strings.EqualFold(d.id.Subscription, id.Subscription) && strings.Contains(string(d.raw), want) &&
				names(d.body(), property, id.String()) {
				return errorf(http.StatusBadRequest, code, message, id, d.id)
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
			if strings.EqualFold(k, property) && strings.EqualFold(text(val, "id"), ref) || names(val, property, ref) {
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

func heldSubnet(tx *Tx, id ID) *Error {
	return referenced("InUseSubnetCannotBeDeleted", "Subnet %s is in use by %s and cannot be deleted. In order to delete the subnet, delete all the resources within the subnet. See aka.ms/deletesubnet.", "subnet")(tx, id)
}

func heldNetwork(tx *Tx, id ID) *Error {
	for _, s := range objects(tx.get(id).body(), "properties", "subnets") {
		sub, ok := ParseID(text(s, "id"))
		if ok {
			if bad := heldSubnet(tx, sub); bad != nil {
				return bad
			}
		}
	}
	return nil
}
