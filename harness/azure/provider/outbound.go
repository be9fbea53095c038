package provider

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
)

// natGateways are the ways out of subnets: the subnets name them, and they name their addresses.
func natGateways() *resource.Type {
	return &resource.Type{
		Name: "Microsoft.Network/natGateways", Located: true, Tagged: true, AtOnce: resource.Patches, Check: checkNatGateway, Held: heldNatGateway,
		Defaults: map[string]any{"properties.idleTimeoutInMinutes": 4}, // armnetwork does not say it, az network nat gateway create does
		Refs:     []resource.Ref{{From: "properties.publicIpAddresses[]", Back: "natGateway"}, {From: "properties.publicIpPrefixes[]", Back: "natGateway"}},
	}
}

func checkNatGateway(tx *resource.Tx, id arm.ID, body, _ map[string]any) *arm.Error {
	for _, property := range []string{"publicIpAddresses", "publicIpPrefixes"} {
		for _, ref := range arm.Objects(body, "properties", property) {
			if to := arm.Text(ref, "id"); !tx.Exists(to) {
				return arm.InvalidReference(to, id)
			}
		}
	}
	return nil
}

// heldNatGateway refuses to delete a gateway that subnets name, in the words of Azure-Samples/Copilot-Studio-with-Azure-AI-Search#62.
func heldNatGateway(tx *resource.Tx, id arm.ID) *arm.Error {
	subnets := 0
	for _, d := range tx.Naming(id) {
		for _, s := range arm.Objects(d.Body(), "properties", "subnets") {
			if strings.EqualFold(arm.Text(s, "properties", "natGateway", "id"), id.String()) {
				subnets++
			}
		}
	}
	if subnets == 0 {
		return nil
	}
	return arm.Errorf(http.StatusBadRequest, "CannotDeleteNatGatewayAssociatedToSubnet",
		"NAT Gateway %s is still configured on %d subnets. Remove NAT Gateway from all referenced subnets and then delete NAT Gateway.", id, subnets)
}

// subnetRefs are what subnets name, and who shows it (armnetwork's models: subnets).
func subnetRefs() (out []resource.Ref) {
	for _, property := range []string{"networkSecurityGroup", "routeTable", "natGateway"} {
		out = append(out, resource.Ref{From: "properties.subnets[].properties." + property, Back: "subnets[]"})
	}
	return out
}

// heldPublicIP refuses to delete an address that something has.
func heldPublicIP(tx *resource.Tx, id arm.ID) *arm.Error {
	for _, property := range []string{"publicIPAddress", "publicIpAddresses"} {
		if bad := referenced("PublicIPAddressCannotBeDeleted", "Public IP address %s can not be deleted since it is still allocated to resource %s. "+
			"In order to delete the public IP, disassociate/detach the Public IP address from the resource.  To learn how to do this, see aka.ms/deletepublicip.", property)(tx, id); bad != nil {
			return bad
		}
	}
	return nil
}

// publicPrefixes are ranges of public addresses that follow one another.
func publicPrefixes() *resource.Type {
	return &resource.Type{Name: "Microsoft.Network/publicIPPrefixes", Located: true, Tagged: true, AtOnce: resource.Patches, Fill: fillPrefix, Held: heldPrefix,
		Defaults: map[string]any{"properties.publicIPAddressVersion": "IPv4"}}
}

func fillPrefix(_ *resource.Tx, id arm.ID, body, old map[string]any) {
	p := arm.Object(body, "properties")
	if was := arm.At(old, "properties", "ipPrefix"); was != nil {
		p["ipPrefix"] = was
		return
	}
	n, _ := strconv.ParseUint(arm.Derived("prefix", id.String())[:4], 16, 64)
	base, length := fmt.Sprintf("20.60.%d.%d", n>>8&0xff, n&0xff), 28
	if strings.EqualFold(arm.Text(p, "publicIPAddressVersion"), "IPv6") {
		base, length = fmt.Sprintf("2603:1030:%x::", n), 124
	}
	if said, ok := arm.Number(p["prefixLength"]); ok && said > 0 {
		length = int(said)
	}
	if prefix, err := netip.MustParseAddr(base).Prefix(length); err == nil {
		p["prefixLength"], p["ipPrefix"] = length, prefix.String()
	}
}

// heldPrefix refuses to delete a range that something has an address of, or has wholly: the code is called as those of its kind are; no recording is at hand.
func heldPrefix(tx *resource.Tx, id arm.ID) *arm.Error {
	for _, property := range []string{"publicIPPrefix", "publicIpPrefixes"} {
		if bad := referenced("InUsePublicIpPrefixCannotBeDeleted", "Public IP prefix %s is in use by %s and cannot be deleted.", property)(tx, id); bad != nil {
			return bad
		}
	}
	return nil
}

// ofPrefix is an address of the range that a public address is of; empty: it is of none, or there is none left.
func ofPrefix(tx *resource.Tx, id arm.ID, body map[string]any) (address string, of bool) {
	ref, ok := arm.ParseID(arm.Text(body, "properties", "publicIPPrefix", "id"))
	d := tx.Get(ref)
	if !ok || d == nil {
		return "", false
	}
	prefix, err := netip.ParsePrefix(arm.Text(d.Body(), "properties", "ipPrefix"))
	if err != nil {
		return "", false
	}
	taken := map[string]bool{}
	for _, other := range tx.Naming(ref) {
		if other.ID.Key() != id.Key() {
			taken[arm.Text(other.Body(), "properties", "ipAddress")] = true
		}
	}
	for a := prefix.Addr(); prefix.Contains(a); a = a.Next() {
		if !taken[a.String()] {
			return a.String(), true
		}
	}
	return "", true
}

// checkPublicIP refuses an address of a range that is not there, or has none left: that one's code is not recorded.
func checkPublicIP(tx *resource.Tx, id arm.ID, body, old map[string]any) *arm.Error {
	ref := arm.Text(body, "properties", "publicIPPrefix", "id")
	if ref != "" && !tx.Exists(ref) {
		return arm.InvalidReference(ref, id)
	}
	if address, of := ofPrefix(tx, id, body); of && address == "" && old == nil {
		return arm.Errorf(http.StatusBadRequest, "PublicIPPrefixOutOfAddresses", "The public IP prefix %s has no address left for %s.", ref, id)
	}
	return nil
}

// publicZone is the zone of the public cloud that regions' addresses are named in.
const publicZone = ".cloudapp.azure.com"

// nameAddress gives an address with a label its name: that label in its region's zone (armnetwork, PublicIPAddressDNSSettings.Fqdn; the zone as in
// learn.microsoft.com "Public IP addresses", DNS name label).
func nameAddress(body map[string]any) {
	if label := arm.Text(body, "properties", "dnsSettings", "domainNameLabel"); label != "" {
		arm.Object(arm.Object(body, "properties"), "dnsSettings")["fqdn"] = strings.ToLower(label) + "." + arm.Location(arm.Text(body, "location")) + publicZone
	}
}

func fillPublicIP(tx *resource.Tx, id arm.ID, body, old map[string]any) {
	nameAddress(body)
	p := arm.Object(body, "properties")
	if p["ipAddress"] == nil {
		p["ipAddress"] = arm.At(old, "properties", "ipAddress")
	}
	if arm.Text(p, "ipAddress") != "" {
		return
	}
	if p["ipAddress"] = publicAddress(id.String()); arm.At(p, "publicIPPrefix") != nil {
		if address, of := ofPrefix(tx, id, body); of {
			p["ipAddress"] = address
		}
	}
}

// publicAddress is the address that something of a name has.
func publicAddress(of string) string {
	n, _ := strconv.ParseUint(arm.Derived(of)[:4], 16, 64)
	return fmt.Sprintf("20.50.%d.%d", n>>8&0xff, n&0xff)
}
