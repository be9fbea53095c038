package provider

import (
	"fmt"
	"net/http"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
)

// The priorities that rules of a client may have (learn.microsoft.com, "Network security groups overview").
const minPriority, maxPriority = 100, 4096

// checkSecurityGroup holds rules to the service's: a priority in range, and each once in a direction.
func checkSecurityGroup(_ *resource.Tx, _ arm.ID, body, _ map[string]any) *arm.Error {
	seen := map[string]string{}
	for _, rule := range arm.Objects(body, "properties", "securityRules") {
		priority, ok := arm.Number(arm.At(rule, "properties", "priority"))
		if !ok || priority < minPriority || priority > maxPriority {
			return arm.Errorf(http.StatusBadRequest, "SecurityRuleInvalidPriority", "Security rule has invalid Priority. Value provided: %d Allowed range %d-%d.", int(priority), minPriority, maxPriority)
		}
		key := fmt.Sprint(strings.ToLower(arm.Text(rule, "properties", "direction")), " ", priority)
		if other := seen[key]; other != "" {
			return arm.Errorf(http.StatusBadRequest, "SecurityRuleConflict", "Security rule %s conflicts with rule %s. Rules cannot have the same Priority and Direction.", arm.Text(rule, "name"), other)
		}
		seen[key] = arm.Text(rule, "name")
	}
	return nil
}

// fillSecurityGroup names the rules, and adds those that every group has and nobody can take away (the same document).
func fillSecurityGroup(_ *resource.Tx, id arm.ID, body, _ map[string]any) {
	resource.NameChildren(id, body, "securityRules", "Microsoft.Network/networkSecurityGroups/securityRules")
	var rules []any
	for _, r := range []struct {
		name, about, direction, access, from, to string
		priority                                 int
	}{
		{"AllowVnetInBound", "Allow inbound traffic from all VMs in VNET", "Inbound", "Allow", "VirtualNetwork", "VirtualNetwork", 65000},
		{"AllowAzureLoadBalancerInBound", "Allow inbound traffic from azure load balancer", "Inbound", "Allow", "AzureLoadBalancer", "*", 65001},
		{"DenyAllInBound", "Deny all inbound traffic", "Inbound", "Deny", "*", "*", 65500},
		{"AllowVnetOutBound", "Allow outbound traffic from all VMs to all VMs in VNET", "Outbound", "Allow", "VirtualNetwork", "VirtualNetwork", 65000},
		{"AllowInternetOutBound", "Allow outbound traffic from all VMs to Internet", "Outbound", "Allow", "*", "Internet", 65001},
		{"DenyAllOutBound", "Deny all outbound traffic", "Outbound", "Deny", "*", "*", 65500},
	} {
		rules = append(rules, map[string]any{"name": r.name, "properties": map[string]any{
			"description": r.about, "direction": r.direction, "access": r.access, "priority": r.priority, "protocol": "*", "sourceAddressPrefix": r.from, "destinationAddressPrefix": r.to,
			"sourcePortRange": "*", "destinationPortRange": "*", "sourcePortRanges": []any{}, "destinationPortRanges": []any{}, "sourceAddressPrefixes": []any{}, "destinationAddressPrefixes": []any{},
		}})
	}
	arm.Object(body, "properties")["defaultSecurityRules"] = rules
	resource.NameChildren(id, body, "defaultSecurityRules", "Microsoft.Network/networkSecurityGroups/defaultSecurityRules")
}
