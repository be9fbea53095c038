package azure

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/azure/arm"
)

// A cloud provider reads of the balancer who is in a pool, and writes it to the interfaces: the one follows from the other.
func TestWhoIsNamedIsToldOfIt(t *testing.T) {
	c := newClient(t)
	c.machine("vm-1")
	c.machine("vm-2")
	const network = "resourceGroups/g/providers/Microsoft.Network/"
	id := func(path string) string { return "/subscriptions/" + testSubscription + "/" + network + path }
	put := func(path, properties string) {
		t.Helper()
		if w := c.do(http.MethodPut, network+path, `{"location":"westeurope","properties":{`+properties+`}}`); w.Code >= http.StatusBadRequest {
			t.Fatalf("PUT %s: %d %s", path, w.Code, w.Body)
		}
		c.pass()
	}
	at := func(path string, field ...string) any { // after properties
		t.Helper()
		return arm.At(c.want(http.StatusOK, http.MethodGet, network+path, ""), append([]string{"properties"}, field...)...)
	}
	balancer := func(pool string) {
		put("loadBalancers/lb", fmt.Sprintf(`"frontendIPConfigurations":[{"name":"front","properties":{"publicIPAddress":{"id":%q}}}],"backendAddressPools":[{"name":"pool"%s}],
			"loadBalancingRules":[{"name":"rule","properties":{"frontendPort":80,"protocol":"Tcp","frontendIPConfiguration":{"id":%q},"backendAddressPool":{"id":%q}}}]`,
			id("publicIPAddresses/ip"), pool, id("loadBalancers/lb/frontendIPConfigurations/front"), id("loadBalancers/lb/backendAddressPools/pool")))
	}
	nic := func(vm, pools string) {
		put("networkInterfaces/"+vm+"-nic", fmt.Sprintf(`"ipConfigurations":[{"name":"ipconfig1","properties":{"subnet":{"id":%q},"loadBalancerBackendAddressPools":[%s]}}]`, id("virtualNetworks/net/subnets/default"), pools))
	}
	inPool := func() string {
		t.Helper()
		var names []string
		for _, ip := range arm.Objects(c.want(http.StatusOK, http.MethodGet, network+"loadBalancers/lb", ""), "properties", "backendAddressPools", "0", "properties", "backendIPConfigurations") {
			names = append(names, strings.TrimSuffix(strings.TrimPrefix(arm.Text(ip, "id"), id("networkInterfaces/")), "-nic/ipConfigurations/ipconfig1"))
		}
		return strings.Join(names, " ")
	}
	put("publicIPAddresses/ip", "")
	balancer("")
	if got := fmt.Sprintf("%v %v", at("publicIPAddresses/ip", "ipConfiguration", "id"), at("loadBalancers/lb", "frontendIPConfigurations", "0", "properties", "loadBalancingRules", "0", "id")); got !=
		id("loadBalancers/lb/frontendIPConfigurations/front")+" "+id("loadBalancers/lb/loadBalancingRules/rule") {
		t.Errorf("the address and the frontend are named by %s", got)
	}
	pool := fmt.Sprintf(`{"id":%q}`, id("loadBalancers/LB/backendAddressPools/pool"))
	nic("vm-1", pool)
	nic("vm-2", pool)
	if got := inPool(); got != "vm-1 vm-2" {
		t.Errorf("in the pool are %q", got)
	}
	balancer(`,"properties":{"backendIPConfigurations":[]}`)
	if got := inPool(); got != "vm-1 vm-2" {
		t.Errorf("a client that wrote who is in the pool was believed: %q", got)
	}
	nic("vm-1", "")
	if got := inPool(); got != "vm-2" {
		t.Errorf("after one has left the pool there are %q", got)
	}
	if got := at("networkInterfaces/vm-1-nic", "virtualMachine", "id"); got == nil {
		t.Error("an interface that is written does not know its machine any more")
	}
	c.want(http.StatusAccepted, http.MethodDelete, "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm-2", "")
	c.pass()
	if got := at("networkInterfaces/vm-2-nic", "virtualMachine"); got != nil {
		t.Errorf("the machine is gone, and its interface still names %v", got)
	}
	c.want(http.StatusAccepted, http.MethodDelete, network+"networkInterfaces/vm-2-nic", "")
	c.pass()
	if got := inPool(); got != "" {
		t.Errorf("after the interface is gone there are %q", got)
	}
	nic("vm-1", pool)
	c.want(http.StatusAccepted, http.MethodDelete, network+"loadBalancers/lb", "")
	c.pass()
	if got := at("publicIPAddresses/ip", "ipConfiguration"); got != nil {
		t.Errorf("the balancer is gone, and its address still names %v", got)
	}
	if got := at("networkInterfaces/vm-1-nic", "ipConfigurations", "0", "properties", "loadBalancerBackendAddressPools"); got != nil {
		t.Errorf("the balancer is gone, and an interface is still in its pool: %v", got)
	}
}

// What Azure fills in is in no client's request, and clients trust it: the cloud-controller-manager panicked without privateIPAddressVersion.
func TestWhatAClientLeavesOutIsFilledIn(t *testing.T) {
	c := newClient(t)
	c.machine("vm-1")
	nic := c.want(http.StatusOK, http.MethodGet, "resourceGroups/g/providers/Microsoft.Network/networkInterfaces/vm-1-nic", "")
	ip := arm.Objects(nic, "properties", "ipConfigurations")[0]
	vm := c.want(http.StatusOK, http.MethodGet, "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm-1", "")
	if got, is := arm.At(vm, "properties", "storageProfile", "dataDisks").([]any); !is || len(got) > 0 { // az vm disk attach appends to it
		t.Errorf("a machine without data disks has %v for them, not an empty list", arm.At(vm, "properties", "storageProfile", "dataDisks"))
	}
	if got := fmt.Sprintf("%v %v %v %v", arm.At(ip, "properties", "privateIPAddressVersion"), arm.At(ip, "properties", "privateIPAllocationMethod"), arm.At(ip, "properties", "primary"), arm.At(nic, "properties", "enableIPForwarding")); got != "IPv4 Dynamic true false" {
		t.Errorf("an interface is %s", got)
	}
	address := c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g/providers/Microsoft.Network/publicIPAddresses/ip", `{"location":"westeurope","sku":{"name":"Standard"},"properties":{"publicIPAllocationMethod":"Static"}}`)
	if got := fmt.Sprintf("%v %v %v %v", arm.At(address, "sku", "name"), arm.At(address, "sku", "tier"), arm.At(address, "properties", "publicIPAllocationMethod"), arm.At(address, "properties", "publicIPAddressVersion")); got != "Standard Regional Static IPv4" {
		t.Errorf("an address is %s", got)
	}
}

func TestAPoolThatGoesIsLeftByItsInterfaces(t *testing.T) {
	c := newClient(t)
	c.machine("vm")
	pools := `"backendAddressPools":[{"name":"one"},{"name":"two"}]`
	if status, code, message := c.putNetwork("loadBalancers/lb", pools); status >= http.StatusBadRequest {
		t.Fatal(status, code, message)
	}
	pool := networkID("loadBalancers/lb/backendAddressPools/")
	c.putNetwork("networkInterfaces/vm-nic", fmt.Sprintf(`"ipConfigurations":[{"name":"ip","properties":{"subnet":{"id":%q},"loadBalancerBackendAddressPools":[{"id":%q},{"id":%q}]}}]`,
		networkID("virtualNetworks/net/subnets/default"), pool+"one", pool+"two"))
	in := func() string {
		t.Helper()
		return c.do(http.MethodGet, networks+"networkInterfaces/vm-nic", "").Body.String()
	}
	if w := c.do(http.MethodDelete, networks+"loadBalancers/lb/backendAddressPools/two", ""); w.Code != http.StatusBadRequest || code(w) != "ModificationOfNICIpConfigBackendPoolNotSupported" {
		t.Errorf("a pool with an interface in it deleted by itself: %d %s", w.Code, w.Body)
	}
	c.putNetwork("loadBalancers/lb", `"backendAddressPools":[{"name":"one"}]`)
	if got := in(); !strings.Contains(got, pool+"one") || strings.Contains(got, pool+"two") {
		t.Errorf("after the balancer was put without pool two: %s", got)
	}
	if got := c.do(http.MethodGet, networks+"loadBalancers/lb", "").Body.String(); !strings.Contains(got, "vm-nic") {
		t.Errorf("pool one lost its interface: %s", got)
	}
}
