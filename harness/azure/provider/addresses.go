package provider

import (
	"bytes"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
	"drydock.dev/drydock/harness/azure/state"
)

// checkNetwork holds the prefixes of a virtual network to the service's rules: each is one, without bits beyond its length; a subnet lies within its
// network and beside the others. A network or a subnet that names none is not held to any.
func checkNetwork(tx *resource.Tx, id arm.ID, body, old map[string]any) *arm.Error {
	if subnets := arm.At(old, "properties", "subnets"); subnets != nil && arm.At(body, "properties", "subnets") == nil {
		// A PUT that says nothing of subnets keeps them, and one with an empty list deletes them (learn.microsoft.com, "Create virtual network resources by using Bicep").
		arm.Object(body, "properties")["subnets"] = subnets
	}
	space, bad := prefixes(id, arm.At(body, "properties", "addressSpace", "addressPrefixes"))
	if bad != nil {
		return bad
	}
	type taken struct {
		by     string
		prefix netip.Prefix
	}
	var others []taken
	for _, s := range arm.Objects(body, "properties", "subnets") {
		name := arm.Text(s, "name")
		own, bad := subnetPrefixes(id, s)
		if bad != nil {
			return bad
		}
		for _, p := range own {
			if len(space) > 0 && !within(space, p) {
				return arm.Errorf(http.StatusBadRequest, "NetcfgInvalidSubnet", "Subnet '%s' is not valid in virtual network '%s'.", name, id.Name())
			}
			for _, o := range others {
				if o.by != name && o.prefix.Overlaps(p) {
					return arm.Errorf(http.StatusBadRequest, "NetcfgSubnetRangesOverlap", "Subnet '%s' is not valid because its IP address range overlaps with that of an existing subnet in virtual network '%s'.", name, id.Name())
				}
			}
			others = append(others, taken{name, p})
		}
	}
	if bad := keepsUsed(tx, id, body, old); bad != nil {
		return bad
	}
	keepPeerings(tx, id, body)
	return checkPeerings(tx, id, body, old)
}

// keepsUsed refuses a network that leaves out a subnet, or the addresses of one, that somebody uses: a PUT is of the whole. The codes here are those that
// clients report (InUseSubnetCannotBeDeleted, InUsePrefixCannotBeDeleted, DuplicateResourceName); the texts are from memory of such reports, not of a recording.
func keepsUsed(tx *resource.Tx, id arm.ID, body, old map[string]any) *arm.Error {
	now := map[string]map[string]any{}
	for _, s := range arm.Objects(body, "properties", "subnets") {
		name := strings.ToLower(arm.Text(s, "name"))
		if name != "" && now[name] != nil {
			e := arm.Errorf(http.StatusBadRequest, "InvalidRequestFormat", "Cannot parse the request.")
			e.Details = []arm.Error{*arm.Errorf(0, "DuplicateResourceName", "Resource %s has two child resources with the same name (%s).", id, arm.Text(s, "name"))}
			return e
		}
		now[name] = s
	}
	for _, was := range arm.Objects(old, "properties", "subnets") {
		subnet, ok := arm.ParseID(id.String() + "/subnets/" + arm.Text(was, "name"))
		if !ok || subnet.Collection() {
			continue
		}
		s := now[strings.ToLower(subnet.Name())]
		if s == nil {
			if bad := heldSubnet(tx, subnet); bad != nil {
				return bad
			}
			continue
		}
		if bad := keepsAddresses(tx, subnet, s, was); bad != nil {
			return bad
		}
	}
	return nil
}

// keepsAddresses refuses a subnet without a prefix it had, of which somebody has an address.
func keepsAddresses(tx *resource.Tx, subnet arm.ID, now, was map[string]any) *arm.Error {
	space, _ := subnetPrefixes(subnet, now)
	before, _ := subnetPrefixes(subnet, was)
	before = slices.DeleteFunc(before, func(p netip.Prefix) bool { return within(space, p) })
	if len(space) == 0 || len(before) == 0 {
		return nil
	}
	for address := range allocated(tx.View, subnet, arm.ID{}) {
		a, err := netip.ParseAddr(address)
		if err != nil || slices.ContainsFunc(space, func(p netip.Prefix) bool { return p.Contains(a) }) {
			continue
		}
		for _, p := range before {
			if p.Contains(a) {
				return arm.Errorf(http.StatusBadRequest, "InUsePrefixCannotBeDeleted", "IpPrefix %s on Subnet %s has active allocations and cannot be deleted.", p, subnet.Name())
			}
		}
	}
	return nil
}

// subnetPrefixes are those of a subnet's document, in the one property or in the other.
func subnetPrefixes(by arm.ID, subnet map[string]any) ([]netip.Prefix, *arm.Error) {
	list, _ := arm.At(subnet, "properties", "addressPrefixes").([]any)
	if one := arm.At(subnet, "properties", "addressPrefix"); one != nil {
		list = append([]any{one}, list...)
	}
	return prefixes(by, list)
}

// prefixes reads a list of them.
func prefixes(by arm.ID, v any) (out []netip.Prefix, bad *arm.Error) {
	list, _ := v.([]any)
	for _, x := range list {
		s, _ := x.(string)
		p, err := netip.ParsePrefix(s)
		switch {
		case err != nil:
			return nil, arm.Errorf(http.StatusBadRequest, "InvalidAddressPrefixFormat", "Address prefix %v of resource %s is not formatted correctly. It should follow CIDR notation, for example 10.0.0.0/24.", x, by)
		case p != p.Masked():
			return nil, arm.Errorf(http.StatusBadRequest, "InvalidCIDRNotation", "The address prefix %s in resource %s has an invalid CIDR notation. For the given prefix length, the address prefix should be %s.", s, by, p.Masked())
		}
		out = append(out, p)
	}
	return out, nil
}

func within(space []netip.Prefix, p netip.Prefix) bool {
	for _, s := range space {
		if s.Bits() <= p.Bits() && s.Contains(p.Addr()) {
			return true
		}
	}
	return false
}

// subnetOf finds a subnet and its prefixes; none: it names none, or is not there.
func subnetOf(v resource.View, ref string) (arm.ID, []netip.Prefix) {
	id, ok := arm.ParseID(ref)
	if !ok || len(id.Types) != 2 || id.Collection() {
		return id, nil
	}
	for _, s := range arm.Objects(v.Get(id.Top(1)).Body(), "properties", "subnets") {
		if strings.EqualFold(arm.Text(s, "name"), id.Name()) {
			p, _ := subnetPrefixes(id, s)
			return id, p
		}
	}
	return id, nil
}

// checkAddress holds an address that a client chose to the subnet it is for. An address of no subnet that has a prefix is not held to anything.
func checkAddress(v resource.View, by arm.ID, config map[string]any) *arm.Error {
	chosen := arm.Text(config, "properties", "privateIPAddress")
	subnet, space := subnetOf(v, arm.Text(config, "properties", "subnet", "id"))
	switch {
	case len(space) == 0:
		return nil
	case chosen == "":
		return checkRoom(v, by, subnet, space, arm.Text(config, "properties", "privateIPAddressVersion"))
	case !strings.EqualFold(arm.Text(config, "properties", "privateIPAllocationMethod"), "Static"):
		return nil
	}
	a, err := netip.ParseAddr(chosen)
	if err != nil {
		return arm.Errorf(http.StatusBadRequest, "InvalidIPAddressFormat", "IP address format %s in resource %s is invalid.", chosen, by)
	}
	for _, p := range space {
		if !p.Contains(a) {
			continue
		}
		if reserved(p, a) {
			return arm.Errorf(http.StatusBadRequest, "PrivateIPAddressInReservedRange", "Private static IP address %s falls within reserved IP range of subnet prefix %s.", chosen, p)
		}
		if holder := allocated(v, subnet, by)[chosen]; holder != "" {
			return arm.Errorf(http.StatusBadRequest, "PrivateIPAddressIsAllocated", "IP configuration %s/ipConfigurations/%s is using the private IP address %s which is already allocated to resource %s.",
				by, arm.Text(config, "name"), chosen, holder)
		}
		return nil
	}
	return arm.Errorf(http.StatusBadRequest, "PrivateIPAddressNotInSubnet", "Private static IP address %s does not belong to the range of subnet prefix %s.", chosen, space[0])
}

// checkRoom refuses one address more where there is none. Who has addresses is only counted where there may be as many as the subnet has.
func checkRoom(v resource.View, by, subnet arm.ID, space []netip.Prefix, version string) *arm.Error {
	const few = 8 // bits of a prefix that interfaces can fill, when each is counted
	holders := v.Naming(subnet)
	for _, p := range space {
		if bits := p.Addr().BitLen() - p.Bits(); bits > few && len(holders) < 1<<min(bits, 20)/2 {
			return nil
		}
	}
	if slices.ContainsFunc(holders, func(d *state.Document) bool { return d.ID.Key() == by.Key() }) || free(space, version, allocated(v, subnet, by)) != "" {
		return nil
	}
	return arm.Errorf(http.StatusBadRequest, "SubnetIsFull", "Subnet %s with address prefix %s does not have enough capacity for 1 IP addresses.", subnet.Name(), space[0])
}

// reserved reports whether Azure keeps an address of a subnet to itself: the first four and the last (learn.microsoft.com, "Azure Virtual Network FAQ").
func reserved(p netip.Prefix, a netip.Addr) bool {
	first := p.Addr()
	for range 4 {
		if a == first {
			return true
		}
		first = first.Next()
	}
	return !p.Contains(a.Next())
}

// allocated are the addresses that others have in a subnet, and who: of those that name it.
func allocated(v resource.View, subnet, but arm.ID) map[string]string {
	const field = `"privateIPAddress":"`
	out := map[string]string{}
	for _, d := range v.Naming(subnet) {
		if d.ID.Key() == but.Key() {
			continue
		}
		for raw := d.Raw; ; { // not decoded: there may be thousands
			i := bytes.Index(raw, []byte(field))
			if i < 0 {
				break
			}
			raw = raw[i+len(field):]
			if end := bytes.IndexByte(raw, '"'); end > 0 {
				out[string(raw[:end])] = d.ID.String()
			}
		}
		own, _ := d.Hidden[addressTag].(map[string]any) // of a scale set's instance
		for _, a := range own {
			if address, ok := a.(string); ok {
				out[address] = d.ID.String()
			}
		}
	}
	return out
}

// allocate gives addresses to the configurations of a document that name a subnet and have none: those they had, or the first that are free. It keeps
// those they have, but for a dynamic one that another has: the service, not the client, chooses that.
func allocate(tx *resource.Tx, by arm.ID, configs []map[string]any, before []map[string]any) {
	type room struct {
		taken map[string]string
		space []netip.Prefix
	}
	rooms := map[string]room{} // by subnet: each is looked at once
	in := func(ref string) (map[string]string, []netip.Prefix) {
		id, _ := arm.ParseID(ref)
		key := id.Key()
		if _, seen := rooms[key]; !seen {
			subnet, space := subnetOf(tx.View, ref)
			rooms[key] = room{allocated(tx.View, subnet, by), space}
		}
		return rooms[key].taken, rooms[key].space
	}
	var without []map[string]any
	for _, static := range []bool{true, false} { // what is static is so before anything is chosen
		for _, c := range configs {
			p := arm.Object(c, "properties")
			ref := arm.Text(p, "subnet", "id")
			if ref == "" || static != strings.EqualFold(arm.Text(p, "privateIPAllocationMethod"), "Static") {
				continue
			}
			others, _ := in(ref)
			address := arm.Text(p, "privateIPAddress")
			if address == "" {
				address = had(before, arm.Text(c, "name"), ref)
			}
			if address == "" || !static && others[address] != "" {
				without = append(without, p)
				continue
			}
			p["privateIPAddress"], others[address] = address, by.String()
		}
	}
	for _, p := range without {
		others, space := in(arm.Text(p, "subnet", "id"))
		if len(space) == 0 {
			space = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} // a subnet that somebody loaded without one
		}
		address := free(space, arm.Text(p, "privateIPAddressVersion"), others)
		p["privateIPAddress"], others[address] = address, by.String()
	}
}

// had is the address that a configuration of a name had in a subnet; empty: none.
func had(before []map[string]any, name, subnet string) string {
	for _, was := range before {
		if strings.EqualFold(arm.Text(was, "name"), name) && strings.EqualFold(arm.Text(was, "properties", "subnet", "id"), subnet) {
			return arm.Text(was, "properties", "privateIPAddress")
		}
	}
	return ""
}

// free is the first address of a subnet that nobody has; empty: there is none.
func free(space []netip.Prefix, version string, taken map[string]string) string {
	for _, p := range space {
		if p.Addr().Is6() != strings.EqualFold(version, "IPv6") {
			continue
		}
		for a := p.Addr(); p.Contains(a); a = a.Next() {
			if taken[a.String()] == "" && !reserved(p, a) {
				return a.String()
			}
		}
	}
	return ""
}
