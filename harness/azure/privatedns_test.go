package azure

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/azure/arm"
)

func TestAPrivateZoneKnowsItsRecordsAndNetworks(t *testing.T) {
	c := newClient(t)
	c.group()
	c.network("net", "10.1.0.0/16")
	const zone = networks + "privateDnsZones/cluster.internal"
	if w := c.do(http.MethodPut, zone, `{"location":"westeurope"}`); code(w) != "LocationNotAvailableForResourceType" {
		t.Errorf("in a region: %d %s", w.Code, w.Body)
	}
	c.want(http.StatusAccepted, http.MethodPut, zone, `{"location":"global"}`)
	c.pass()
	c.want(http.StatusCreated, http.MethodPut, zone+"/A/api", `{"properties":{"ttl":300,"aRecords":[{"ipv4Address":"10.1.0.4"}]}}`)
	c.want(http.StatusAccepted, http.MethodPut, zone+"/virtualNetworkLinks/link", fmt.Sprintf(`{"location":"global","properties":{"registrationEnabled":true,"virtualNetwork":{"id":%q}}}`, networkID("virtualNetworks/net")))
	c.pass()
	counts := func() string {
		t.Helper()
		p := c.want(http.StatusOK, http.MethodGet, zone, "")["properties"]
		return fmt.Sprint(arm.At(p, "provisioningState"), arm.At(p, "numberOfRecordSets"), arm.At(p, "numberOfVirtualNetworkLinks"), arm.At(p, "numberOfVirtualNetworkLinksWithRegistration"))
	}
	if got := counts(); got != "Succeeded2 1 1" {
		t.Errorf("the zone has %s", got)
	}
	if got := c.names(zone+"/ALL") + "," + c.names(zone+"/A") + "," + c.names(zone+"/AAAA") + "," + c.text(zone+"/A/api", "properties", "fqdn") + "," + c.text(zone+"/SOA/@", "properties", "fqdn"); got != "api @,api,,api.cluster.internal.,cluster.internal." {
		t.Errorf("its records: %s", got)
	}
	if got := c.text(zone+"/virtualNetworkLinks/link", "properties", "virtualNetworkLinkState"); got != "Completed" {
		t.Errorf("the link is %s", got)
	}
	if w := c.do(http.MethodDelete, zone, ""); code(w) != "CannotDeleteResource" {
		t.Errorf("deleted with a link: %d %s", w.Code, w.Body)
	}
	if w := c.do(http.MethodDelete, zone+"/SOA/@", ""); w.Code != http.StatusBadRequest {
		t.Errorf("its SOA deleted: %d", w.Code)
	}
	if w := c.do(http.MethodPut, zone+"/virtualNetworkLinks/bad", `{"location":"global","properties":{"virtualNetwork":{"id":"`+networkID("virtualNetworks/none")+`"}}}`); code(w) != "InvalidResourceReference" {
		t.Errorf("a network that is not there: %d %s", w.Code, w.Body)
	}
	c.want(http.StatusAccepted, http.MethodPut, zone, `{"location":"global","tags":{"a":"b"}}`)
	c.want(http.StatusOK, http.MethodDelete, zone+"/A/api", "")
	c.pass()
	if got := counts(); got != "Succeeded1 1 1" {
		t.Errorf("after a record was deleted: %s", got)
	}
	c.do(http.MethodDelete, zone+"/virtualNetworkLinks/link", "")
	c.pass()
	c.want(http.StatusAccepted, http.MethodDelete, zone, "")
	c.pass()
	if w := c.do(http.MethodGet, zone+"/SOA/@", ""); w.Code != http.StatusNotFound || strings.Contains(w.Body.String(), "fqdn") {
		t.Errorf("its records are left: %d %s", w.Code, w.Body)
	}
}
