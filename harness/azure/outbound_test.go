package azure

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/azure/arm"
)

func TestAGatewayAndItsSubnetsKnowEachOther(t *testing.T) {
	c := newClient(t)
	c.group()
	put := func(path, properties string) {
		t.Helper()
		if status, code, message := c.putNetwork(path, properties); status >= http.StatusBadRequest {
			t.Fatal(path, status, code, message)
		}
	}
	put("publicIPPrefixes/range", `"prefixLength":31`)
	put("publicIPAddresses/ip", "")
	put("networkSecurityGroups/nsg", "")
	put("natGateways/nat", fmt.Sprintf(`"publicIpAddresses":[{"id":%q}],"publicIpPrefixes":[{"id":%q}]`, networkID("publicIPAddresses/ip"), networkID("publicIPPrefixes/range")))
	subnet := func(more string) string {
		return `"addressSpace":{"addressPrefixes":["10.1.0.0/16"]},"subnets":[{"name":"a","properties":{"addressPrefix":"10.1.0.0/24"` + more + `}}]`
	}
	put("virtualNetworks/net", subnet(fmt.Sprintf(`,"natGateway":{"id":%q},"networkSecurityGroup":{"id":%q}`, networkID("natGateways/nat"), networkID("networkSecurityGroups/nsg"))))
	for _, path := range []string{"natGateways/nat", "networkSecurityGroups/nsg"} {
		if got := c.text(networks+path, "properties", "subnets", "0", "id"); got != networkID("virtualNetworks/net/subnets/a") {
			t.Errorf("%s knows the subnet %q", path, got)
		}
	}
	for path, want := range map[string]string{"natGateways/nat": "CannotDeleteNatGatewayAssociatedToSubnet", "publicIPAddresses/ip": "PublicIPAddressCannotBeDeleted", "publicIPPrefixes/range": "InUsePublicIpPrefixCannotBeDeleted"} {
		if w := c.do(http.MethodDelete, networks+path, ""); code(w) != want {
			t.Errorf("%s deleted: %d %s, want %s", path, w.Code, w.Body, want)
		}
	}
	if got := c.text(networks+"publicIPAddresses/ip", "properties", "natGateway", "id"); got != networkID("natGateways/nat") {
		t.Errorf("the address is of %q", got)
	}
	put("virtualNetworks/net", subnet(""))
	if w := c.do(http.MethodGet, networks+"natGateways/nat", ""); strings.Contains(w.Body.String(), "subnets") {
		t.Errorf("a subnet that let go of it: %s", w.Body)
	}
	for _, path := range []string{"natGateways/nat", "publicIPAddresses/ip", "publicIPPrefixes/range"} {
		if w := c.do(http.MethodDelete, networks+path, ""); w.Code != http.StatusAccepted {
			t.Errorf("%s deleted: %d %s", path, w.Code, w.Body)
		}
		c.pass()
	}
	if _, code, _ := c.putNetwork("natGateways/bad", fmt.Sprintf(`"publicIpAddresses":[{"id":%q}]`, networkID("publicIPAddresses/none"))); code != "InvalidResourceReference" {
		t.Errorf("of an address that is not there: %s", code)
	}
}

func TestAddressesOfARange(t *testing.T) {
	c := newClient(t)
	c.group()
	c.putNetwork("publicIPPrefixes/range", `"prefixLength":31`)
	prefix, err := netip.ParsePrefix(c.text(networks+"publicIPPrefixes/range", "properties", "ipPrefix"))
	if err != nil || prefix.Bits() != 31 || prefix != prefix.Masked() {
		t.Fatalf("range %s: %v", prefix, err)
	}
	of := fmt.Sprintf(`"publicIPPrefix":{"id":%q}`, networkID("publicIPPrefixes/range"))
	seen := map[string]bool{}
	for _, name := range []string{"a", "b", "a"} {
		c.putNetwork("publicIPAddresses/"+name, of)
		address := c.text(networks+"publicIPAddresses/"+name, "properties", "ipAddress")
		if a, err := netip.ParseAddr(address); err != nil || !prefix.Contains(a) {
			t.Errorf("%s has %s, not of %s", name, address, prefix)
		}
		seen[address] = true
	}
	if len(seen) != 2 {
		t.Errorf("addresses %v", seen)
	}
	if _, code, _ := c.putNetwork("publicIPAddresses/c", of); code == "" {
		t.Error("a third of two addresses")
	}
	if got := arm.Objects(c.want(http.StatusOK, http.MethodGet, networks+"publicIPPrefixes/range", ""), "properties", "publicIPAddresses"); len(got) != 2 {
		t.Errorf("the range knows %v", got)
	}
	if w := c.do(http.MethodDelete, networks+"publicIPPrefixes/range", ""); w.Code != http.StatusBadRequest {
		t.Errorf("deleted: %d", w.Code)
	}
}

// An address that is given a label has a name: templates hand it on as the cluster's (AKS Engine's output masterFQDN).
func TestAPublicAddressWithALabelHasAName(t *testing.T) {
	const path = "resourceGroups/g/providers/Microsoft.Network/publicIPAddresses/"
	c := newClient(t)
	c.group()
	put := func(name, dns string) string {
		t.Helper()
		w := c.do(http.MethodPut, path+name, `{"location":"North Europe","properties":{"publicIPAllocationMethod":"Static"`+dns+`}}`)
		if c.pass(); w.Code >= http.StatusBadRequest {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		return arm.Text(decoded(t, w), "properties", "dnsSettings", "fqdn")
	}
	if got := put("labelled", `,"dnsSettings":{"domainNameLabel":"Drydock"}`); got != "drydock.northeurope.cloudapp.azure.com" {
		t.Errorf("its name is %q", got)
	}
	if got := put("labelled", `,"dnsSettings":{"domainNameLabel":"other"}`); got != "other.northeurope.cloudapp.azure.com" {
		t.Errorf("with another label its name is %q", got)
	}
	if got := put("plain", ""); got != "" {
		t.Errorf("without a label it has the name %q", got)
	}
}
