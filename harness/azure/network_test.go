package azure

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/azure/arm"
)

const networks = "resourceGroups/g/providers/Microsoft.Network/"

func networkID(path string) string {
	return "/subscriptions/" + testSubscription + "/" + networks + path
}

// putNetwork writes a document of Microsoft.Network and lets its operation end.
func (c *client) putNetwork(path, properties string) (status int, code, message string) {
	c.t.Helper()
	w := c.do(http.MethodPut, networks+path, `{"location":"westeurope","properties":{`+properties+`}}`)
	c.pass()
	body := decoded(c.t, w)
	return w.Code, arm.Text(body, "error", "code"), arm.Text(body, "error", "message")
}

func TestNetworksAreHeldToTheirPrefixes(t *testing.T) {
	c := newClient(t)
	c.group()
	for _, r := range []struct{ about, path, properties, code, message string }{
		{"a network", "virtualNetworks/net", `"addressSpace":{"addressPrefixes":["10.1.0.0/16","fd00::/48"]},"subnets":[{"name":"a","properties":{"addressPrefix":"10.1.0.0/24"}}]`, "", ""},
		{"no prefix", "virtualNetworks/bad", `"addressSpace":{"addressPrefixes":["10.1.0.0"]}`, "InvalidAddressPrefixFormat", "10.1.0.0"},
		{"bits beyond the length", "virtualNetworks/bad", `"addressSpace":{"addressPrefixes":["10.1.0.5/16"]}`, "InvalidCIDRNotation", "should be 10.1.0.0/16"},
		{"a subnet outside", "virtualNetworks/net/subnets/b", `"addressPrefix":"10.2.0.0/24"`, "NetcfgInvalidSubnet", "'b'"},
		{"a subnet wider than its network", "virtualNetworks/net/subnets/b", `"addressPrefix":"10.0.0.0/8"`, "NetcfgInvalidSubnet", "'b'"},
		{"a subnet upon another", "virtualNetworks/net/subnets/b", `"addressPrefix":"10.1.0.128/25"`, "NetcfgSubnetRangesOverlap", "'b'"},
		{"a subnet beside it", "virtualNetworks/net/subnets/b", `"addressPrefixes":["10.1.1.0/29","fd00:0:0:1::/64"]`, "", ""},
		{"that subnet again, narrower", "virtualNetworks/net/subnets/b", `"addressPrefix":"10.1.1.0/29"`, "", ""},
		{"a network that leaves its subnets outside", "virtualNetworks/net", `"addressSpace":{"addressPrefixes":["10.9.0.0/16"]},"subnets":[{"name":"a","properties":{"addressPrefix":"10.1.0.0/24"}}]`, "NetcfgInvalidSubnet", "'a'"},
	} {
		status, code, message := c.putNetwork(r.path, r.properties)
		if (status >= http.StatusBadRequest) != (r.code != "") || code != r.code || !strings.Contains(message, r.message) {
			t.Errorf("%s: %d %s %q, want %s %q", r.about, status, code, message, r.code, r.message)
		}
	}
	if got := len(arm.Objects(c.want(http.StatusOK, http.MethodGet, networks+"virtualNetworks/net", ""), "properties", "subnets")); got != 2 {
		t.Errorf("%d subnets, want those two that were taken", got)
	}
}

func TestInterfacesGetAddressesOfTheirSubnet(t *testing.T) {
	c := newClient(t)
	c.group()
	if status, code, _ := c.putNetwork("virtualNetworks/net", `"addressSpace":{"addressPrefixes":["10.1.0.0/16"]},"subnets":[{"name":"a","properties":{"addressPrefix":"10.1.0.0/29"}}]`); status >= http.StatusBadRequest {
		t.Fatal(status, code)
	}
	subnet := networkID("virtualNetworks/net/subnets/a")
	card := func(name, more string) (int, string, string) {
		t.Helper()
		return c.putNetwork("networkInterfaces/"+name, fmt.Sprintf(`"ipConfigurations":[{"name":"ip","properties":{"subnet":{"id":%q}%s}}]`, subnet, more))
	}
	address := func(name string) string {
		t.Helper()
		return arm.Text(c.want(http.StatusOK, http.MethodGet, networks+"networkInterfaces/"+name, ""), "properties", "ipConfigurations", "0", "properties", "privateIPAddress")
	}
	static := func(a string) string { return `,"privateIPAllocationMethod":"Static","privateIPAddress":"` + a + `"` }
	card("one", "")
	card("two", static("10.1.0.6"))
	card("three", "")
	if got := address("one") + " " + address("two") + " " + address("three"); got != "10.1.0.4 10.1.0.6 10.1.0.5" {
		t.Errorf("addresses %s; of 10.1.0.0/29 Azure keeps the first four and the last", got)
	}
	for _, r := range []struct{ about, more, code string }{
		{"none is left", "", "SubnetIsFull"}, {"another's", static("10.1.0.5"), "PrivateIPAddressIsAllocated"}, {"Azure's own", static("10.1.0.1"), "PrivateIPAddressInReservedRange"},
		{"the broadcast", static("10.1.0.7"), "PrivateIPAddressInReservedRange"}, {"of elsewhere", static("10.2.0.5"), "PrivateIPAddressNotInSubnet"}, {"no address", static("10.1.0"), "InvalidIPAddressFormat"},
	} {
		if status, code, _ := card("four", r.more); status != http.StatusBadRequest || code != r.code {
			t.Errorf("%s: %d %s, want 400 %s", r.about, status, code, r.code)
		}
	}
	if status, code, _ := card("one", ""); status >= http.StatusBadRequest || address("one") != "10.1.0.4" {
		t.Errorf("written again: %d %s, its address is %s", status, code, address("one"))
	}
	c.do(http.MethodDelete, networks+"networkInterfaces/one", "")
	c.pass()
	if status, _, _ := card("four", ""); status >= http.StatusBadRequest || address("four") != "10.1.0.4" {
		t.Errorf("after one is gone: %d, %s", status, address("four"))
	}
}

func TestSecurityGroupsHaveTheRulesOfAll(t *testing.T) {
	c := newClient(t)
	c.group()
	rule := func(name string, priority int, direction string) string {
		return fmt.Sprintf(`{"name":%q,"properties":{"priority":%d,"direction":%q,"access":"Allow","protocol":"Tcp","sourcePortRange":"*","destinationPortRange":"22","sourceAddressPrefix":"*","destinationAddressPrefix":"*"}}`, name, priority, direction)
	}
	for _, r := range []struct{ about, rules, code string }{
		{"two ways of one priority", rule("in", 100, "Inbound") + "," + rule("out", 100, "Outbound"), ""}, {"one way twice", rule("in", 100, "Inbound") + "," + rule("too", 100, "inbound"), "SecurityRuleConflict"},
		{"too urgent", rule("in", 99, "Inbound"), "SecurityRuleInvalidPriority"}, {"too late", rule("in", 4097, "Inbound"), "SecurityRuleInvalidPriority"},
	} {
		if status, code, _ := c.putNetwork("networkSecurityGroups/nsg", `"securityRules":[`+r.rules+`]`); (status >= http.StatusBadRequest) != (r.code != "") || code != r.code {
			t.Errorf("%s: %d %s, want %q", r.about, status, code, r.code)
		}
	}
	w := c.do(http.MethodPut, networks+"networkSecurityGroups/nsg/securityRules/third", rule("third", 100, "Inbound"))
	if got := arm.Text(decoded(t, w), "error", "code"); got != "SecurityRuleConflict" {
		t.Errorf("a rule by itself: %d %s", w.Code, got)
	}
	defaults := arm.Objects(c.want(http.StatusOK, http.MethodGet, networks+"networkSecurityGroups/nsg", ""), "properties", "defaultSecurityRules")
	if len(defaults) != 6 || arm.Text(defaults[5], "name") != "DenyAllOutBound" || arm.Text(defaults[0], "id") != networkID("networkSecurityGroups/nsg/defaultSecurityRules/AllowVnetInBound") {
		t.Errorf("rules of all: %v", defaults)
	}
}

func TestWhatIsInADocumentHasItsEtag(t *testing.T) {
	c := newClient(t)
	c.group()
	c.putNetwork("virtualNetworks/net", `"addressSpace":{"addressPrefixes":["10.1.0.0/16"]},"subnets":[{"name":"a","properties":{"addressPrefix":"10.1.0.0/24"}}]`)
	for _, path := range []string{"virtualNetworks/net", "virtualNetworks/net/subnets/a"} {
		w := c.do(http.MethodGet, networks+path, "")
		body := decoded(t, w)
		if tag := arm.Text(body, "etag"); tag == "" || header(w, "ETag") != tag {
			t.Errorf("%s: header %s, body %s", path, header(w, "ETag"), tag)
		}
		if child := arm.Text(body, "properties", "subnets", "0", "etag"); path == "virtualNetworks/net" && child != arm.Text(body, "etag") {
			t.Errorf("the subnet within has %s", child)
		}
	}
	put := func(tag string) int {
		w := c.doWith(http.Header{"If-Match": {tag}}, http.MethodPut, networks+"virtualNetworks/net/subnets/a", `{"properties":{"addressPrefix":"10.1.0.0/25"}}`)
		c.pass()
		return w.Code
	}
	tag := header(c.do(http.MethodGet, networks+"virtualNetworks/net/subnets/a", ""), "ETag")
	if first, second := put(tag), put(tag); first != http.StatusOK || second != http.StatusPreconditionFailed {
		t.Errorf("a subnet's etag, used twice: %d, %d", first, second)
	}
}
