package provider

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
	"drydock.dev/drydock/harness/azure/state"
)

// networkViews are what Microsoft.Network makes of its documents when somebody asks.
func networkViews() []*resource.Type {
	const ns = "Microsoft.Network/"
	return []*resource.Type{
		{Name: ns + "loadBalancers/networkInterfaces", Show: showPoolInterfaces},
		{Name: ns + "networkInterfaces/loadBalancers", Show: showInterfaceBalancers},
		{Name: ns + "virtualNetworks/usages", Show: showSubnetUsages},
		{Name: ns + "virtualNetworks/CheckIPAddressAvailability", Single: true, Ask: askAddress},
		{Name: ns + "locations/CheckDnsNameAvailability", Single: true, Ask: askLabel},
	}
}

// plainNetworkTypes are documents that are stored as they are.
func plainNetworkTypes() []*resource.Type {
	const ns = "Microsoft.Network/"
	return []*resource.Type{
		{Name: ns + "networkProfiles", Located: true, Tagged: true, AtOnce: resource.Every &^ resource.Deletes},
		{Name: ns + "ddosProtectionPlans", Located: true, Tagged: true, AtOnce: resource.Patches},
		{Name: ns + "ipGroups", Located: true, Tagged: true, AtOnce: resource.Patches},
		{Name: ns + "localNetworkGateways", Located: true, Tagged: true, AtOnce: resource.Patches},
		{Name: ns + "serviceEndpointPolicies", Located: true, Tagged: true, AtOnce: resource.Patches, Fill: resource.NameInside("serviceEndpointPolicyDefinitions", ns+"serviceEndpointPolicies/serviceEndpointPolicyDefinitions")},
		{Name: ns + "serviceEndpointPolicies/serviceEndpointPolicyDefinitions", Inside: "serviceEndpointPolicyDefinitions"},
		{Name: ns + "privateEndpoints/privateDnsZoneGroups", Tagged: true, No: resource.Patches, Fill: untyped},
	}
}

// untyped takes the type away that the documents of a few do not have (armnetwork, PrivateDNSZoneGroup).
func untyped(_ *resource.Tx, _ arm.ID, body, _ map[string]any) { delete(body, "type") }

// showPoolInterfaces are the interfaces that are in a pool of a balancer.
func showPoolInterfaces(v resource.View, id arm.ID) map[string]any {
	return referred(v, id, "backendAddressPools", "backendIPConfigurations")
}

// showInterfaceBalancers are the balancers in whose pools an interface is.
func showInterfaceBalancers(v resource.View, id arm.ID) map[string]any {
	return referred(v, id, "ipConfigurations", "loadBalancerBackendAddressPools")
}

// referred are the resources, each once, that what is in a resource's list refers to in a list of its own.
func referred(v resource.View, id arm.ID, list, refs string) map[string]any {
	of := v.Body(id.Top(1))
	if of == nil || !id.Collection() {
		return nil
	}
	all, seen := []any{}, map[string]bool{}
	for _, entry := range arm.Objects(of, "properties", list) {
		for _, ref := range arm.Objects(entry, "properties", refs) {
			to, ok := arm.ParseID(arm.Text(ref, "id"))
			if to = to.Top(1); !ok || seen[to.Key()] {
				continue
			}
			seen[to.Key()] = true
			if body := v.Body(to); body != nil {
				all = append(all, body)
			}
		}
	}
	return map[string]any{"value": all}
}

// showSubnetUsages are how many addresses of each subnet are taken (specification/network/…/examples/VirtualNetworkListUsage.json). Azure keeps five of
// each to itself.
func showSubnetUsages(v resource.View, id arm.ID) map[string]any {
	network := v.Body(id.Top(1))
	if network == nil || !id.Collection() {
		return nil
	}
	all := []any{}
	for _, s := range arm.Objects(network, "properties", "subnets") {
		subnet, ok := arm.ParseID(arm.Text(s, "id"))
		if !ok {
			continue
		}
		limit := 0.0
		_, space := subnetOf(v, subnet.String())
		for _, p := range space {
			if p.Addr().Is4() {
				limit += float64(uint64(1)<<(32-p.Bits())) - 5
			}
		}
		all = append(all, map[string]any{
			"id": subnet.String(), "currentValue": float64(len(allocated(v, subnet, arm.ID{}))), "limit": limit, "unit": "Count",
			"name": map[string]any{"value": "SubnetSpace", "localizedValue": "Subnet size and usage"},
		})
	}
	return map[string]any{"value": all}
}

// askAddress says whether an address of a network is free, and which others are when it is not.
func askAddress(v resource.View, id arm.ID, r *resource.Request) (map[string]any, *arm.Error) {
	network := v.Body(id.Top(1))
	address, err := netip.ParseAddr(r.Param("ipAddress"))
	switch {
	case network == nil:
		return nil, arm.NotFound(id.Top(1))
	case err != nil:
		return nil, arm.Errorf(http.StatusBadRequest, "InvalidIPAddressFormat", "IP address format %s in resource %s is invalid.", r.Param("ipAddress"), id.Top(1))
	}
	for _, s := range arm.Objects(network, "properties", "subnets") {
		subnet, space := subnetOf(v, arm.Text(s, "id"))
		i := slices.IndexFunc(space, func(p netip.Prefix) bool { return p.Contains(address) })
		if i < 0 {
			continue
		}
		taken := allocated(v, subnet, arm.ID{})
		own := reserved(space[i], address)
		if taken[address.String()] == "" && !own {
			return map[string]any{"available": true, "availableIPAddresses": []any{}, "isPlatformReserved": false}, nil
		}
		others := []any{}
		for a := address.Next(); space[i].Contains(a) && len(others) < 5; a = a.Next() { // as many as the examples show
			if taken[a.String()] == "" && !reserved(space[i], a) {
				others = append(others, a.String())
			}
		}
		return map[string]any{"available": false, "availableIPAddresses": others, "isPlatformReserved": own}, nil
	}
	return nil, arm.Errorf(http.StatusBadRequest, "PrivateIPAddressNotInAnySubnet", "Private static IP address %s does not belong to the range of any subnet in the virtual network %s.", address, id.Top(1))
}

// askLabel says whether a public address may have a name in a region: whether no other there has it.
func askLabel(v resource.View, id arm.ID, r *resource.Request) (map[string]any, *arm.Error) {
	label := r.Param("domainNameLabel")
	if label == "" {
		return nil, arm.Errorf(http.StatusBadRequest, "InvalidRequestFormat", "The query parameter domainNameLabel is required.")
	}
	addresses, _ := v.List(arm.ID{Subscription: id.Subscription, Provider: "Microsoft.Network", Types: []string{"publicIPAddresses"}}, "", 1<<30)
	taken := slices.ContainsFunc(addresses, func(d *state.Document) bool {
		body := d.Body()
		return strings.EqualFold(arm.Text(body, "properties", "dnsSettings", "domainNameLabel"), label) && arm.SameLocation(arm.Text(body, "location"), id.Names[0])
	})
	return map[string]any{"available": !taken}, nil
}
