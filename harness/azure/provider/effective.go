package provider

import (
	"net/http"
	"net/netip"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
)

// effective are the actions on an interface that say what holds for it, all told. They are only to be had of one that a running machine has: Azure answers
// an error otherwise (armnetwork's reviewers say so; its code is not recorded).
func effective() map[string]resource.Action {
	attached := func(tx *resource.Tx, id arm.ID, _ map[string]any) *arm.Error {
		vm, ok := arm.ParseID(arm.Text(tx.Get(id).Body(), "properties", "virtualMachine", "id"))
		if d := tx.Get(vm); !ok || d == nil || arm.Text(d.Body(), powerTag) != "running" {
			return arm.Errorf(http.StatusBadRequest, "OperationNotAllowed", "The network interface %s is not attached to a running virtual machine.", id)
		}
		return nil
	}
	return map[string]resource.Action{
		"effectiveroutetable":            {Check: attached, Then: nothing, Result: effectiveRoutes},
		"effectivenetworksecuritygroups": {Check: attached, Then: nothing, Result: effectiveGroups},
	}
}

// subnetDocument is the subnet of an interface's first configuration, with its network's document.
func subnetDocument(v resource.View, nic arm.ID) (subnet, network map[string]any) {
	ref := arm.Text(v.Body(nic), "properties", "ipConfigurations", "0", "properties", "subnet", "id")
	id, ok := arm.ParseID(ref)
	if !ok || len(id.Types) != 2 || id.Collection() {
		return nil, nil
	}
	return v.Body(id), v.Body(id.Top(1))
}

// none are addresses that no network has of itself, with the next hop None (learn.microsoft.com, "Virtual network traffic routing", table of default routes).
// Azure shows more of them, which are its own.
func none() []string {
	return []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"}
}

// effectiveRoutes are the service's own routes of a network, those of its peers, and those of the subnet's route table, which take the place of the service's
// for the same addresses.
func effectiveRoutes(v resource.View, nic arm.ID) map[string]any {
	subnet, network := subnetDocument(v, nic)
	table, _ := arm.ParseID(arm.Text(subnet, "properties", "routeTable", "id"))
	own := map[string]bool{}
	var user, all []any
	propagates := true
	if t := v.Body(table); t != nil {
		off, _ := arm.At(t, "properties", "disableBgpRoutePropagation").(bool)
		propagates = !off
		for _, r := range arm.Objects(t, "properties", "routes") {
			prefix := arm.Text(r, "properties", "addressPrefix")
			own[prefix] = true
			one := route("User", "Active", prefix, arm.Text(r, "properties", "nextHopType"))
			one["name"] = r["name"]
			if hop := arm.Text(r, "properties", "nextHopIpAddress"); hop != "" {
				one["nextHopIpAddress"] = []any{hop}
			}
			user = append(user, one)
		}
	}
	add := func(prefix, hop string) {
		state := "Active"
		if own[prefix] {
			state = "Invalid"
		}
		all = append(all, route("Default", state, prefix, hop))
	}
	for _, p := range space(network) {
		add(p.String(), "VnetLocal")
	}
	for _, peering := range peeringsOf(network) {
		if arm.Text(peering, "properties", "peeringState") != connected {
			continue
		}
		there, _ := prefixes(nic, arm.At(peering, "properties", "remoteVirtualNetworkAddressSpace", "addressPrefixes"))
		for _, p := range there {
			add(p.String(), "VNetPeering")
		}
	}
	add("0.0.0.0/0", "Internet")
	for _, prefix := range none() {
		if !isSpace(network, prefix) {
			add(prefix, "None")
		}
	}
	all = append(all, user...)
	for _, r := range all {
		arm.Object(map[string]any{"r": r}, "r")["disableBgpRoutePropagation"] = !propagates
	}
	return map[string]any{"value": all}
}

func isSpace(network map[string]any, prefix string) bool {
	for _, p := range space(network) {
		if p == netip.MustParsePrefix(prefix) {
			return true
		}
	}
	return false
}

func route(source, state, prefix, hop string) map[string]any {
	return map[string]any{"source": source, "state": state, "addressPrefix": []any{prefix}, "nextHopType": hop, "nextHopIpAddress": []any{}}
}

// effectiveGroups are the security groups of the subnet and of the interface, each with all of its rules.
func effectiveGroups(v resource.View, nic arm.ID) map[string]any {
	all := []any{}
	subnet, _ := subnetDocument(v, nic)
	for _, by := range []struct {
		what string
		body map[string]any
	}{{"subnet", subnet}, {"networkInterface", v.Body(nic)}} {
		id, ok := arm.ParseID(arm.Text(by.body, "properties", "networkSecurityGroup", "id"))
		group := v.Body(id)
		if !ok || group == nil {
			continue
		}
		var rules []any
		for _, property := range []string{"securityRules", "defaultSecurityRules"} {
			for _, r := range arm.Objects(group, "properties", property) {
				rules = append(rules, effectiveRule(r, property))
			}
		}
		all = append(all, map[string]any{
			"networkSecurityGroup": map[string]any{"id": id.String()}, "association": map[string]any{by.what: map[string]any{"id": by.body["id"]}}, "effectiveSecurityRules": rules,
		})
	}
	return map[string]any{"value": all}
}

// effectiveRule is a rule as it is told here: ports as ranges, any protocol as All, and names with what the rule is of
// (specification/network/…/examples/NetworkInterfaceEffectiveNSGList.json).
func effectiveRule(rule map[string]any, of string) map[string]any {
	p := arm.Object(rule, "properties")
	out := map[string]any{"name": of + "/" + arm.Text(rule, "name")}
	for _, same := range []string{
		"protocol", "sourcePortRange", "sourcePortRanges", "destinationPortRange", "destinationPortRanges", "sourceAddressPrefix", "sourceAddressPrefixes",
		"destinationAddressPrefix", "destinationAddressPrefixes", "access", "priority", "direction",
	} {
		if x := arm.Field(p, same); x != nil {
			out[same] = x
		}
	}
	if out["protocol"] == "*" {
		out["protocol"] = "All"
	}
	for _, ports := range []string{"sourcePortRange", "destinationPortRange"} {
		switch port, _ := out[ports].(string); {
		case port == "*":
			out[ports] = "0-65535"
		case port != "" && !strings.Contains(port, "-"):
			out[ports] = port + "-" + port
		}
	}
	return out
}
