package provider

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
)

func checkDataDisk(tx *resource.Tx, id arm.ID, i int, disk, old map[string]any) *arm.Error {
	lun, ok := arm.Number(arm.At(disk, "lun"))
	if !ok {
		e := arm.Errorf(http.StatusBadRequest, "InvalidParameter", "The value of parameter dataDisk.lun is invalid.")
		e.Target = "dataDisk.lun"
		return e
	}
	for _, was := range arm.Objects(old, "properties", "storageProfile", "dataDisks") {
		if before, _ := arm.Number(arm.At(was, "lun")); before == lun && !strings.EqualFold(arm.Text(was, "createOption"), arm.Text(disk, "createOption")) {
			e := arm.Errorf(http.StatusConflict, "PropertyChangeNotAllowed", "Changing property 'dataDisk.createOption' is not allowed.")
			e.Target = "dataDisk.createOption"
			return e
		}
	}
	return checkAttached(tx, id, disk, "data", fmt.Sprintf("dataDisks[%d]", i))
}

// checkAttached refuses a disk that another machine has.
func checkAttached(tx *resource.Tx, id arm.ID, disk map[string]any, kind, target string) *arm.Error {
	ref := arm.Text(disk, "managedDisk", "id")
	d, ok := arm.ParseID(ref)
	if !strings.EqualFold(arm.Text(disk, "createOption"), "Attach") {
		return checkMade(tx, id, disk, target)
	}
	if ok && !isDisk(id, d) {
		return notADisk(target)
	}
	if !ok || tx.Get(d) == nil {
		return arm.Errorf(http.StatusNotFound, "NotFound", "Disk %s is not found.", ref)
	}
	if bad := accessed(d, tx.Get(d).Body()); bad != nil {
		return bad
	}
	if by := arm.Text(tx.Get(d).Body(), "managedBy"); by != "" && !strings.EqualFold(by, id.String()) {
		e := arm.Errorf(http.StatusConflict, "AttachDiskWhileBeingDetached", "Cannot attach %s disk '%s' to VM '%s' because the disk is currently attached to VM '%s'.", kind, d.Name(), id.Name(), by)
		e.Target = target
		return e
	}
	return nil
}

// checkMade refuses a disk to be made with a machine that cannot be: of a name that another machine's has, what is no disk, or in a group that is not there.
// The first in the words that clients report, as they are remembered: no recording is at hand.
func checkMade(tx *resource.Tx, vm arm.ID, disk map[string]any, target string) *arm.Error {
	ref := diskNamed(vm, arm.Text(disk, "name"))
	if given := arm.Text(disk, "managedDisk", "id"); given != "" {
		var ok bool
		if ref, ok = arm.ParseID(given); !ok || !isDisk(vm, ref) {
			return notADisk(target)
		}
		if group := arm.GroupID(ref); tx.Get(group) == nil {
			return arm.NotFound(group)
		}
	}
	d := tx.Get(ref)
	if d == nil {
		return nil
	}
	if by := arm.Text(d.Body(), "managedBy"); by != "" && !strings.EqualFold(by, vm.String()) {
		e := arm.Errorf(http.StatusConflict, "ConflictingUserInput", "Disk '%s' already exists in resource group '%s'. Only CreateOption.Attach is supported.", ref.Name(), ref.ResourceGroup)
		e.Target = target
		return e
	}
	return nil
}

// diskNamed is the disk of a name that is made with a machine: in its group.
func diskNamed(vm arm.ID, name string) arm.ID {
	return arm.ID{Subscription: vm.Subscription, ResourceGroup: vm.ResourceGroup, Provider: "Microsoft.Compute", Types: []string{"disks"}, Names: []string{name}}
}

// isDisk reports whether an id is that of a disk a machine may have: one of its own subscription.
func isDisk(vm, id arm.ID) bool {
	return strings.EqualFold(id.Type(), "Microsoft.Compute/disks") && !id.Collection() && id.ResourceGroup != "" && strings.EqualFold(id.Subscription, vm.Subscription)
}

func notADisk(target string) *arm.Error {
	e := arm.Errorf(http.StatusBadRequest, "InvalidParameter", "The value of parameter %s.managedDisk.id is invalid.", target)
	e.Target = target + ".managedDisk.id"
	return e
}

// attach takes the data disks a machine's document names, and lets go of those it named before.
func attach(tx *resource.Tx, vm arm.ID, body, old map[string]any) {
	kept := map[string]bool{}
	for i, d := range arm.Objects(body, "properties", "storageProfile", "dataDisks") {
		if arm.Text(d, "name") == "" {
			nameDisk(tx, vm, i, d, old)
		}
		if arm.At(d, "vhd") == nil {
			disk(tx, vm, d, arm.Text(body, "location"))
		}
		kept[strings.ToLower(arm.Text(d, "managedDisk", "id"))] = true
	}
	detach(tx, old, kept)
}

// nameDisk names a data disk that its machine's document does not: after the disk it means, the one that was there at its lun, or VM_disk2_ and 32 hexadecimal
// digits, the OS disk being the first.
func nameDisk(tx *resource.Tx, vm arm.ID, i int, d, old map[string]any) {
	if ref, ok := arm.ParseID(arm.Text(d, "managedDisk", "id")); ok {
		d["name"] = ref.Name()
		return
	}
	lun, _ := arm.Number(arm.At(d, "lun"))
	for _, was := range arm.Objects(old, "properties", "storageProfile", "dataDisks") {
		if at, _ := arm.Number(arm.At(was, "lun")); at == lun {
			d["name"], d["managedDisk"] = was["name"], was["managedDisk"]
			return
		}
	}
	d["name"] = fmt.Sprintf("%s_disk%d_%s", vm.Name(), i+2, unlike(tx, vm, fmt.Sprint(lun)))
}

// unlike is what makes the name of a machine's disk another than that of every disk before it.
func unlike(tx *resource.Tx, vm arm.ID, which string) string {
	return strings.ReplaceAll(arm.Derived("disk", vm.String(), which, arm.Timestamp(tx.Now())), "-", "")
}

// detach lets the data disks of a document go, but for those that are kept.
func detach(tx *resource.Tx, body map[string]any, kept map[string]bool) {
	for _, d := range arm.Objects(body, "properties", "storageProfile", "dataDisks") {
		if ref := arm.Text(d, "managedDisk", "id"); !kept[strings.ToLower(ref)] {
			release(tx, ref)
		}
	}
}

// disk makes a managed disk that a machine's document mentions, or takes one that is there.
func disk(tx *resource.Tx, vm arm.ID, entry map[string]any, location string) {
	managed := arm.Object(entry, "managedDisk")
	ref, ok := arm.ParseID(arm.Text(managed, "id"))
	if !ok {
		ref = diskNamed(vm, arm.Text(entry, "name"))
		managed["id"] = ref.String()
	}
	d := tx.Get(ref)
	if d == nil {
		body := map[string]any{
			"id": ref.String(), "name": ref.Name(), "type": "Microsoft.Compute/disks", "location": location,
			"properties": map[string]any{"creationData": map[string]any{"createOption": arm.Text(entry, "createOption")}, "provisioningState": arm.Succeeded},
		}
		for _, field := range []string{"osType", "diskSizeGB"} { // what its machine says of it
			if v := arm.At(entry, field); v != nil {
				arm.Object(body, "properties")[field] = v
			}
		}
		fillDisk(tx, ref, body, nil)
		d = tx.Put(ref, body)
	}
	tx.Edit(d.ID, func(b map[string]any) {
		b["managedBy"] = vm.String()
		arm.Object(b, "properties")["diskState"] = "Attached"
	})
}

// release lets a disk go.
func release(tx *resource.Tx, ref string) {
	if id, ok := arm.ParseID(ref); ok {
		tx.Edit(id, func(b map[string]any) {
			delete(b, "managedBy")
			arm.Object(b, "properties")["diskState"] = "Unattached"
		})
	}
}

// disksOf are the entries of all disks in a machine's document.
func disksOf(body map[string]any) []map[string]any {
	all := arm.Objects(body, "properties", "storageProfile", "dataDisks")
	if os, ok := arm.At(body, "properties", "storageProfile", "osDisk").(map[string]any); ok {
		all = append(all, os)
	}
	return all
}

// reserve tells the disks of a machine that it is off, and its host let go; or that it is not (the disks' diskState: Reserved, "the disk is attached to a
// stopped-deallocated VM").
func reserve(tx *resource.Tx, machine map[string]any, off bool) {
	state := map[bool]string{true: "Reserved", false: "Attached"}[off]
	for _, d := range disksOf(machine) {
		if id, ok := arm.ParseID(arm.Text(d, "managedDisk", "id")); ok {
			tx.Edit(id, func(b map[string]any) { arm.Object(b, "properties")["diskState"] = state })
		}
	}
}

// goWith deletes what was to go with its machine: disks and interfaces whose deleteOption is Delete. The others stay, as they do where nothing is said, and
// so do those that are locked.
func goWith(tx *resource.Tx, machine map[string]any) {
	erase := func(ref, option string) {
		if id, ok := arm.ParseID(ref); ok && strings.EqualFold(option, "Delete") && tx.Gate(id, resource.ToDelete) == nil {
			tx.Erase(id)
		}
	}
	for _, d := range disksOf(machine) {
		erase(arm.Text(d, "managedDisk", "id"), arm.Text(d, "deleteOption"))
	}
	for _, n := range arm.Objects(machine, "properties", "networkProfile", "networkInterfaces") {
		erase(arm.Text(n, "id"), arm.Text(n, "properties", "deleteOption"))
	}
}

func fillDisk(tx *resource.Tx, id arm.ID, body, old map[string]any) {
	delete(body, "managedBy") // is the service's, whatever a client says
	p := arm.Object(body, "properties")
	if p["uniqueId"] = arm.Derived("disk", id.String(), arm.Timestamp(tx.Now())); arm.At(old, "properties", "uniqueId") != nil {
		p["uniqueId"] = arm.At(old, "properties", "uniqueId")
	}
	if arm.Text(p, "diskState") == "" {
		if p["diskState"] = "Unattached"; strings.EqualFold(arm.Text(p, "creationData", "createOption"), "Upload") {
			p["diskState"] = "ReadyToUpload"
		}
	}
	if given := old[accessTag]; given != nil {
		body[accessTag] = given
	}
	if _, ok := p["diskSizeGB"]; !ok {
		p["diskSizeGB"] = 30
	}
	if p["timeCreated"] = arm.At(old, "properties", "timeCreated"); old == nil {
		p["timeCreated"] = arm.Timestamp(tx.Now())
	}
	if by := arm.Text(old, "managedBy"); by != "" {
		body["managedBy"], p["diskState"] = by, arm.At(old, "properties", "diskState")
	}
}

func heldDisk(tx *resource.Tx, id arm.ID) *arm.Error {
	if by := arm.Text(tx.Get(id).Body(), "managedBy"); by != "" {
		return arm.Errorf(http.StatusConflict, "OperationNotAllowed", "Disk %s is attached to VM %s.", id.Name(), by)
	}
	return accessed(id, tx.Get(id).Body())
}

// attachDetach gives a machine disks, and takes others from it, in one go.
func attachDetach(tx *resource.Tx, id arm.ID, args map[string]any) *arm.Error {
	old, body := tx.Get(id).Body(), tx.Get(id).Body()
	storage := arm.Object(arm.Object(body, "properties"), "storageProfile")
	kept := []any{}
	for _, d := range arm.Objects(storage, "dataDisks") {
		if !slices.ContainsFunc(arm.Objects(args, "dataDisksToDetach"), func(x map[string]any) bool {
			return strings.EqualFold(arm.Text(x, "diskId"), arm.Text(d, "managedDisk", "id"))
		}) {
			kept = append(kept, d)
		}
	}
	if had := len(arm.Objects(storage, "dataDisks")); had-len(kept) < len(arm.Objects(args, "dataDisksToDetach")) {
		return arm.Errorf(http.StatusBadRequest, "InvalidParameter", "A disk to be detached from '%s' is not attached to it.", id.Name())
	}
	for _, x := range arm.Objects(args, "dataDisksToAttach") {
		disk := map[string]any{"createOption": "Attach", "managedDisk": map[string]any{"id": arm.Text(x, "diskId")}, "lun": float64(nextLUN(kept))}
		for _, same := range []string{"lun", "caching", "deleteOption", "writeAcceleratorEnabled"} {
			if v := arm.Field(x, same); v != nil {
				disk[same] = v
			}
		}
		kept = append(kept, disk)
	}
	storage["dataDisks"] = kept
	luns := map[float64]bool{}
	for i, disk := range arm.Objects(storage, "dataDisks") {
		if bad := checkDataDisk(tx, id, i, disk, nil); bad != nil {
			return bad
		}
		lun, _ := arm.Number(arm.At(disk, "lun"))
		if luns[lun] {
			return invalidParameter("dataDisk.lun")
		}
		luns[lun] = true
	}
	attach(tx, id, body, old)
	tx.Put(id, body)
	return nil
}

// nextLUN is the first place for a disk that none of a list has.
func nextLUN(disks []any) int {
	for lun := 0; ; lun++ {
		if !slices.ContainsFunc(disks, func(d any) bool { n, _ := arm.Number(arm.At(d, "lun")); return int(n) == lun }) {
			return lun
		}
	}
}

func storageOf(v resource.View, id arm.ID) map[string]any {
	storage, _ := arm.At(v.Body(id), "properties", "storageProfile").(map[string]any)
	return storage
}
