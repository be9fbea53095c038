package provider

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
	"drydock.dev/drydock/harness/azure/state"
)

// scaleSetViews are what is made of scale sets and their instances when somebody asks: their interfaces and addresses are no resources of their own.
func scaleSetViews() []*resource.Type {
	const ns = "Microsoft.Compute/virtualMachineScaleSets"
	const nics = ns + "/virtualMachines/networkInterfaces"
	return []*resource.Type{
		{Name: ns + "/skus", Show: showScaleSetSizes},
		{Name: ns + "/networkInterfaces", Show: ofAll(instanceNICs)},
		{Name: ns + "/publicipaddresses", Show: ofAll(instanceAddresses)},
		{Name: ns + "/rollingUpgrades", Show: showRollingUpgrade},
		{Name: nics, Show: showInstanceNIC},
		{Name: nics + "/ipConfigurations", Show: showInstanceConfigs},
		{Name: nics + "/ipConfigurations/publicipaddresses", Show: showInstanceAddresses},
	}
}

// addressTag is where an instance keeps its addresses, by interface/configuration: they are in no document that clients see.
const addressTag = "drydockAddresses"

// addressed gives the instances that are about to be made addresses of their subnets, beside those that others have.
type addressed map[string]addressRoom

type addressRoom struct {
	taken map[string]string
	space []netip.Prefix
}

func (a addressed) give(tx *resource.Tx, vm arm.ID, model map[string]any) map[string]any {
	out := map[string]any{}
	for _, c := range arm.Objects(model, "properties", "virtualMachineProfile", "networkProfile", "networkInterfaceConfigurations") {
		for _, ip := range arm.Objects(c, "properties", "ipConfigurations") {
			ref := arm.Text(ip, "properties", "subnet", "id")
			room, seen := a[strings.ToLower(ref)]
			if !seen {
				subnet, space := subnetOf(tx.View, ref)
				room = addressRoom{allocated(tx.View, subnet, arm.ID{}), space}
				a[strings.ToLower(ref)] = room
			}
			address := free(room.space, arm.Text(ip, "properties", "privateIPAddressVersion"), room.taken)
			if address == "" { // a subnet that is not there, or has no prefix, or none left: as a document by itself it is still looked at
				continue
			}
			room.taken[address] = vm.String()
			out[arm.Text(c, "name")+"/"+arm.Text(ip, "name")] = address
		}
	}
	return out
}

// instanceNICs are the interfaces of an instance.
func instanceNICs(v resource.View, d *state.Document) (all []any) {
	body := d.Body()
	if len(d.ID.Types) == 1 { // a machine of its own, as its interfaces are
		for _, n := range arm.Objects(body, "properties", "networkProfile", "networkInterfaces") {
			if nic, ok := arm.ParseID(arm.Text(n, "id")); ok && v.Body(nic) != nil {
				all = append(all, v.Body(nic))
			}
		}
		return all
	}
	for i, c := range arm.Objects(body, "properties", "networkProfileConfiguration", "networkInterfaceConfigurations") {
		name := arm.Text(c, "name")
		self := d.ID.String() + "/networkInterfaces/" + name
		configs := []any{}
		for j, ip := range arm.Objects(c, "properties", "ipConfigurations") {
			p := map[string]any{"primary": j == 0, "provisioningState": arm.Succeeded, "privateIPAllocationMethod": "Dynamic", "privateIPAddressVersion": "IPv4"}
			for k, x := range arm.Object(ip, "properties") {
				if k != "publicIPAddressConfiguration" {
					p[k] = x
				}
			}
			at := self + "/ipConfigurations/" + arm.Text(ip, "name")
			if address := arm.Text(body, addressTag, name+"/"+arm.Text(ip, "name")); address != "" {
				p["privateIPAddress"] = address
			}
			if public := arm.Text(ip, "properties", "publicIPAddressConfiguration", "name"); public != "" {
				p["publicIPAddress"] = map[string]any{"id": at + "/publicIPAddresses/" + public}
			}
			configs = append(configs, map[string]any{"id": at, "name": arm.Text(ip, "name"), "properties": p})
		}
		mac, _ := strconv.ParseUint(arm.Derived(self)[:6], 16, 64)
		p := map[string]any{
			"provisioningState": arm.Succeeded, "primary": i == 0, "ipConfigurations": configs, "virtualMachine": map[string]any{"id": d.ID.String()},
			"macAddress": fmt.Sprintf("00-0D-3A-%02X-%02X-%02X", mac>>16&0xff, mac>>8&0xff, mac&0xff), "enableAcceleratedNetworking": false, "enableIPForwarding": false,
		}
		for _, same := range []string{"enableAcceleratedNetworking", "enableIPForwarding", "networkSecurityGroup", "primary"} {
			if x := arm.At(c, "properties", same); x != nil {
				p[same] = x
			}
		}
		all = append(all, map[string]any{"id": self, "name": name, "properties": p})
	}
	return all
}

// instanceAddresses are the public addresses of an instance.
func instanceAddresses(_ resource.View, d *state.Document) (all []any) {
	for _, c := range arm.Objects(d.Body(), "properties", "networkProfileConfiguration", "networkInterfaceConfigurations") {
		for _, ip := range arm.Objects(c, "properties", "ipConfigurations") {
			config, ok := arm.At(ip, "properties", "publicIPAddressConfiguration").(map[string]any)
			if !ok {
				continue
			}
			at := d.ID.String() + "/networkInterfaces/" + arm.Text(c, "name") + "/ipConfigurations/" + arm.Text(ip, "name")
			self := at + "/publicIPAddresses/" + arm.Text(config, "name")
			p := map[string]any{
				"provisioningState": arm.Succeeded, "publicIPAddressVersion": "IPv4", "publicIPAllocationMethod": "Dynamic", "idleTimeoutInMinutes": 4, "ipAddress": publicAddress(self),
				"ipConfiguration": map[string]any{"id": at},
			}
			for _, same := range []string{"idleTimeoutInMinutes", "publicIPAddressVersion", "dnsSettings"} {
				if x := arm.At(config, "properties", same); x != nil {
					p[same] = x
				}
			}
			all = append(all, map[string]any{"id": self, "name": arm.Text(config, "name"), "properties": p})
		}
	}
	return all
}

// ofAll lists something of all instances of a scale set.
func ofAll(of func(v resource.View, d *state.Document) []any) func(v resource.View, id arm.ID) map[string]any {
	return func(v resource.View, id arm.ID) map[string]any {
		if v.Get(id.Top(1)) == nil || !id.Collection() {
			return nil
		}
		all := []any{}
		for _, d := range instances(v, id.Top(1)) {
			all = append(all, of(v, d)...)
		}
		return map[string]any{"value": all}
	}
}

// pick is a list, or the one of a name in it; nil: it is not there.
func pick(id arm.ID, at int, all []any) map[string]any {
	if len(id.Names) <= at {
		if all == nil {
			all = []any{}
		}
		return map[string]any{"value": all}
	}
	for _, x := range all {
		if m, _ := x.(map[string]any); strings.EqualFold(arm.Text(m, "name"), id.Names[at]) {
			return m
		}
	}
	return nil
}

func showInstanceNIC(v resource.View, id arm.ID) map[string]any {
	if d := v.Get(id.Top(2)); d != nil && len(id.Names) > 1 {
		return pick(id, 2, instanceNICs(v, d))
	}
	return nil
}

func showInstanceConfigs(v resource.View, id arm.ID) map[string]any {
	nic := showInstanceNIC(v, id.Top(3))
	if nic == nil {
		return nil
	}
	configs, _ := arm.At(nic, "properties", "ipConfigurations").([]any)
	return pick(id, 3, configs)
}

func showInstanceAddresses(v resource.View, id arm.ID) map[string]any {
	d := v.Get(id.Top(2))
	if showInstanceConfigs(v, id.Top(4)) == nil || d == nil {
		return nil
	}
	var all []any
	for _, x := range instanceAddresses(v, d) {
		if strings.HasPrefix(strings.ToLower(arm.Text(x, "id")), strings.ToLower(id.Top(4).String())+"/") {
			all = append(all, x)
		}
	}
	return pick(id, 4, all)
}

// showScaleSetSizes are the sizes a scale set may have, and how many instances of each (specification/compute/…/examples, VirtualMachineScaleSet_ListSkus).
func showScaleSetSizes(v resource.View, id arm.ID) map[string]any {
	d := v.Get(id.Top(1))
	if d == nil || !id.Collection() {
		return nil
	}
	most := 1000
	if single, _ := arm.At(d.Body(), "properties", "singlePlacementGroup").(bool); single {
		most = 100
	}
	return list(sizes(), func(s size) map[string]any {
		return map[string]any{
			"resourceType": "Microsoft.Compute/virtualMachineScaleSets", "sku": map[string]any{"name": s.name, "tier": "Standard"},
			"capacity": map[string]any{"minimum": 0, "maximum": most, "defaultCapacity": 1, "scaleType": "Automatic"},
		}
	})
}

// rollingTag is where a scale set keeps how its last rolling upgrade went.
const rollingTag = "drydockRollingUpgrade"

// roll gives every instance the model, as a rolling upgrade does: in the twin all at once, at its end.
func roll(tx *resource.Tx, id arm.ID, _ map[string]any) *arm.Error {
	vms := instances(tx.View, id)
	for _, vm := range vms {
		latest(tx, vm.ID, true)
	}
	tx.Edit(id, func(b map[string]any) {
		b[rollingTag] = map[string]any{"ended": arm.Timestamp(tx.Now()), "count": len(vms)}
	})
	return nil
}

// showRollingUpgrade is how the latest rolling upgrade goes; there is none before somebody asked for one.
func showRollingUpgrade(v resource.View, id arm.ID) map[string]any {
	set := id.Top(1)
	d := v.Get(set)
	if d == nil || id.Collection() || !strings.EqualFold(id.Name(), "latest") {
		return nil
	}
	count := len(instances(v, set))
	ended, _ := d.Hidden[rollingTag].(map[string]any)
	op, running := v.Running(set)
	code, done, started := "Completed", 0, arm.Text(ended, "ended")
	switch n, _ := arm.Number(ended["count"]); {
	case running && strings.HasSuffix(strings.ToLower(op.Verb), "rollingupgrade"):
		code, started = "RollingForward", arm.Timestamp(op.Begun)
	case ended == nil:
		return nil
	default:
		count, done = 0, int(n)
	}
	return map[string]any{
		"id": set.String() + "/rollingUpgrades/latest", "name": "latest", "type": "Microsoft.Compute/virtualMachineScaleSets/rollingUpgrades", "location": arm.Text(d.Body(), "location"),
		"properties": map[string]any{
			"policy":        map[string]any{"maxBatchInstancePercent": 20, "maxUnhealthyInstancePercent": 20, "maxUnhealthyUpgradedInstancePercent": 20, "pauseTimeBetweenBatches": "PT0S"}, // armcompute's defaults
			"runningStatus": map[string]any{"code": code, "startTime": started, "lastAction": "Start", "lastActionTime": started},
			"progress":      map[string]any{"successfulInstanceCount": done, "failedInstanceCount": 0, "inProgressInstanceCount": count, "pendingInstanceCount": 0},
		},
	}
}
