package provider

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
)

// computeTypes are Microsoft.Compute's, scale sets apart.
func computeTypes(m machinery) []*resource.Type {
	const ns = "Microsoft.Compute/"
	vm := &resource.Type{
		Name: ns + "virtualMachines", Located: true, Called: "VM", Aside: map[string]string{"userData": "properties.userData"}, View: viewVM, Loaded: loadedVM, Check: checkVM, Fill: fillVM, Made: m.madeVM, Gone: m.goneVM, Actions: map[string]resource.Action{},
		// As armcompute's models say of what is left out: a disk outlives its machine.
		Defaults: map[string]any{
			"properties.storageProfile.osDisk.caching": "ReadWrite", "properties.storageProfile.osDisk.deleteOption": "Detach",
			"properties.storageProfile.dataDisks[].caching": "None", "properties.storageProfile.dataDisks[].deleteOption": "Detach",
		},
		Refs: []resource.Ref{
			{From: "properties.networkProfile.networkInterfaces[]", Back: "virtualMachine"}, {From: "properties.availabilitySet", Back: "virtualMachines[]"},
			{From: "properties.proximityPlacementGroup", Back: "virtualMachines[]"},
		},
	}
	for name, state := range powerStates() {
		vm.Actions[strings.ToLower(name)] = resource.Action{Then: func(tx *resource.Tx, id arm.ID, _ map[string]any) *arm.Error { return m.power(tx, id, name, state) }}
	}
	vm.Actions["simulateeviction"] = m.evict()
	vm.Actions["runcommand"] = resource.Action{Then: nothing, Result: commandResult}
	vm.Actions["assesspatches"] = resource.Action{Then: nothing, Result: assessed}
	vm.Actions["retrievebootdiagnosticsdata"] = resource.Action{Now: bootDiagnostics}
	vm.Actions["attachdetachdatadisks"] = resource.Action{Then: attachDetach, Result: storageOf}
	vm.Actions["generalize"] = resource.Action{Now: func(*resource.Tx, *resource.Request, map[string]any) (map[string]any, *arm.Error) { return nil, nil }}
	accepted := resource.Codes{Create: http.StatusAccepted, Update: http.StatusAccepted, Patch: http.StatusAccepted} // of disks: 200 and 202 are all that their PUT and PATCH know
	return slices.Concat(computeViews(), []*resource.Type{
		vm,
		{Name: ns + "virtualMachines/instanceView", Single: true, Show: viewVM},
		{Name: ns + "virtualMachines/extensions", Located: true, Made: m.madeExtension},
		{Name: ns + "virtualMachines/runCommands", Located: true, View: viewCommand},
		{Name: ns + "disks", Located: true, Codes: accepted, ReadOnly: []string{"diskState", "timeCreated", "uniqueId"}, Fill: fillDisk, Held: heldDisk, Actions: access(), Save: saveAccess, Resume: resumeAccess},
		{Name: ns + "snapshots", Located: true, Codes: accepted, ReadOnly: []string{"diskState", "timeCreated", "uniqueId"}, Fill: fillSnapshot, Held: heldSnapshot, Actions: access(), Save: saveAccess, Resume: resumeAccess},
		{Name: ns + "diskEncryptionSets", Located: true, Codes: accepted, Fill: fillEncryptionSet, Held: heldEncryptionSet},
		{Name: ns + "diskAccesses", Located: true, Codes: accepted, ReadOnly: []string{"timeCreated"}, Fill: fillDiskAccess},
		{Name: ns + "images", Located: true},
		{Name: ns + "availabilitySets", Located: true, AtOnce: resource.Every, Plain: true, Codes: resource.Codes{Create: http.StatusOK}, Fill: fillAvailabilitySet, Held: heldAvailabilitySet,
			ReadOnly: []string{"virtualMachines"}, Refs: []resource.Ref{{From: "properties.proximityPlacementGroup", Back: "availabilitySets[]"}}},
		// Its DELETE knows 200 alone; what Azure answers where there is none is not known.
		{Name: ns + "proximityPlacementGroups", Located: true, AtOnce: resource.Every, Plain: true, Codes: resource.Codes{Gone: http.StatusOK}, ReadOnly: []string{"virtualMachines", "virtualMachineScaleSets", "availabilitySets"}},
		{Name: ns + "sshPublicKeys", Located: true, AtOnce: resource.Every, Plain: true, Actions: map[string]resource.Action{"generatekeypair": {Now: generateKeys}}},
	})
}

// nothing is done by an action whose result is all there is of it.
func nothing(*resource.Tx, arm.ID, map[string]any) *arm.Error { return nil }

// viewCommand is how the script of a command went: it said nothing, on a machine that is a document.
func viewCommand(_ resource.View, _ arm.ID) map[string]any {
	return map[string]any{"executionState": "Succeeded", "executionMessage": "", "exitCode": 0, "output": "", "error": ""}
}

func fillEncryptionSet(tx *resource.Tx, id arm.ID, body, old map[string]any) {
	p := arm.Object(body, "properties")
	if p["previousKeys"] == nil {
		p["previousKeys"] = []any{}
	}
	if p["lastKeyRotationTimestamp"] = arm.At(old, "properties", "lastKeyRotationTimestamp"); old == nil {
		p["lastKeyRotationTimestamp"] = arm.Timestamp(tx.Now())
	}
	identify(tx, id, body, old)
}

// heldEncryptionSet refuses to delete a set that something is encrypted with. Its code is Microsoft.Compute's common one: no recording is at hand.
func heldEncryptionSet(tx *resource.Tx, id arm.ID) *arm.Error {
	if by := tx.Naming(id); len(by) > 0 {
		return arm.Errorf(http.StatusConflict, "OperationNotAllowed", "Disk encryption set '%s' cannot be deleted: it is used by %s.", id.Name(), by[0].ID)
	}
	return nil
}

func fillDiskAccess(tx *resource.Tx, _ arm.ID, body, old map[string]any) {
	if old == nil {
		arm.Object(body, "properties")["timeCreated"] = arm.Timestamp(tx.Now())
	}
}

// identify gives a resource an identity of its own where it asks for one, and lets it keep the one that it has: wherever it was moved to. It goes with its
// resource, and one that is made again has another (learn.microsoft.com "What are managed identities for Azure resources?"). One that is assigned by users has
// no principal here.
func identify(tx *resource.Tx, id arm.ID, body, old map[string]any) {
	if was, has := old["identity"].(map[string]any); has && body["identity"] == nil { // the type None removes it (armcompute, VirtualMachineIdentity.Type)
		body["identity"] = maps.Clone(was)
	}
	if !strings.Contains(strings.ToLower(arm.Text(body, "identity", "type")), "systemassigned") {
		if now, has := body["identity"].(map[string]any); has {
			delete(now, "principalId")
			delete(now, "tenantId")
		}
		return
	}
	identity := arm.Object(body, "identity")
	if identity["principalId"], identity["tenantId"] = arm.Derived("principal", id.String(), arm.Timestamp(tx.Now())), tx.Tenant(); arm.Text(old, "identity", "principalId") != "" {
		identity["principalId"] = arm.Text(old, "identity", "principalId")
	}
}

// commandResult is what runCommand gives: a command of a machine that is a document says nothing (learn.microsoft.com, "Run scripts in your Linux VM").
func commandResult(resource.View, arm.ID) map[string]any {
	return map[string]any{"value": []any{map[string]any{
		"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Provisioning succeeded", "message": "Enable succeeded: \n[stdout]\n\n[stderr]\n",
	}}}
}

// loadedVM takes a machine for running of which nothing else is said.
func loadedVM(body map[string]any) {
	if body[powerTag] == nil {
		body[powerTag] = "running"
	}
}

// checkVM holds a virtual machine's references and its disks to the provider's rules.
func checkVM(tx *resource.Tx, id arm.ID, body, old map[string]any) *arm.Error {
	if was := arm.At(old, "properties", "osProfile"); was != nil && arm.At(body, "properties", "osProfile") == nil {
		arm.Object(body, "properties")["osProfile"] = was
	}
	for _, bad := range []*arm.Error{checkHostName(body, old), unchanged(ofMachine(), body, old), checkCustomData(body, old)} {
		if bad != nil {
			return bad
		}
	}
	for _, n := range arm.Objects(body, "properties", "networkProfile", "networkInterfaces") {
		ref := arm.Text(n, "id")
		nic, ok := arm.ParseID(ref)
		if !ok || !strings.EqualFold(nic.Type(), "Microsoft.Network/networkInterfaces") || !strings.EqualFold(nic.Subscription, id.Subscription) || tx.Get(nic) == nil {
			return arm.InvalidReference(ref, id)
		}
		if there := arm.Text(tx.Get(nic).Body(), "location"); there != "" && !arm.SameLocation(there, cmp.Or(arm.Text(body, "location"), there)) {
			return arm.InvalidReference(ref, id)
		}
		if by := arm.Text(tx.Get(nic).Body(), "properties", "virtualMachine", "id"); by != "" && !strings.EqualFold(by, id.String()) {
			return arm.Errorf(http.StatusBadRequest, "NicInUse", "Network Interface %s is used by existing resource %s.", nic, by)
		}
	}
	if bad := checkMember(tx, id, body); bad != nil {
		return bad
	}
	if set := arm.Text(body, "properties", "availabilitySet", "id"); set != "" && !tx.Exists(set) {
		return arm.InvalidReference(set, id)
	}
	if disk, ok := arm.At(body, "properties", "storageProfile", "osDisk").(map[string]any); ok {
		if bad := checkAttached(tx, id, disk, "OS", "osDisk"); bad != nil {
			return bad
		}
	}
	for i, disk := range arm.Objects(body, "properties", "storageProfile", "dataDisks") {
		if bad := checkDataDisk(tx, id, i, disk, old); bad != nil {
			return bad
		}
	}
	return nil
}

// fillVM makes what the provider makes beside the machine: its disks, and the references back.
func fillVM(tx *resource.Tx, id arm.ID, body, old map[string]any) {
	p := arm.Object(body, "properties")
	if p["vmId"] = arm.Derived("vm", id.String(), arm.Timestamp(tx.Now())); arm.At(old, "properties", "vmId") != nil {
		p["vmId"] = arm.At(old, "properties", "vmId")
	}
	if old != nil {
		if body[powerTag] = arm.Text(old, powerTag); old[memberTag] != nil {
			body[memberTag] = old[memberTag]
		}
	} else {
		body[powerTag] = "starting"
	}
	storage := arm.Object(p, "storageProfile")
	if arm.At(storage, "dataDisks") == nil { // az appends to what is there, and fails where nothing is
		storage["dataDisks"] = []any{}
	}
	osDisk := arm.Object(storage, "osDisk")
	if arm.Text(osDisk, "name") == "" {
		osDisk["name"] = arm.Text(old, "properties", "storageProfile", "osDisk", "name")
	}
	if arm.Text(osDisk, "name") == "" {
		osDisk["name"] = fmt.Sprintf("%s_OsDisk_1_%s", id.Name(), unlike(tx, id, "OS"))
	}
	if arm.Text(osDisk, "osType") == "" {
		osDisk["osType"] = system(p)
	}
	if p["timeCreated"] = arm.At(old, "properties", "timeCreated"); old == nil {
		p["timeCreated"] = arm.Timestamp(tx.Now())
	}
	if arm.At(osDisk, "vhd") == nil {
		disk(tx, id, osDisk, arm.Text(body, "location"))
	}
	attach(tx, id, body, old)
	identify(tx, id, body, old)
}

func fillAvailabilitySet(_ *resource.Tx, _ arm.ID, body, _ map[string]any) {
	p := arm.Object(body, "properties")
	if _, ok := p["platformFaultDomainCount"]; !ok {
		p["platformFaultDomainCount"], p["platformUpdateDomainCount"] = 2, 5
	}
}

func heldAvailabilitySet(tx *resource.Tx, id arm.ID) *arm.Error {
	for _, d := range tx.Naming(id) {
		if strings.EqualFold(arm.Text(d.Body(), "properties", "availabilitySet", "id"), id.String()) {
			return arm.Errorf(http.StatusConflict, "OperationNotAllowed", "Availability Set '%s' cannot be deleted. Before deleting an Availability Set please ensure that it does not contain any VM.", id.Name())
		}
	}
	return nil
}

// system is the operating system of a machine that does not say it: that of its image.
func system(properties map[string]any) string {
	publisher := arm.Text(properties, "storageProfile", "imageReference", "publisher")
	if arm.At(properties, "osProfile", "windowsConfiguration") != nil || strings.HasPrefix(strings.ToLower(publisher), "microsoftwindows") {
		return "Windows"
	}
	return "Linux"
}
