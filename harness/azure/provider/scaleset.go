package provider

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
	"drydock.dev/drydock/harness/azure/state"
)

// scaleSetTypes are virtual machine scale sets and their instances; those of flexible ones are machines.
func scaleSetTypes(m machinery) []*resource.Type {
	const ns = "Microsoft.Compute/virtualMachineScaleSets"
	set := &resource.Type{Name: ns, Located: true, Aside: map[string]string{"userData": "properties.virtualMachineProfile.userData"}, Check: checkScaleSet, Fill: fillScaleSet, Made: m.madeScaleSet, Held: heldScaleSet, Gone: goneScaleSet, Actions: map[string]resource.Action{
		"delete":           {Then: eachInstance(func(tx *resource.Tx, vm arm.ID) { tx.Erase(vm) })},
		"osrollingupgrade": {Then: roll}, "extensionrollingupgrade": {Then: roll},
		"manualupgrade": {Then: eachInstance(func(tx *resource.Tx, vm arm.ID) { latest(tx, vm, true) })},
	}}
	instance := &resource.Type{Name: ns + "/virtualMachines", Given: true, Aside: map[string]string{"userData": "properties.userData"}, View: viewInstance, Else: showMembers, Loaded: loadedVM, No: resource.Patches, Check: checkInstance, Fill: fillInstance, Gone: m.goneInstance, Actions: map[string]resource.Action{}}
	for name, state := range powerStates() {
		set.Actions[strings.ToLower(name)] = resource.Action{Then: eachInstance(func(tx *resource.Tx, vm arm.ID) { _ = m.power(tx, vm, name, state) })}
		if name == "reapply" { // of a scale set and of a machine of its own, not of an instance
			continue
		}
		instance.Actions[strings.ToLower(name)] = resource.Action{Then: func(tx *resource.Tx, id arm.ID, _ map[string]any) *arm.Error { return m.power(tx, id, name, state) }}
	}
	instance.Actions["simulateeviction"] = m.evict()
	instance.Actions["runcommand"] = resource.Action{Then: nothing, Result: commandResult}
	instance.Actions["retrievebootdiagnosticsdata"] = resource.Action{Now: bootDiagnostics}
	instance.Actions["attachdetachdatadisks"] = resource.Action{Then: attachDetach, Result: storageOf}
	return slices.Concat(scaleSetViews(), []*resource.Type{
		set, instance,
		{Name: ns + "/instanceView", Single: true, Show: viewScaleSet},
		{Name: ns + "/virtualMachines/instanceView", Single: true, Show: viewInstance},
		{Name: ns + "/virtualMachines/extensions"},
		{Name: ns + "/virtualMachines/runCommands", Located: true, View: viewCommand},
		{Name: ns + "/extensions"},
	})
}

func capacity(body map[string]any) (int, bool) {
	n, ok := arm.At(body, "sku", "capacity").(float64)
	return int(n), ok
}

func checkScaleSet(_ *resource.Tx, _ arm.ID, body, old map[string]any) *arm.Error {
	if n, ok := capacity(body); ok && (n < 0 || n > 1000) {
		e := arm.Errorf(http.StatusBadRequest, "InvalidParameter", "The value of parameter sku.capacity is invalid.")
		e.Target = "sku.capacity"
		return e
	}
	if bad := checkOrchestration(body, old); bad != nil || old == nil {
		return bad
	}
	// A PUT with the SKU alone, as cluster tools scale, keeps the model, and the tags: kubernetes/autoscaler scales so (azure_scale_set.go) what it finds by tags.
	if arm.At(body, "properties") == nil {
		if body["properties"] = arm.At(old, "properties"); body["tags"] == nil && old["tags"] != nil {
			body["tags"] = old["tags"]
		}
	}
	sku, was := arm.Object(body, "sku"), arm.Object(old, "sku")
	for k, v := range was {
		if _, there := sku[k]; !there {
			sku[k] = v
		}
	}
	return unchanged(ofScaleSet(), body, old)
}

func fillScaleSet(tx *resource.Tx, id arm.ID, body, old map[string]any) {
	p := arm.Object(body, "properties")
	if p["uniqueId"] = arm.Derived("vmss", id.String(), arm.Timestamp(tx.Now())); arm.At(old, "properties", "uniqueId") != nil {
		p["uniqueId"] = arm.At(old, "properties", "uniqueId")
	}
	identify(tx, id, body, old)
	if profile := "virtualMachineProfile"; old != nil && !reflect.DeepEqual(arm.At(p, profile), arm.At(old, "properties", profile)) {
		upgrade(tx, id, arm.Text(p, "upgradePolicy", "mode"))
	}
	if p["orchestrationMode"] == nil {
		if p["orchestrationMode"] = arm.At(old, "properties", "orchestrationMode"); p["orchestrationMode"] == nil {
			p["orchestrationMode"] = "Uniform"
		}
	}
	if flexible(body) {
		p["singlePlacementGroup"] = false
		if p["platformFaultDomainCount"] == nil {
			p["platformFaultDomainCount"] = 1
		}
	}
	if n, ok := capacity(body); !ok && (!flexible(body) || arm.At(body, "sku", "name") != nil) { // without a model there is no size either
		arm.Object(body, "sku")["capacity"] = n
	}
	for _, kept := range []string{nextInstance, rollingTag} {
		if v, ok := old[kept]; ok {
			body[kept] = v
		}
	}
}

// nextInstance counts the instances a scale set ever had: ids are not used again.
const nextInstance = "drydockNextInstance"

// madeScaleSet adds or removes instances until there are as many as the SKU says. The newest go first.
func (m machinery) madeScaleSet(tx *resource.Tx, id arm.ID) *arm.Error {
	d := tx.Get(id)
	if d == nil {
		return arm.Errorf(http.StatusNotFound, "NotFound", "The scale set '%s' is gone.", id.Name())
	}
	body := d.Body()
	want, _ := capacity(body)
	have := instances(tx.View, id)
	for len(have) > want {
		tx.Erase(have[len(have)-1].ID)
		have = have[:len(have)-1]
	}
	counted, _ := arm.Number(body[nextInstance])
	next := int(counted)
	for ; flexible(body) && len(have) < want; next++ {
		tx.Edit(id, func(b map[string]any) { b[nextInstance] = next + 1 }) // before others may write: machines take their time
		if bad := addMember(tx, id, body, next); bad != nil {
			return bad
		}
		have = members(tx.View, id)
	}
	rooms, fresh := addressed{}, []*state.Document{}
	for ; len(have) < want; next++ {
		fresh = append(fresh, m.addInstance(tx, id, body, next, rooms))
		have = append(have, fresh[len(fresh)-1])
	}
	tx.Edit(id, func(b map[string]any) { b[nextInstance] = next })
	return m.boot(tx, body, fresh)
}

func instanceID(set arm.ID, n string) arm.ID {
	set.Types = []string{"virtualMachineScaleSets", "virtualMachines"}
	set.Names = []string{set.Names[0], n}
	return set
}

// instances lists a scale set's machines by the number of their id.
func instances(v resource.View, set arm.ID) []*state.Document {
	if d := v.Get(set); d != nil && flexible(d.Body()) {
		return members(v, set)
	}
	collection := set
	collection.Types = []string{"virtualMachineScaleSets", "virtualMachines"}
	collection.Names = set.Names[:1]
	docs, _ := v.List(collection, "", 1<<30)
	number := func(d *state.Document) int { n, _ := strconv.Atoi(d.ID.Name()); return n }
	slices.SortStableFunc(docs, func(a, b *state.Document) int { return number(a) - number(b) })
	return docs
}

func (m machinery) addInstance(tx *resource.Tx, set arm.ID, model map[string]any, n int, rooms addressed) *state.Document {
	id := instanceID(set, strconv.Itoa(n))
	prefix := arm.Text(model, "properties", "virtualMachineProfile", "osProfile", "computerNamePrefix")
	if prefix == "" {
		prefix = set.Name()
	}
	computer := prefix + fmt.Sprintf("%06s", strconv.FormatInt(int64(n), 36))
	profile, _ := arm.At(model, "properties", "virtualMachineProfile").(map[string]any)
	provisioning, power := arm.Succeeded, "running"
	if m.machines != nil {
		provisioning, power = "Creating", "starting"
	}
	properties := map[string]any{
		"provisioningState": provisioning, "latestModelApplied": true, "vmId": arm.Derived("vm", id.String()),
		"osProfile": map[string]any{"computerName": computer}, "networkProfileConfiguration": arm.At(profile, "networkProfile"),
		"storageProfile": map[string]any{"osDisk": map[string]any{"name": computer + "_OsDisk"}, "dataDisks": []any{}},
		"networkProfile": map[string]any{"networkInterfaces": []any{map[string]any{"id": id.String() + "/networkInterfaces/" + nicName(model)}}},
	}
	return tx.Put(id, map[string]any{
		"id": id.String(), "name": set.Name() + "_" + strconv.Itoa(n), "type": "Microsoft.Compute/virtualMachineScaleSets/virtualMachines", "instanceId": strconv.Itoa(n),
		"location": model["location"], "sku": model["sku"], "tags": model["tags"], "properties": properties, powerTag: power, addressTag: rooms.give(tx, id, model),
	})
}

func nicName(model map[string]any) string {
	configs := arm.Objects(model, "properties", "virtualMachineProfile", "networkProfile", "networkInterfaceConfigurations")
	if len(configs) == 0 {
		return "nic"
	}
	return arm.Text(configs[0], "name")
}

// goneInstance keeps the scale set's capacity in step with its machines.
func (m machinery) goneInstance(tx *resource.Tx, id arm.ID, body map[string]any) {
	detach(tx, body, nil)
	set := id.Top(1)
	tx.Edit(set, func(b map[string]any) { arm.Object(b, "sku")["capacity"] = len(instances(tx.View, set)) })
	m.remove(tx, id, body)
}

// upgrade tells the instances that the model has changed: by hand each is upgraded when somebody asks for it, automatically all are. Of rolling upgrades,
// which go on by themselves for long, the twin has none: there nothing changes.
func upgrade(tx *resource.Tx, set arm.ID, mode string) {
	applied, known := map[string]bool{"manual": false, "automatic": true}[strings.ToLower(mode)]
	if !known {
		return
	}
	for _, vm := range instances(tx.View, set) {
		latest(tx, vm.ID, applied)
	}
}

// latest tells an instance whether it has the model; a machine of a flexible one is not told.
func latest(tx *resource.Tx, vm arm.ID, applied bool) {
	if len(vm.Types) == 1 {
		return
	}
	tx.Edit(vm, func(b map[string]any) { arm.Object(b, "properties")["latestModelApplied"] = applied })
}

// eachInstance acts on the instances a request names, or on all of them.
func eachInstance(do func(tx *resource.Tx, vm arm.ID)) func(tx *resource.Tx, id arm.ID, args map[string]any) *arm.Error {
	return func(tx *resource.Tx, id arm.ID, args map[string]any) *arm.Error {
		wanted := map[string]bool{}
		list, _ := arm.At(args, "instanceIds").([]any)
		for _, x := range list {
			wanted[fmt.Sprint(x)] = true
		}
		for _, d := range instances(tx.View, id) {
			if len(wanted) == 0 || wanted["*"] || wanted[d.ID.Name()] {
				do(tx, d.ID)
			}
		}
		return nil
	}
}

// checkInstance refuses to make an instance: only its scale set does.
func checkInstance(_ *resource.Tx, id arm.ID, _, old map[string]any) *arm.Error {
	if old == nil {
		return arm.Errorf(http.StatusNotFound, "NotFound", "The entity was not found: instance '%s' of scale set '%s'.", id.Name(), id.Names[0])
	}
	return nil
}

// fillInstance attaches and releases data disks: that is what instances are updated for.
func fillInstance(tx *resource.Tx, id arm.ID, body, old map[string]any) {
	body["name"], body["instanceId"] = id.Names[0]+"_"+id.Name(), id.Name()
	body[powerTag], body[addressTag] = arm.Text(old, powerTag), old[addressTag]
	p := arm.Object(body, "properties")
	for k, v := range arm.Object(old, "properties") {
		if _, there := p[k]; !there {
			p[k] = v
		}
	}
	attach(tx, id, body, old)
}

func viewInstance(v resource.View, id arm.ID) map[string]any {
	if d := v.Get(id.Top(2)); d != nil {
		return instanceView(v, d)
	}
	for _, d := range instances(v, id.Top(1)) { // a machine of its own
		if strings.EqualFold(d.ID.Name(), id.Names[1]) && len(d.ID.Types) == 1 {
			return instanceView(v, d)
		}
	}
	return nil
}

func viewScaleSet(v resource.View, id arm.ID) map[string]any {
	set := id.Top(1)
	if v.Get(set) == nil {
		return nil
	}
	return map[string]any{
		"virtualMachine": map[string]any{"statusesSummary": []any{map[string]any{"code": "ProvisioningState/succeeded", "count": len(instances(v, set))}}},
		"statuses":       []any{map[string]any{"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Provisioning succeeded", "time": arm.Timestamp(v.Now())}},
	}
}
