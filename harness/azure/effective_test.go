package azure

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/azure/arm"
)

// result is what an action leaves at its Location.
func (c *client) result(path, body string) map[string]any {
	c.t.Helper()
	w := c.do(http.MethodPost, path, body)
	if w.Code != http.StatusAccepted {
		c.t.Fatalf("POST %s: %d %s", path, w.Code, w.Body)
	}
	at := strings.SplitN(w.Header().Get("Location"), "/subscriptions/", 2)
	status := strings.SplitN(header(w, "Azure-AsyncOperation"), "/subscriptions/", 2)
	c.pass()
	out := c.do(http.MethodGet, "/subscriptions/"+at[1], "")
	told := c.want(http.StatusOK, http.MethodGet, "/subscriptions/"+status[1], "")
	if out.Code >= http.StatusBadRequest {
		return decoded(c.t, out)
	}
	if out.Body.Len() == 0 {
		return nil
	}
	if got, want := fmt.Sprint(arm.At(told, "properties", "output")), fmt.Sprint(decoded(c.t, out)); strings.Contains(path, "Microsoft.Compute") && got != want {
		c.t.Errorf("POST %s: its status has %s, its Location %s", path, got, want)
	}
	return decoded(c.t, out)
}

func TestWhatHoldsForAnInterface(t *testing.T) {
	c := newClient(t)
	c.machine("vm")
	c.network("far", "10.90.0.0/16")
	c.putNetwork("routeTables/rt", `"routes":[{"name":"all","properties":{"addressPrefix":"0.0.0.0/0","nextHopType":"VirtualAppliance","nextHopIpAddress":"10.0.0.9"}}]`)
	c.putNetwork("networkSecurityGroups/nsg", `"securityRules":[{"name":"ssh","properties":{"priority":100,"direction":"Inbound","access":"Allow","protocol":"*","sourcePortRange":"*","destinationPortRange":"22","sourceAddressPrefix":"*","destinationAddressPrefix":"*"}}]`)
	space := c.text(networks+"virtualNetworks/net", "properties", "addressSpace", "addressPrefixes", "0")
	prefix := c.text(networks+"virtualNetworks/net/subnets/default", "properties", "addressPrefix")
	subnet := `"addressPrefix":"` + prefix + `",`
	if prefix == "" {
		subnet = ""
	}
	if status, code, message := c.putNetwork("virtualNetworks/net/subnets/default", subnet+fmt.Sprintf(`"routeTable":{"id":%q},"networkSecurityGroup":{"id":%q}`, networkID("routeTables/rt"), networkID("networkSecurityGroups/nsg"))); status >= http.StatusBadRequest {
		t.Fatal(status, code, message)
	}
	c.peer("net", "far")
	c.peer("far", "net")
	var got []string
	for _, r := range arm.Objects(c.result(networks+"networkInterfaces/vm-nic/effectiveRouteTable", ""), "value") {
		got = append(got, fmt.Sprintf("%v %v %v %v", r["source"], r["state"], arm.At(r, "addressPrefix", "0"), r["nextHopType"]))
	}
	all := strings.Join(got, ", ")
	for _, want := range []string{"Default Active 10.90.0.0/16 VNetPeering", "Default Invalid 0.0.0.0/0 Internet", "User Active 0.0.0.0/0 VirtualAppliance", "Default Active 192.168.0.0/16 None"} {
		if !strings.Contains(all, want) {
			t.Errorf("no route %q: %s", want, all)
		}
	}
	if space != "" && !strings.Contains(all, "Default Active "+space+" VnetLocal") {
		t.Errorf("no route to the own network %s: %s", space, all)
	}
	groups := arm.Objects(c.result(networks+"networkInterfaces/vm-nic/effectiveNetworkSecurityGroups", ""), "value")
	if len(groups) != 1 || len(arm.Objects(groups[0], "effectiveSecurityRules")) != 7 || arm.Text(groups[0], "association", "subnet", "id") == "" {
		t.Fatalf("security groups: %v", groups)
	}
	first := arm.Objects(groups[0], "effectiveSecurityRules")[0]
	if first["name"] != "securityRules/ssh" || first["protocol"] != "All" || first["destinationPortRange"] != "22-22" {
		t.Errorf("the first rule: %v", first)
	}
	c.do(http.MethodPost, compute+"virtualMachines/vm/deallocate", "")
	c.pass()
	if w := c.do(http.MethodPost, networks+"networkInterfaces/vm-nic/effectiveRouteTable", ""); code(w) != "OperationNotAllowed" {
		t.Errorf("of a machine that is off: %d %s", w.Code, w.Body)
	}
}

func TestWhoIsInABalancer(t *testing.T) {
	c := newClient(t)
	c.machine("vm")
	c.putNetwork("loadBalancers/lb", `"backendAddressPools":[{"name":"one"},{"name":"two"}]`)
	pool := networkID("loadBalancers/lb/backendAddressPools/")
	c.putNetwork("networkInterfaces/vm-nic", fmt.Sprintf(`"ipConfigurations":[{"name":"ip","properties":{"subnet":{"id":%q},"loadBalancerBackendAddressPools":[{"id":%q},{"id":%q}]}}]`,
		networkID("virtualNetworks/net/subnets/default"), pool+"one", pool+"two"))
	if got := c.names(networks+"loadBalancers/lb/networkInterfaces") + " " + c.names(networks+"networkInterfaces/vm-nic/loadBalancers"); got != "vm-nic lb" {
		t.Errorf("in the balancer and of the interface: %s", got)
	}
	if w := c.do(http.MethodGet, networks+"loadBalancers/none/networkInterfaces", ""); w.Code != http.StatusNotFound {
		t.Errorf("of a balancer that is not there: %d", w.Code)
	}
}

func TestAddressesAndNamesThatAreFree(t *testing.T) {
	c := newClient(t)
	c.group()
	c.putNetwork("virtualNetworks/net", `"addressSpace":{"addressPrefixes":["10.1.0.0/16"]},"subnets":[{"name":"a","properties":{"addressPrefix":"10.1.0.0/24"}}]`)
	c.putNetwork("networkInterfaces/nic", fmt.Sprintf(`"ipConfigurations":[{"name":"ip","properties":{"subnet":{"id":%q}}}]`, networkID("virtualNetworks/net/subnets/a")))
	ask := networks + "virtualNetworks/net/CheckIPAddressAvailability?ipAddress="
	for address, want := range map[string]string{"10.1.0.9": "true false 0", "10.1.0.4": "false false 5", "10.1.0.1": "false true 5"} {
		got := c.want(http.StatusOK, http.MethodGet, ask+address, "")
		others, _ := got["availableIPAddresses"].([]any)
		if has := fmt.Sprintf("%v %v %d", got["available"], got["isPlatformReserved"], len(others)); has != want {
			t.Errorf("%s: %s, want %s: %v", address, has, want, got)
		}
	}
	for address, want := range map[string]string{"10.1.9.9": "PrivateIPAddressNotInAnySubnet", "ten": "InvalidIPAddressFormat"} {
		if w := c.do(http.MethodGet, ask+address, ""); code(w) != want {
			t.Errorf("%s: %d %s, want %s", address, w.Code, code(w), want)
		}
	}
	usage := arm.Objects(c.want(http.StatusOK, http.MethodGet, networks+"virtualNetworks/net/usages", ""), "value")
	if len(usage) != 1 || fmt.Sprint(usage[0]["currentValue"], usage[0]["limit"]) != "1 251" {
		t.Errorf("usages: %v", usage)
	}
	c.putNetwork("publicIPAddresses/ip", `"dnsSettings":{"domainNameLabel":"taken"}`)
	for label, want := range map[string]bool{"taken": false, "free": true} {
		got := c.want(http.StatusOK, http.MethodGet, "providers/Microsoft.Network/locations/westeurope/CheckDnsNameAvailability?domainNameLabel="+label, "")
		if got["available"] != want {
			t.Errorf("%s: %v", label, got)
		}
	}
}
