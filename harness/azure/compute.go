package azure

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// Machines are what virtual machines of the twin really are: a PUT boots one, a DELETE removes it, power actions act. The context ends with the twin.
type Machines interface {
	// Create boots the machine a virtual machine stands for; an error fails the virtual machine's deployment.
	Create(ctx context.Context, name string, tags map[string]string) error
	Delete(ctx context.Context, name string) error
	Power(ctx context.Context, name, action string) error
	// Extension is the verdict of a custom-script extension: nil, or why its provisioning fails.
	Extension(ctx context.Context, machine, extension string) error
}

// machinery is what the types of Microsoft.Compute act on beside documents.
type machinery struct{ machines Machines } // nil: virtual machines are documents only

// lasting is the context of what an operation does: it outlives the call that started it.
func lasting() context.Context { return context.Background() } //nolint:forbidigo // see above

// computeTypes are Microsoft.Compute's, scale sets apart.
func computeTypes(m machinery) []*Type {
	const ns = "Microsoft.Compute/"
	vm := &Type{
		name: ns + "virtualMachines", located: true, check: checkVM, fill: fillVM, made: m.madeVM, gone: m.goneVM, actions: map[string]Action{},
	}
	for name, state := range powerStates() {
		vm.actions[strings.ToLower(name)] = Action{then: func(tx *Tx, id ID, _ map[string]any) *Error { return m.power(tx, id, name, state) }}
	}
	vm.actions["runcommand"] = Action{then: func(*Tx, ID, map[string]any) *Error { return nil }}
	vm.actions["generalize"] = Action{then: func(*Tx, ID, map[string]any) *Error { return nil }}
	return []*Type{
		vm,
		{name: ns + "virtualMachines/instanceView", single: true, show: viewVM},
		{name: ns + "virtualMachines/extensions", located: true, made: m.madeExtension},
		{name: ns + "disks", located: true, fill: fillDisk, held: heldDisk},
		{name: ns + "snapshots", located: true},
		{name: ns + "images", located: true},
		{name: ns + "availabilitySets", located: true, fill: fillAvailabilitySet, held: heldAvailabilitySet},
		{name: ns + "proximityPlacementGroups", located: true},
		{name: ns + "locations/virtualMachines"},
	}
}

// powerStates are the power actions and the state each leaves; an empty one leaves it as it was.
func powerStates() map[string]string {
	return map[string]string{
		"powerOff": "stopped", "start": "running", "restart": "running", "deallocate": "deallocated", "reimage": "running", "redeploy": "running", "reapply": "", "simulateEviction": "deallocated",
	}
}

// powerTag is where a machine's power state is kept, hidden from clients.
const powerTag = "drydockPowerState"

func (m machinery) power(tx *Tx, id ID, name, state string) *Error {
	if m.machines != nil {
		if err := tx.outside(func() error { return m.machines.Power(lasting(), id.Name(), name) }); err != nil {
			return errorf(http.StatusConflict, "VMOperationFailed", "%s of '%s' failed: %v", name, id.Name(), err)
		}
	}
	tx.edit(id, func(body map[string]any) {
		if state != "" {
			body[powerTag] = state
		}
	})
	return nil
}

// checkVM holds a virtual machine's references and its disks to the provider's rules.
func checkVM(tx *Tx, id ID, body, old map[string]any) *Error {
	for _, n := range objects(body, "properties", "networkProfile", "networkInterfaces") {
		ref := text(n, "id")
		nic, ok := ParseID(ref)
		if !ok || tx.get(nic) == nil {
			return invalidReference(ref, id)
		}
		if by := text(tx.get(nic).body(), "properties", "virtualMachine", "id"); by != "" && !strings.EqualFold(by, id.String()) {
			return errorf(http.StatusBadRequest, "NicInUse", "Network Interface %s is used by existing resource %s.", nic, by)
		}
	}
	if set := text(body, "properties", "availabilitySet", "id"); set != "" && !tx.exists(set) {
		return invalidReference(set, id)
	}
	for i, disk := range objects(body, "properties", "storageProfile", "dataDisks") {
		if bad := checkDataDisk(tx, id, i, disk, old); bad != nil {
			return bad
		}
	}
	return nil
}

func checkDataDisk(tx *Tx, id ID, i int, disk, old map[string]any) *Error {
	lun, ok := number(at(disk, "lun"))
	if !ok {
		e := errorf(http.StatusBadRequest, "InvalidParameter", "The value of parameter dataDisk.lun is invalid.")
		e.Target = "dataDisk.lun"
		return e
	}
	for _, was := range objects(old, "properties", "storageProfile", "dataDisks") {
		if before, _ := number(at(was, "lun")); before == lun && !strings.EqualFold(text(was, "createOption"), text(disk, "createOption")) {
			e := errorf(http.StatusConflict, "PropertyChangeNotAllowed", "Changing property 'dataDisk.createOption' is not allowed.")
			e.Target = "dataDisk.createOption"
			return e
		}
	}
	if !strings.EqualFold(text(disk, "createOption"), "Attach") {
		return nil
	}
	ref := text(disk, "managedDisk", "id")
	d, ok := ParseID(ref)
	if !ok || tx.get(d) == nil {
		return errorf(http.StatusNotFound, "NotFound", "Disk %s is not found.", ref)
	}
	if by := text(tx.get(d).body(), "managedBy"); by != "" && !strings.EqualFold(by, id.String()) {
		e := errorf(http.StatusConflict, "AttachDiskWhileBeingDetached", "Cannot attach data disk '%s' to VM '%s' because the disk is currently attached to VM '%s'.", d.Name(), id.Name(), by)
		e.Target = fmt.Sprintf("dataDisks[%d]", i)
		return e
	}
	return nil
}

// fillVM makes what the provider makes beside the machine: its disks, and the references back.
func fillVM(tx *Tx, id ID, body, old map[string]any) {
	p := object(body, "properties")
	if p["vmId"] = derived("vm", id.String()); at(old, "properties", "vmId") != nil {
		p["vmId"] = at(old, "properties", "vmId")
	}
	if old != nil {
		body[powerTag] = text(old, powerTag)
	} else {
		body[powerTag] = "starting"
	}
	storage := object(p, "storageProfile")
	osDisk := object(storage, "osDisk")
	if text(osDisk, "name") == "" {
		osDisk["name"] = text(old, "properties", "storageProfile", "osDisk", "name")
	}
	if text(osDisk, "name") == "" {
		osDisk["name"] = fmt.Sprintf("%s_OsDisk_1_%s", id.Name(), strings.ReplaceAll(derived("disk", id.String()), "-", ""))
	}
	if at(osDisk, "vhd") == nil {
		disk(tx, id, osDisk, text(body, "location"))
	}
	attach(tx, id, body, old)
	for _, n := range objects(p, "networkProfile", "networkInterfaces") {
		if nic, ok := ParseID(text(n, "id")); ok {
			tx.edit(nic, func(b map[string]any) { object(b, "properties")["virtualMachine"] = map[string]any{"id": id.String()} })
		}
	}
	if u := at(body, "identity", "type"); u != nil {
		identity := object(body, "identity")
		identity["principalId"], identity["tenantId"] = derived("principal", id.String()), tx.tenant()
	}
}

// attach takes the data disks a machine's document names, and lets go of those it named before.
func attach(tx *Tx, vm ID, body, old map[string]any) {
	kept := map[string]bool{}
	for _, d := range objects(body, "properties", "storageProfile", "dataDisks") {
		if text(d, "name") == "" {
			ref, _ := ParseID(text(d, "managedDisk", "id"))
			d["name"] = ref.Name()
		}
		if at(d, "vhd") == nil {
			disk(tx, vm, d, text(body, "location"))
		}
		kept[strings.ToLower(text(d, "managedDisk", "id"))] = true
	}
	detach(tx, old, kept)
}

// detach lets the data disks of a document go, but for those that are kept.
func detach(tx *Tx, body map[string]any, kept map[string]bool) {
	for _, d := range objects(body, "properties", "storageProfile", "dataDisks") {
		if ref := text(d, "managedDisk", "id"); !kept[strings.ToLower(ref)] {
			release(tx, ref)
		}
	}
}

// disk makes a managed disk that a machine's document mentions, or takes one that is there.
func disk(tx *Tx, vm ID, entry map[string]any, location string) {
	managed := object(entry, "managedDisk")
	ref, ok := ParseID(text(managed, "id"))
	if !ok {
		ref = ID{Subscription: vm.Subscription, ResourceGroup: vm.ResourceGroup, Provider: "Microsoft.Compute", Types: []string{"disks"}, Names: []string{text(entry, "name")}}
		managed["id"] = ref.String()
	}
	d := tx.get(ref)
	if d == nil {
		body := map[string]any{
			"id": ref.String(), "name": ref.Name(), "type": "Microsoft.Compute/disks", "location": location,
			"properties": map[string]any{"creationData": map[string]any{"createOption": text(entry, "createOption")}, "provisioningState": succeeded},
		}
		fillDisk(tx, ref, body, nil)
		d = tx.put(ref, body)
	}
	tx.edit(d.id, func(b map[string]any) {
		b["managedBy"] = vm.String()
		object(b, "properties")["diskState"] = "Attached"
	})
}

// release lets a disk go.
func release(tx *Tx, ref string) {
	if id, ok := ParseID(ref); ok {
		tx.edit(id, func(b map[string]any) {
			delete(b, "managedBy")
			object(b, "properties")["diskState"] = "Unattached"
		})
	}
}

func (m machinery) madeVM(tx *Tx, id ID) *Error {
	d := tx.get(id)
	if d == nil {
		return errorf(http.StatusNotFound, "NotFound", "The virtual machine '%s' is gone.", id.Name())
	}
	if text(d.body(), powerTag) != "starting" {
		return nil
	}
	if m.machines != nil {
		tags := map[string]string{}
		if m, ok := at(d.body(), "tags").(map[string]any); ok {
			for k, v := range m {
				tags[k] = fmt.Sprint(v)
			}
		}
		if err := tx.outside(func() error { return m.machines.Create(lasting(), id.Name(), tags) }); err != nil {
			return errorf(http.StatusConflict, "OSProvisioningClientError", "OS Provisioning for VM '%s' failed: %v", id.Name(), err)
		}
	}
	tx.edit(id, func(body map[string]any) { body[powerTag] = "running" })
	return nil
}

// goneVM lets go of what the machine had: its disks and interfaces stay, as Azure leaves them.
func (m machinery) goneVM(tx *Tx, id ID, body map[string]any) {
	release(tx, text(body, "properties", "storageProfile", "osDisk", "managedDisk", "id"))
	detach(tx, body, nil)
	for _, n := range objects(body, "properties", "networkProfile", "networkInterfaces") {
		if nic, ok := ParseID(text(n, "id")); ok {
			tx.edit(nic, func(b map[string]any) { delete(object(b, "properties"), "virtualMachine") })
		}
	}
	if m.machines != nil {
		_ = tx.outside(func() error { return m.machines.Delete(lasting(), id.Name()) })
	}
}

// viewVM is the instance view: what the machine does now.
func viewVM(v View, id ID) map[string]any {
	if d := v.get(id.top(1)); d != nil {
		return instanceView(v, d)
	}
	return nil
}

func instanceView(v View, d *document) map[string]any {
	body := d.body()
	power, state := text(body, powerTag), text(body, "properties", "provisioningState")
	now := timestamp(v.now())
	return map[string]any{
		"vmAgent": map[string]any{"vmAgentVersion": "2.9.1.1", "statuses": []any{map[string]any{"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Ready", "time": now}}},
		"statuses": []any{
			map[string]any{"code": "ProvisioningState/" + strings.ToLower(state), "level": "Info", "displayStatus": "Provisioning " + strings.ToLower(state), "time": now},
			map[string]any{"code": "PowerState/" + power, "level": "Info", "displayStatus": "VM " + power},
		},
	}
}

func (m machinery) madeExtension(tx *Tx, id ID) *Error {
	if m.machines == nil {
		return nil
	}
	if err := tx.outside(func() error { return m.machines.Extension(lasting(), id.Names[0], id.Name()) }); err != nil {
		return errorf(http.StatusConflict, "VMExtensionProvisioningError", "VM has reported a failure when processing extension '%s'. Error message: \"%v\".", id.Name(), err)
	}
	return nil
}

func fillDisk(_ *Tx, id ID, body, old map[string]any) {
	p := object(body, "properties")
	p["uniqueId"] = derived("disk", id.String())
	if text(p, "diskState") == "" {
		p["diskState"] = "Unattached"
	}
	if _, ok := p["diskSizeGB"]; !ok {
		p["diskSizeGB"] = 30
	}
	if by := text(old, "managedBy"); by != "" {
		body["managedBy"], p["diskState"] = by, "Attached"
	}
}

func heldDisk(tx *Tx, id ID) *Error {
	if by := text(tx.get(id).body(), "managedBy"); by != "" {
		return errorf(http.StatusConflict, "OperationNotAllowed", "Disk %s is attached to VM %s.", id.Name(), by)
	}
	return nil
}

func fillAvailabilitySet(_ *Tx, _ ID, body, _ map[string]any) {
	p := object(body, "properties")
	if _, ok := p["platformFaultDomainCount"]; !ok {
		p["platformFaultDomainCount"], p["platformUpdateDomainCount"] = 2, 5
	}
}

func heldAvailabilitySet(tx *Tx, id ID) *Error {
	vms := ID{Subscription: id.Subscription, Provider: "Microsoft.Compute", Types: []string{"virtualMachines"}}
	docs, _ := tx.list(vms, "", 1<<30)
	for _, d := range docs {
		if strings.EqualFold(text(d.body(), "properties", "availabilitySet", "id"), id.String()) {
			return errorf(http.StatusConflict, "OperationNotAllowed", "Availability Set '%s' cannot be deleted. Before deleting an Availability Set please ensure that it does not contain any VM.", id.Name())
		}
	}
	return nil
}
