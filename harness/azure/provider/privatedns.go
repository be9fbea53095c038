package provider

import (
	"net/http"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
)

// recordTypes are those that a private zone may have.
func recordTypes() []string { return []string{"A", "AAAA", "CNAME", "MX", "PTR", "SOA", "SRV", "TXT"} }

// privateZones are private DNS zones, their links to networks, and what is written into them, each set of records by itself.
func privateZones() []*resource.Type {
	const zone = "Microsoft.Network/privateDnsZones"
	accepted := resource.Codes{Create: http.StatusAccepted, Update: http.StatusAccepted, Patch: http.StatusAccepted}
	types := []*resource.Type{
		{Name: zone, Located: true, Global: true, Tagged: true, Codes: accepted, Fill: fillZone, Made: madeZone, Held: heldZone},
		{Name: zone + "/virtualNetworkLinks", Located: true, Global: true, Tagged: true, Codes: accepted, Check: checkLink, Fill: fillLink, Made: madeLink, Gone: goneInZone,
			Defaults: map[string]any{"properties.registrationEnabled": false}},
		{Name: zone + "/ALL", Show: showRecords},
	}
	for _, r := range recordTypes() {
		types = append(types, &resource.Type{Name: zone + "/" + r, AtOnce: resource.Every, Plain: true, Tagged: true, Fill: fillRecords, Made: countZone, Gone: goneInZone, Held: heldRecords})
	}
	return types
}

// fillZone says how much there may be in a zone (learn.microsoft.com, "Azure subscription and service limits", private DNS), and that it has but its SOA.
func fillZone(_ *resource.Tx, id arm.ID, body, old map[string]any) {
	p := arm.Object(body, "properties")
	for name, n := range map[string]int{"maxNumberOfRecordSets": 25000, "maxNumberOfVirtualNetworkLinks": 1000, "maxNumberOfVirtualNetworkLinksWithRegistration": 100} {
		p[name] = n
	}
	for name, n := range map[string]int{"numberOfRecordSets": 1, "numberOfVirtualNetworkLinks": 0, "numberOfVirtualNetworkLinksWithRegistration": 0} {
		if p[name] = arm.At(old, "properties", name); p[name] == nil {
			p[name] = n
		}
	}
	p["internalId"] = arm.Derived("zone", id.String())
}

// madeZone gives a zone the record that each has.
func madeZone(tx *resource.Tx, id arm.ID) *arm.Error {
	soa := id
	soa.Types, soa.Names = []string{"privateDnsZones", "SOA"}, []string{id.Name(), "@"}
	if tx.Get(id) == nil || tx.Get(soa) != nil {
		return nil
	}
	return produce(tx, soa, map[string]any{"properties": map[string]any{"ttl": 3600, "soaRecord": map[string]any{
		"email": "azureprivatedns-host.microsoft.com", "expireTime": 2419200, "host": "azureprivatedns.net", "minimumTtl": 10, "refreshTime": 3600, "retryTime": 300, "serialNumber": 1,
	}}})
}

// heldZone refuses to delete a zone that networks are linked to, as the Resource Manager refuses it of what has something nested.
func heldZone(tx *resource.Tx, id arm.ID) *arm.Error {
	for _, d := range tx.Below(id) {
		if d.ID.Types[len(d.ID.Types)-1] == "virtualNetworkLinks" {
			return arm.Errorf(http.StatusConflict, "CannotDeleteResource",
				"Cannot delete resource while nested resources exist. Some existing nested resource IDs include: '%s'. Please delete all nested resources before deleting this resource.", d.ID)
		}
	}
	return nil
}

func checkLink(tx *resource.Tx, id arm.ID, body, _ map[string]any) *arm.Error {
	ref := arm.Text(body, "properties", "virtualNetwork", "id")
	if network, ok := arm.ParseID(ref); !ok || !strings.EqualFold(network.Type(), "Microsoft.Network/virtualNetworks") || tx.Get(network) == nil {
		return arm.InvalidReference(ref, id)
	}
	return nil
}

func fillLink(_ *resource.Tx, _ arm.ID, body, _ map[string]any) {
	arm.Object(body, "properties")["virtualNetworkLinkState"] = "InProgress"
}

func madeLink(tx *resource.Tx, id arm.ID) *arm.Error {
	tx.Edit(id, func(b map[string]any) { arm.Object(b, "properties")["virtualNetworkLinkState"] = "Completed" })
	return countZone(tx, id)
}

func goneInZone(tx *resource.Tx, id arm.ID, _ map[string]any) { _ = countZone(tx, id) }

// countZone keeps what a zone says of how much is in it.
func countZone(tx *resource.Tx, id arm.ID) *arm.Error {
	zone := id.Top(1)
	records, links, registering := 0, 0, 0
	for _, d := range tx.Below(zone) {
		switch {
		case d.ID.Types[1] != "virtualNetworkLinks":
			records++
		case arm.At(d.Body(), "properties", "registrationEnabled") == true:
			registering++
			links++
		default:
			links++
		}
	}
	tx.Edit(zone, func(b map[string]any) {
		p := arm.Object(b, "properties")
		p["numberOfRecordSets"], p["numberOfVirtualNetworkLinks"], p["numberOfVirtualNetworkLinksWithRegistration"] = records, links, registering
	})
	return nil
}

func fillRecords(_ *resource.Tx, id arm.ID, body, _ map[string]any) {
	p := arm.Object(body, "properties")
	fqdn := id.Name() + "." + id.Names[0] + "."
	if id.Name() == "@" {
		fqdn = id.Names[0] + "."
	}
	p["fqdn"], p["isAutoRegistered"] = fqdn, false
}

// heldRecords keeps the record that each zone has; how Azure refuses that is not recorded.
func heldRecords(_ *resource.Tx, id arm.ID) *arm.Error {
	if strings.EqualFold(id.Types[1], "SOA") {
		return arm.Errorf(http.StatusBadRequest, "BadRequest", "The record set of type 'SOA' of zone '%s' cannot be deleted.", id.Names[0])
	}
	return nil
}

func showRecords(v resource.View, id arm.ID) map[string]any {
	zone := id.Top(1)
	if v.Get(zone) == nil || !id.Collection() {
		return nil
	}
	all := []any{}
	for _, d := range v.Below(zone) {
		if d.ID.Types[1] != "virtualNetworkLinks" {
			all = append(all, d.Public())
		}
	}
	return map[string]any{"value": all}
}
