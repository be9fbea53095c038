package provider

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
	"drydock.dev/drydock/harness/azure/state"
)

// A scale set whose orchestration mode is Flexible has virtual machines instead of instances: resources of their own that name it, with interfaces and disks
// of their own, made of its model or attached by whoever made them (learn.microsoft.com, "Orchestration modes for Virtual Machine Scale Sets").

// flexible reports whether a scale set's document is one of those.
func flexible(set map[string]any) bool {
	return strings.EqualFold(arm.Text(set, "properties", "orchestrationMode"), "Flexible")
}

// members are the machines of a flexible scale set, the oldest first.
func members(v resource.View, set arm.ID) []*state.Document {
	docs := slices.DeleteFunc(slices.Clone(v.Naming(set)), func(d *state.Document) bool {
		return !strings.EqualFold(d.ID.Type(), "Microsoft.Compute/virtualMachines") || !strings.EqualFold(memberOf(d.Body()), set.String())
	})
	made := map[string]string{}
	for _, d := range docs {
		n, _ := arm.Number(d.Hidden[memberTag])
		made[d.ID.Key()] = fmt.Sprintf("%s %08d", arm.Text(d.Body(), "properties", "timeCreated"), int(n))
	}
	slices.SortStableFunc(docs, func(a, b *state.Document) int { return strings.Compare(made[a.ID.Key()], made[b.ID.Key()]) })
	return docs
}

// memberTag is where a machine that its scale set made keeps its number, hidden from clients.
const memberTag = "drydockMember"

func memberOf(vm map[string]any) string {
	return arm.Text(vm, "properties", "virtualMachineScaleSet", "id")
}

// checkOrchestration holds a scale set to its mode. The codes are Microsoft.Compute's common ones for such: no recording of these is at hand.
func checkOrchestration(body, old map[string]any) *arm.Error {
	mode, was := arm.Text(body, "properties", "orchestrationMode"), arm.Text(old, "properties", "orchestrationMode")
	if old != nil && mode != "" && was != "" && !strings.EqualFold(mode, was) {
		e := arm.Errorf(http.StatusConflict, "PropertyChangeNotAllowed", "Changing property 'orchestrationMode' is not allowed.")
		e.Target = "orchestrationMode"
		return e
	}
	if single, _ := arm.At(body, "properties", "singlePlacementGroup").(bool); single && flexible(body) {
		return invalidParameter("singlePlacementGroup")
	}
	return nil
}

// checkMember refuses a machine of a scale set that is not there, or that has no machines (MicrosoftDocs/azure-docs#91127).
func checkMember(tx *resource.Tx, id arm.ID, body map[string]any) *arm.Error {
	ref := memberOf(body)
	if ref == "" {
		return nil
	}
	set, ok := arm.ParseID(ref)
	d := tx.Get(set)
	if !ok || !strings.EqualFold(set.Type(), "Microsoft.Compute/virtualMachineScaleSets") || d == nil {
		return arm.InvalidReference(ref, id)
	}
	if !flexible(d.Body()) {
		return invalidParameter("virtualMachineScaleSet.id")
	}
	return nil
}

// recount keeps a flexible scale set's capacity in step with its machines; while it makes or takes away some of them, it knows how many there are to be.
func recount(tx *resource.Tx, vm map[string]any) {
	set, ok := arm.ParseID(memberOf(vm))
	d := tx.Get(set)
	if !ok || d == nil || arm.At(d.Body(), "sku", "name") == nil {
		return
	}
	if op, running := tx.Running(set); !running || strings.HasPrefix(op.Verb, "action/") {
		tx.Edit(set, func(b map[string]any) { arm.Object(b, "sku")["capacity"] = len(members(tx.View, set)) })
	}
}

// heldScaleSet: the machines of a flexible one go with it, and one that is locked does not go.
func heldScaleSet(tx *resource.Tx, id arm.ID) *arm.Error {
	if !flexible(tx.Get(id).Body()) {
		return nil
	}
	for _, d := range members(tx.View, id) {
		if bad := tx.Gate(d.ID, resource.ToDelete); bad != nil {
			return bad
		}
	}
	return nil
}

// goneScaleSet takes the machines of a flexible one with it, as clusters that are taken down by their scale sets alone rely on (cluster-api-provider-azure,
// azure/services/scalesets).
func goneScaleSet(tx *resource.Tx, id arm.ID, body map[string]any) {
	if !flexible(body) {
		return
	}
	for _, d := range members(tx.View, id) {
		tx.Erase(d.ID)
	}
}

// addMember makes a machine of a flexible scale set's model, and its interfaces. It is called after the set, with eight hexadecimal digits; how Azure calls
// the interfaces is not recorded.
func addMember(tx *resource.Tx, set arm.ID, model map[string]any, n int) *arm.Error {
	profile, ok := arm.At(model, "properties", "virtualMachineProfile").(map[string]any)
	if !ok {
		return arm.Errorf(http.StatusConflict, "OperationNotAllowed", "The scale set '%s' has no virtualMachineProfile to make machines of.", set.Name())
	}
	unique := arm.Derived("member", set.String(), strconv.Itoa(n), arm.Timestamp(tx.Now()))
	id := set
	id.Types, id.Names = []string{"virtualMachines"}, []string{set.Name() + "_" + unique[:8]}
	location := arm.Text(model, "location")
	var cards []any
	for i, c := range arm.Objects(profile, "networkProfile", "networkInterfaceConfigurations") {
		nic := id
		nic.Provider, nic.Types, nic.Names = "Microsoft.Network", []string{"networkInterfaces"}, []string{id.Name() + "-" + arm.Text(c, "name")}
		p := map[string]any{}
		for _, same := range []string{"enableAcceleratedNetworking", "enableIPForwarding", "networkSecurityGroup", "dnsSettings"} {
			if x := arm.At(c, "properties", same); x != nil {
				p[same] = x
			}
		}
		var configs []any
		for j, ip := range arm.Objects(c, "properties", "ipConfigurations") {
			own := map[string]any{"primary": j == 0}
			for k, x := range arm.Object(ip, "properties") {
				if k != "publicIPAddressConfiguration" {
					own[k] = x
				}
			}
			configs = append(configs, map[string]any{"name": ip["name"], "properties": own})
		}
		p["ipConfigurations"] = configs
		if bad := produce(tx, nic, map[string]any{"location": location, "properties": p}); bad != nil {
			return bad
		}
		primary, said := arm.At(c, "properties", "primary").(bool)
		cards = append(cards, map[string]any{"id": nic.String(), "properties": map[string]any{"primary": primary || !said && i == 0, "deleteOption": "Delete"}})
	}
	prefix := arm.Text(profile, "osProfile", "computerNamePrefix")
	if prefix == "" {
		prefix = set.Name()
	}
	system := map[string]any{"computerName": prefix + strings.ToUpper(unique[:6])}
	for k, x := range arm.Object(profile, "osProfile") {
		if k != "computerNamePrefix" {
			system[k] = x
		}
	}
	disk := map[string]any{"deleteOption": "Delete"}
	for k, x := range arm.Object(arm.Object(profile, "storageProfile"), "osDisk") {
		disk[k] = x
	}
	storage := map[string]any{"osDisk": disk}
	if image := arm.At(profile, "storageProfile", "imageReference"); image != nil {
		storage["imageReference"] = image
	}
	return produce(tx, id, map[string]any{
		"location": location, "tags": model["tags"], "zones": model["zones"], memberTag: n,
		"properties": map[string]any{
			"hardwareProfile": map[string]any{"vmSize": arm.Text(model, "sku", "name")}, "osProfile": system, "storageProfile": storage,
			"networkProfile": map[string]any{"networkInterfaces": cards}, "virtualMachineScaleSet": map[string]any{"id": set.String()},
		},
	})
}

// produce makes another resource, as a PUT of it would, at once.
func produce(tx *resource.Tx, id arm.ID, body map[string]any) *arm.Error {
	for k, v := range body {
		if v == nil {
			delete(body, k)
		}
	}
	typ := tx.TypeOf(id)
	doc, _, bad := tx.Replace(id, typ, body)
	if bad != nil {
		return bad
	}
	return tx.FinishWrite(doc.ID, typ)
}

// showMembers are the machines of a flexible scale set as its instances: called after themselves, and without their tags (Azure/azure-rest-api-specs#27441).
func showMembers(v resource.View, id arm.ID) map[string]any {
	set := id.Top(1)
	if d := v.Get(set); d == nil || !flexible(d.Body()) {
		return nil
	}
	all := []any{}
	for _, d := range members(v, set) {
		body := d.Public()
		p := map[string]any{}
		for _, same := range []string{"hardwareProfile", "storageProfile", "osProfile", "networkProfile", "provisioningState", "vmId", "timeCreated"} {
			if x := arm.At(body, "properties", same); x != nil {
				p[same] = x
			}
		}
		one := map[string]any{
			"id": set.String() + "/virtualMachines/" + d.ID.Name(), "name": d.ID.Name(), "type": "Microsoft.Compute/virtualMachineScaleSets/virtualMachines", "instanceId": d.ID.Name(),
			"location": body["location"], "properties": p,
		}
		if body["zones"] != nil {
			one["zones"] = body["zones"]
		}
		all = append(all, one)
	}
	return pick(id, 1, all)
}
