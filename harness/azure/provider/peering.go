package provider

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
)

// The states of a peering: one side has it, both have it, the other has none any more (armnetwork, VirtualNetworkPeeringState).
const (
	initiated    = "Initiated"
	connected    = "Connected"
	disconnected = "Disconnected"
)

// networkPeerings are the halves of peerings, each in the document of its network. Of peeringSyncLevel nothing is told: which change of which side makes which
// of its values is not documented.
func networkPeerings() *resource.Type {
	return &resource.Type{
		Name: "Microsoft.Network/virtualNetworks/virtualNetworkPeerings", Inside: "virtualNetworkPeerings",
		ReadOnly: []string{"peeringState", "remoteVirtualNetworkAddressSpace"}, Fill: renewPeering,
	}
}

// renewPeering begins anew with a peering that somebody puts: that is how one that was disconnected is "back to Initiated state" (RemotePeeringIsDisconnected's
// message says it).
func renewPeering(_ *resource.Tx, _ arm.ID, body, _ map[string]any) {
	delete(arm.Object(body, "properties"), "peeringState")
}

func peeringsOf(network map[string]any) []map[string]any {
	return arm.Objects(network, "properties", "virtualNetworkPeerings")
}

func remoteOf(peering map[string]any) string {
	return arm.Text(peering, "properties", "remoteVirtualNetwork", "id")
}

// peeringTo is the peering of a network's document with another; nil: it has none.
func peeringTo(network map[string]any, remote string) map[string]any {
	for _, p := range peeringsOf(network) {
		if strings.EqualFold(remoteOf(p), remote) {
			return p
		}
	}
	return nil
}

// checkPeerings holds the peerings of a network to the service's rules: the other network is there, has addresses of its own, and is peered with once. The
// codes and texts are those that clients report: VnetAddressSpacesOverlap (az network vnet peering create), VnetAddressSpaceOverlapsWithAlreadyPeeredVnet
// (Azure/ResourceModules#731), RemotePeeringIsDisconnected and AnotherPeeringAlreadyReferencesRemoteVnet (kyma-project/cloud-manager, azureclient/meta).
func checkPeerings(tx *resource.Tx, id arm.ID, body, old map[string]any) *arm.Error {
	seen := map[string]string{}
	for _, p := range peeringsOf(body) {
		self, ref := id.String()+"/virtualNetworkPeerings/"+arm.Text(p, "name"), remoteOf(p)
		remote, ok := arm.ParseID(ref)
		switch {
		case ref == "":
			e := arm.Errorf(http.StatusBadRequest, "InvalidRequestFormat", "Cannot parse the request.")
			e.Details = []arm.Error{*arm.Errorf(0, "MissingJsonReferenceId", "Value for reference id is missing. Path properties.remoteVirtualNetwork.")}
			return e
		case seen[strings.ToLower(ref)] != "":
			return arm.Errorf(http.StatusBadRequest, "AnotherPeeringAlreadyReferencesRemoteVnet", "Peering %s already references remote virtual network %s. Cannot add another peering %s referencing the same remote virtual network.",
				seen[strings.ToLower(ref)], ref, self)
		}
		seen[strings.ToLower(ref)] = self
		anew := arm.Text(p, "properties", "peeringState") == "" || peeringTo(old, ref) == nil // put by itself, or with its network for the first time
		there := tx.Get(remote)
		if !ok || !strings.EqualFold(remote.Type(), "Microsoft.Network/virtualNetworks") || there == nil {
			if anew {
				return arm.InvalidReference(ref, id)
			}
			continue // the other network has gone since
		}
		if theirs := peeringTo(there.Body(), id.String()); anew && arm.Text(theirs, "properties", "peeringState") == disconnected {
			return arm.Errorf(http.StatusBadRequest, "RemotePeeringIsDisconnected", "Cannot create or update peering %s because remote peering %s referencing parent virtual network %s is in Disconnected state. "+
				"Update or re-create the remote peering to get it back to Initiated state. Peering gets Disconnected when remote vnet or remote peering is deleted and re-created.", self, arm.Text(theirs, "id"), id)
		}
		if bad := checkApart(tx, id, remote, body, there.Body(), self); bad != nil {
			return bad
		}
	}
	return nil
}

// checkApart refuses a peering of networks that share addresses, with each other or with what the other is peered with already.
func checkApart(tx *resource.Tx, id, remote arm.ID, body, there map[string]any, self string) *arm.Error {
	begins := fmt.Sprintf("Cannot create or update peering %s. Virtual networks %s and %s cannot be peered because ", self, id, remote)
	if a, b := shared(space(body), space(there)); a != "" {
		return arm.Errorf(http.StatusBadRequest, "VnetAddressSpacesOverlap", "%stheir address spaces overlap. Overlapping address prefixes: %s, %s", begins, a, b)
	}
	for _, p := range peeringsOf(there) {
		third, ok := arm.ParseID(remoteOf(p))
		if !ok || third.Key() == id.Key() || tx.Get(third) == nil {
			continue
		}
		if a, _ := shared(space(body), space(tx.Get(third).Body())); a != "" {
			return arm.Errorf(http.StatusBadRequest, "VnetAddressSpaceOverlapsWithAlreadyPeeredVnet",
				"%saddress space of the first virtual network overlaps with address space of virtual network %s already peered with the second virtual network. Overlapping address prefixes: %s.", begins, third, a)
		}
	}
	return nil
}

func space(network map[string]any) []netip.Prefix {
	p, _ := prefixes(arm.ID{}, arm.At(network, "properties", "addressSpace", "addressPrefixes"))
	return p
}

// shared are the first two prefixes that overlap, one of each; empty: none do.
func shared(here, there []netip.Prefix) (a, b string) {
	for _, p := range here {
		for _, q := range there {
			if p.Overlaps(q) {
				return p.String(), q.String()
			}
		}
	}
	return "", ""
}

// keepPeerings leaves a network the peerings that a PUT of it does not mention: Terraform's writes never do (terraform-provider-azurerm has them in a
// resource of their own, and sends a network without), and they stay.
func keepPeerings(tx *resource.Tx, id arm.ID, body map[string]any) {
	const property = "virtualNetworkPeerings"
	if d := tx.Get(id); d != nil && arm.At(body, "properties", property) == nil {
		arm.Object(body, "properties")[property] = arm.At(d.Body(), "properties", property)
	}
}

// changedNetwork tells the other halves of a network's peerings what became of this one, and this one of them.
func changedNetwork(tx *resource.Tx, id arm.ID, body, old map[string]any) {
	for _, p := range peeringsOf(old) {
		if peeringTo(body, remoteOf(p)) == nil {
			meet(tx, id, remoteOf(p), func(theirs map[string]any) { part(theirs, false) })
		}
	}
	if body == nil { // it is gone, for those too who waited for its half
		for _, d := range tx.Naming(id) {
			if strings.EqualFold(d.ID.Type(), "Microsoft.Network/virtualNetworks") {
				meet(tx, id, d.ID.String(), func(theirs map[string]any) { part(theirs, true) })
			}
		}
		return
	}
	for _, p := range peeringsOf(body) {
		own := arm.Object(p, "properties")
		remote, _ := arm.ParseID(remoteOf(p))
		d := tx.Get(remote)
		if d == nil {
			continue
		}
		theirs := peeringTo(d.Body(), id.String())
		switch state := arm.Text(theirs, "properties", "peeringState"); {
		case state == initiated || state == connected:
			own["peeringState"] = connected
		case arm.Text(own, "peeringState") == "":
			own["peeringState"] = initiated
		}
		own["remoteVirtualNetworkAddressSpace"] = arm.At(d.Body(), "properties", "addressSpace")
		if own["remoteAddressSpace"] == nil {
			own["remoteAddressSpace"] = own["remoteVirtualNetworkAddressSpace"]
		}
		here := arm.At(body, "properties", "addressSpace")
		meet(tx, id, remote.String(), func(theirs map[string]any) {
			if theirs["remoteVirtualNetworkAddressSpace"] = here; own["peeringState"] == connected {
				theirs["peeringState"] = connected
			}
		})
	}
}

// part disconnects a half whose other half, or whose whole other network, is gone.
func part(theirs map[string]any, whole bool) {
	if whole || arm.Text(theirs, "peeringState") == connected {
		theirs["peeringState"] = disconnected
	}
}

// meet changes the properties of the half that another network has of a peering with this one. In another subscription that is done a moment later: nobody is
// alone in two.
func meet(tx *resource.Tx, id arm.ID, other string, change func(theirs map[string]any)) {
	remote, ok := arm.ParseID(other)
	if !ok || remote.Key() == id.Key() {
		return
	}
	edit := func(tx *resource.Tx) {
		if d := tx.Get(remote); d == nil || peeringTo(d.Body(), id.String()) == nil {
			return
		}
		tx.Edit(remote, func(b map[string]any) { change(arm.Object(peeringTo(b, id.String()), "properties")) })
	}
	if strings.EqualFold(remote.Subscription, id.Subscription) {
		edit(tx)
		return
	}
	tx.After(remote.Subscription, 0, edit)
}
