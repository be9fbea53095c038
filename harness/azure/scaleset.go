package azure

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// scaleSetTypes are virtual machine scale sets and their instances, in the uniform mode that clusters use.
func scaleSetTypes(m machinery) []*Type {
	const ns = "Microsoft.Compute/virtualMachineScaleSets"
	set := &Type{name: ns, located: true, check: checkScaleSet, fill: fillScaleSet, made: madeScaleSet, actions: map[string]Action{
		"delete":        {then: eachInstance(func(tx *Tx, vm ID) { tx.erase(vm) })},
		"manualupgrade": {then: eachInstance(func(tx *Tx, vm ID) { latest(tx, vm) })},
	}}
	instance := &Type{name: ns + "/virtualMachines", check: checkInstance, fill: fillInstance, gone: goneInstance, actions: map[string]Action{}}
	for name, state := range powerStates() {
		set.actions[strings.ToLower(name)] = Action{then: eachInstance(func(tx *Tx, vm ID) { _ = m.power(tx, vm, name, state) })}
		instance.actions[strings.ToLower(name)] = Action{then: func(tx *Tx, id ID, _ map[string]any) *Error { return m.power(tx, id, name, state) }}
	}
	return []*Type{
		set, instance,
		{name: ns + "/instanceView", single: true, show: viewScaleSet},
		{name: ns + "/virtualMachines/instanceView", single: true, show: viewInstance},
		{name: ns + "/virtualMachines/networkInterfaces", show: showInstanceNIC},
		{name: ns + "/extensions"},
	}
}

func capacity(body map[string]any) (int, bool) {
	n, ok := at(body, "sku", "capacity").(float64)
	return int(n), ok
}

func checkScaleSet(_ *Tx, _ ID, body, old map[string]any) *Error {
	if n, ok := capacity(body); ok && (n < 0 || n > 1000) {
		e := errorf(http.StatusBadRequest, "InvalidParameter", "The value of parameter sku.capacity is invalid.")
		e.Target = "sku.capacity"
		return e
	}
	if old == nil {
		return nil
	}
	// A PUT with the SKU alone, as cluster tools scale, keeps the model.
	if at(body, "properties") == nil {
		body["properties"] = at(old, "properties")
	}
	sku, was := object(body, "sku"), object(old, "sku")
	for k, v := range was {
		if _, there := sku[k]; !there {
			sku[k] = v
		}
	}
	return nil
}

func fillScaleSet(_ *Tx, id ID, body, old map[string]any) {
	p := object(body, "properties")
	if p["uniqueId"] = derived("vmss", id.String()); at(old, "properties", "uniqueId") != nil {
		p["uniqueId"] = at(old, "properties", "uniqueId")
	}
	if n, ok := capacity(body); !ok {
		object(body, "sku")["capacity"] = n
	}
	if v, ok := old[nextInstance]; ok {
		body[nextInstance] = v
	}
}

// nextInstance counts the instances a scale set ever had: ids are not used again.
const nextInstance = "drydockNextInstance"

// madeScaleSet adds or removes instances until there are as many as the SKU says. The newest go first.
func madeScaleSet(tx *Tx, id ID) *Error {
	d := tx.get(id)
	if d == nil {
		return errorf(http.StatusNotFound, "NotFound", "The scale set '%s' is gone.", id.Name())
	}
	body := d.body()
	want, _ := capacity(body)
	have := instances(tx.View, id)
	for len(have) > want {
		tx.erase(have[len(have)-1].id)
		have = have[:len(have)-1]
	}
	next, _ := body[nextInstance].(int)
	for ; len(have) < want; next++ {
		have = append(have, addInstance(tx, id, body, next))
	}
	tx.edit(id, func(b map[string]any) { b[nextInstance] = next })
	return nil
}

func instanceID(set ID, n string) ID {
	set.Types = []string{"virtualMachineScaleSets", "virtualMachines"}
	set.Names = []string{set.Names[0], n}
	return set
}

// instances lists a scale set's machines by the number of their id.
func instances(v View, set ID) []*document {
	collection := set
	collection.Types = []string{"virtualMachineScaleSets", "virtualMachines"}
	collection.Names = set.Names[:1]
	docs, _ := v.list(collection, "", 1<<30)
	number := func(d *document) int { n, _ := strconv.Atoi(d.id.Name()); return n }
	slices.SortStableFunc(docs, func(a, b *document) int { return number(a) - number(b) })
	return docs
}

func addInstance(tx *Tx, set ID, model map[string]any, n int) *document {
	id := instanceID(set, strconv.Itoa(n))
	prefix := text(model, "properties", "virtualMachineProfile", "osProfile", "computerNamePrefix")
	if prefix == "" {
		prefix = set.Name()
	}
	computer := prefix + fmt.Sprintf("%06s", strconv.FormatInt(int64(n), 36))
	profile, _ := at(model, "properties", "virtualMachineProfile").(map[string]any)
	properties := map[string]any{
		"provisioningState": succeeded, "latestModelApplied": true, "vmId": derived("vm", id.String()),
		"osProfile": map[string]any{"computerName": computer}, "networkProfileConfiguration": at(profile, "networkProfile"),
		"storageProfile": map[string]any{"osDisk": map[string]any{"name": computer + "_OsDisk"}, "dataDisks": []any{}},
		"networkProfile": map[string]any{"networkInterfaces": []any{map[string]any{"id": id.String() + "/networkInterfaces/" + nicName(model)}}},
	}
	return tx.put(id, map[string]any{
		"id": id.String(), "name": set.Name() + "_" + strconv.Itoa(n), "type": "Microsoft.Compute/virtualMachineScaleSets/virtualMachines", "instanceId": strconv.Itoa(n),
		"location": model["location"], "sku": model["sku"], "tags": model["tags"], "properties": properties, powerTag: "running",
	})
}

func nicName(model map[string]any) string {
	configs := objects(model, "properties", "virtualMachineProfile", "networkProfile", "networkInterfaceConfigurations")
	if len(configs) == 0 {
		return "nic"
	}
	return text(configs[0], "name")
}

// goneInstance keeps the scale set's capacity in step with its machines.
func goneInstance(tx *Tx, id ID, body map[string]any) {
	detach(tx, body, nil)
	set := id.top(1)
	tx.edit(set, func(b map[string]any) { object(b, "sku")["capacity"] = len(instances(tx.View, set)) })
}

func latest(tx *Tx, vm ID) {
	tx.edit(vm, func(b map[string]any) { object(b, "properties")["latestModelApplied"] = true })
}

// eachInstance acts on the instances a request names, or on all of them.
func eachInstance(do func(tx *Tx, vm ID)) func(tx *Tx, id ID, args map[string]any) *Error {
	return func(tx *Tx, id ID, args map[string]any) *Error {
		wanted := map[string]bool{}
		list, _ := at(args, "instanceIds").([]any)
		for _, x := range list {
			wanted[fmt.Sprint(x)] = true
		}
		for _, d := range instances(tx.View, id) {
			if len(wanted) == 0 || wanted["*"] || wanted[d.id.Name()] {
				do(tx, d.id)
			}
		}
		return nil
	}
}

// checkInstance refuses to make an instance: only its scale set does.
func checkInstance(_ *Tx, id ID, _, old map[string]any) *Error {
	if old == nil {
		return errorf(http.StatusNotFound, "NotFound", "The entity was not found: instance '%s' of scale set '%s'.", id.Name(), id.Names[0])
	}
	return nil
}

// fillInstance attaches and releases data disks: that is what instances are updated for.
func fillInstance(tx *Tx, id ID, body, old map[string]any) {
	body["name"], body["instanceId"] = id.Names[0]+"_"+id.Name(), id.Name()
	body[powerTag] = text(old, powerTag)
	p := object(body, "properties")
	for k, v := range object(old, "properties") {
		if _, there := p[k]; !there {
			p[k] = v
		}
	}
	attach(tx, id, body, old)
}

func viewInstance(v View, id ID) map[string]any {
	if d := v.get(id.top(2)); d != nil {
		return instanceView(v, d)
	}
	return nil
}

func viewScaleSet(v View, id ID) map[string]any {
	set := id.top(1)
	if v.get(set) == nil {
		return nil
	}
	return map[string]any{
		"virtualMachine": map[string]any{"statusesSummary": []any{map[string]any{"code": "ProvisioningState/succeeded", "count": len(instances(v, set))}}},
		"statuses":       []any{map[string]any{"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Provisioning succeeded", "time": timestamp(v.now())}},
	}
}

// showInstanceNIC makes an instance's interface from the model: it is no resource of its own.
func showInstanceNIC(v View, id ID) map[string]any {
	if len(id.Names) < 2 {
		return nil
	}
	vm := id.top(2)
	d := v.get(vm)
	if d == nil {
		return nil
	}
	n, _ := strconv.Atoi(vm.Name())
	one := func(name string) map[string]any {
		self := vm.String() + "/networkInterfaces/" + name
		var configs []any
		for _, c := range objects(d.body(), "properties", "networkProfileConfiguration", "networkInterfaceConfigurations") {
			if !strings.EqualFold(text(c, "name"), name) {
				continue
			}
			for i, ip := range objects(c, "properties", "ipConfigurations") {
				p := map[string]any{"privateIPAddress": fmt.Sprintf("10.241.%d.%d", n>>8&0xff, n&0xff), "primary": i == 0, "provisioningState": succeeded}
				for k, v := range object(ip, "properties") {
					p[k] = v
				}
				configs = append(configs, map[string]any{"id": self + "/ipConfigurations/" + text(ip, "name"), "name": text(ip, "name"), "properties": p})
			}
		}
		return map[string]any{"id": self, "name": name, "properties": map[string]any{
			"provisioningState": succeeded, "primary": true, "ipConfigurations": configs, "virtualMachine": map[string]any{"id": vm.String()},
		}}
	}
	if len(id.Names) > 2 {
		return one(id.Names[2])
	}
	var all []any
	for _, c := range objects(d.body(), "properties", "networkProfileConfiguration", "networkInterfaceConfigurations") {
		all = append(all, one(text(c, "name")))
	}
	return map[string]any{"value": all}
}
