package azure

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/azure/arm"
)

func (c *client) network(name, prefix string) {
	c.t.Helper()
	if status, code, message := c.putNetwork("virtualNetworks/"+name, `"addressSpace":{"addressPrefixes":["`+prefix+`"]}`); status >= http.StatusBadRequest {
		c.t.Fatal(status, code, message)
	}
}

func (c *client) peer(from, to string) string {
	c.t.Helper()
	_, code, message := c.putNetwork("virtualNetworks/"+from+"/virtualNetworkPeerings/to-"+to, fmt.Sprintf(`"remoteVirtualNetwork":{"id":%q},"allowVirtualNetworkAccess":true`, networkID("virtualNetworks/"+to)))
	return strings.TrimSpace(code + " " + message)
}

func (c *client) peering(from, to string) string {
	c.t.Helper()
	return c.text(networks+"virtualNetworks/"+from+"/virtualNetworkPeerings/to-"+to, "properties", "peeringState")
}

func TestAPeeringIsConnectedByItsOtherHalf(t *testing.T) {
	c := newClient(t)
	c.group()
	c.network("a", "10.1.0.0/16")
	c.network("b", "10.2.0.0/16")
	says := func(about, want string) {
		t.Helper()
		if got := c.peering("a", "b"); got != want {
			t.Errorf("%s: %s, want %s", about, got, want)
		}
	}
	if bad := c.peer("a", "b"); bad != "" {
		t.Fatal(bad)
	}
	says("one half", "Initiated")
	c.network("b", "10.2.0.0/16") // a PUT of the network does not make its half
	says("the other network written", "Initiated")
	c.peer("b", "a")
	says("both halves", "Connected")
	if got := c.peering("b", "a"); got != "Connected" {
		t.Errorf("the other half: %s", got)
	}
	c.network("a", "10.1.0.0/16")
	says("a PUT that does not mention it", "Connected")
	if got := c.text(networks+"virtualNetworks/a", "properties", "virtualNetworkPeerings", "0", "properties", "remoteVirtualNetworkAddressSpace", "addressPrefixes", "0"); got != "10.2.0.0/16" {
		t.Errorf("the other's addresses are %q", got)
	}
	c.want(http.StatusAccepted, http.MethodDelete, networks+"virtualNetworks/b/virtualNetworkPeerings/to-a", "")
	c.pass()
	says("the other half deleted", "Disconnected")
	if bad := c.peer("b", "a"); !strings.HasPrefix(bad, "RemotePeeringIsDisconnected ") {
		t.Errorf("peered again with a half that is disconnected: %s", bad)
	}
	c.peer("a", "b")
	says("put again", "Initiated")
	c.peer("b", "a")
	says("and the other", "Connected")
	c.want(http.StatusAccepted, http.MethodDelete, networks+"virtualNetworks/b", "")
	c.pass()
	says("the other network deleted", "Disconnected")
	if bad := c.peer("a", "b"); !strings.HasPrefix(bad, "InvalidResourceReference ") {
		t.Errorf("put again with a network that is not there: %q", bad)
	}
	c.network("a", "10.1.0.0/16")
	says("its own network written", "Disconnected")
	if w := c.do(http.MethodDelete, networks+"virtualNetworks/a/virtualNetworkPeerings/to-b", ""); w.Code != http.StatusAccepted {
		t.Errorf("what is left of it deleted: %d %s", w.Code, w.Body)
	}
}

func TestAHalfThatWaitsIsDisconnectedWithTheOtherNetwork(t *testing.T) {
	c := newClient(t)
	c.group()
	c.network("a", "10.1.0.0/16")
	c.do(http.MethodPut, "resourceGroups/other", `{"location":"westeurope"}`)
	other := strings.Replace(networks, "/g/", "/other/", 1)
	c.want(http.StatusCreated, http.MethodPut, other+"virtualNetworks/b", `{"location":"westeurope","properties":{"addressSpace":{"addressPrefixes":["10.2.0.0/16"]}}}`)
	c.pass()
	c.want(http.StatusCreated, http.MethodPut, networks+"virtualNetworks/a/virtualNetworkPeerings/to-b", fmt.Sprintf(`{"properties":{"remoteVirtualNetwork":{"id":"/subscriptions/%s/%svirtualNetworks/b"}}}`, testSubscription, other))
	c.pass()
	c.do(http.MethodDelete, "resourceGroups/other", "")
	c.pass()
	if got := c.peering("a", "b"); got != "Disconnected" {
		t.Errorf("after the other's group was deleted: %s", got)
	}
}

func TestPeeringsThatAzureRefuses(t *testing.T) {
	c := newClient(t)
	c.group()
	c.network("a", "10.1.0.0/16")
	c.network("b", "10.2.0.0/16")
	c.network("like-a", "10.1.128.0/17")
	for _, r := range []struct{ about, from, to, want string }{
		{"not there", "a", "nowhere", "InvalidResourceReference "}, {"with itself", "a", "a", "VnetAddressSpacesOverlap "},
		{"the same addresses", "a", "like-a", "VnetAddressSpacesOverlap Cannot create or update peering " + networkID("virtualNetworks/a/virtualNetworkPeerings/to-like-a")},
		{"a good one", "a", "b", ""}, {"the other half", "b", "a", ""}, {"the addresses of whom it is peered with", "like-a", "b", "VnetAddressSpaceOverlapsWithAlreadyPeeredVnet "},
	} {
		if got := c.peer(r.from, r.to); !strings.HasPrefix(got, r.want) || (got == "") != (r.want == "") {
			t.Errorf("%s: %q, want %q", r.about, got, r.want)
		}
	}
	_, code, _ := c.putNetwork("virtualNetworks/a/virtualNetworkPeerings/second", fmt.Sprintf(`"remoteVirtualNetwork":{"id":%q}`, networkID("virtualNetworks/b")))
	if code != "AnotherPeeringAlreadyReferencesRemoteVnet" {
		t.Errorf("a second one with the same: %s", code)
	}
	if _, code, _ := c.putNetwork("virtualNetworks/a", `"addressSpace":{"addressPrefixes":["10.1.0.0/16","10.2.0.0/24"]}`); code != "VnetAddressSpacesOverlap" {
		t.Errorf("addresses of the other, after they were peered: %q", code)
	}
}

func TestAPeeringAcrossSubscriptions(t *testing.T) {
	c := newClient(t)
	c.group()
	c.network("a", "10.1.0.0/16")
	const there = "/subscriptions/00000000-0000-0000-0000-00000000000b/resourceGroups/g"
	net := there + "/providers/Microsoft.Network/virtualNetworks/b"
	c.do(http.MethodPut, there, `{"location":"westeurope"}`)
	c.want(http.StatusCreated, http.MethodPut, net, `{"location":"westeurope","properties":{"addressSpace":{"addressPrefixes":["10.2.0.0/16"]}}}`)
	c.pass()
	c.want(http.StatusCreated, http.MethodPut, networks+"virtualNetworks/a/virtualNetworkPeerings/to-b", fmt.Sprintf(`{"properties":{"remoteVirtualNetwork":{"id":%q}}}`, net))
	c.pass()
	c.want(http.StatusCreated, http.MethodPut, net+"/virtualNetworkPeerings/to-a", fmt.Sprintf(`{"properties":{"remoteVirtualNetwork":{"id":%q}}}`, networkID("virtualNetworks/a")))
	c.pass()
	state := arm.Text(c.want(http.StatusOK, http.MethodGet, net+"/virtualNetworkPeerings/to-a", ""), "properties", "peeringState")
	if got := c.peering("a", "b") + " " + state; got != "Connected Connected" {
		t.Errorf("both halves: %s", got)
	}
	c.do(http.MethodDelete, net, "")
	c.pass()
	if got := c.peering("a", "b"); got != "Disconnected" {
		t.Errorf("the other network deleted: %s", got)
	}
}
