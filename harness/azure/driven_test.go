package azure

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/provider"
	"drydock.dev/drydock/harness/cluster"
)

// driven are machines that do what they are told, nowhere, and tell of it.
type driven struct {
	mu    sync.Mutex
	told  []string
	fails map[string]error // by what is told
}

func (d *driven) tell(what string, m provider.Machine) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var disks []string
	for _, disk := range m.Disks {
		disks = append(disks, strings.TrimSuffix(fmt.Sprintf("%s %v", disk.Name, disk.Fresh), " false"))
	}
	if what = fmt.Sprintf("%s %s", what, m.Name); len(disks) > 0 {
		what += fmt.Sprint(" ", disks)
	}
	if tag := m.Tags["orchestrator"]; tag != "" {
		what += " " + tag
	}
	d.told = append(d.told, what)
	return d.fails[what]
}

func (d *driven) Create(_ context.Context, m provider.Machine) error { return d.tell("create", m) }
func (d *driven) Delete(_ context.Context, m provider.Machine) error { return d.tell("delete", m) }
func (d *driven) Power(_ context.Context, m provider.Machine, action string) error {
	return d.tell(action, m)
}
func (d *driven) Extension(_ context.Context, m provider.Machine, name string) error {
	return d.tell("extension "+name, m)
}

// drivenClient is a client of a twin whose machines are those.
func drivenClient(t *testing.T, d *driven) *client {
	t.Helper()
	c := newClientOf(t, Options{Machines: d})
	c.group()
	return c
}

// wants waits, for machines are driven beside the calls, and wants all that they were told, in order but for those of one moment.
func (d *driven) wants(t *testing.T, c *client, want ...string) {
	t.Helper()
	var got []string
	_ = cluster.Await(t.Context(), "what machines are told", cluster.Wait{For: 20 * time.Second, Every: 5 * time.Millisecond}, func(context.Context) error {
		c.clock.Advance(10 * time.Minute)
		c.twin.store.Settle()
		d.mu.Lock()
		defer d.mu.Unlock()
		if got = slices.Clone(d.told); len(got) < len(want) {
			return fmt.Errorf("%d of %d things", len(got), len(want))
		}
		return nil
	})
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	d.mu.Lock()
	d.told = nil
	d.mu.Unlock()
}

func TestAMachineIsToldOfItsDisksAndItsOwnName(t *testing.T) {
	d := &driven{}
	c := drivenClient(t, d)
	const vm, etcd = compute + "virtualMachines/m-1", compute + "disks/m-1-etcddisk"
	put := func(option string) {
		t.Helper()
		disk := `"createOption":"Empty","diskSizeGB":8`
		if option == "Attach" {
			disk = fmt.Sprintf(`"createOption":"Attach","managedDisk":{"id":%q}`, "/subscriptions/"+testSubscription+"/"+etcd)
		}
		if w := c.do(http.MethodPut, vm, fmt.Sprintf(`{"location":"westeurope","tags":{"orchestrator":"Kubernetes:1.35.4"},"properties":{"osProfile":{"computerName":"node-1"},
			"storageProfile":{"osDisk":{"createOption":"FromImage","osType":"Linux"},"dataDisks":[{"lun":0,"name":"m-1-etcddisk",%s},{"lun":1,"name":"scratch","createOption":"Empty","diskSizeGB":4,"deleteOption":"Delete"}]}}}`, disk)); w.Code >= 300 {
			t.Fatal(w.Code, w.Body)
		}
	}
	id := func() string { t.Helper(); return c.text(vm, "properties", "vmId") }
	put("Empty")
	d.wants(t, c, "create node-1 [m-1-etcddisk true scratch true] Kubernetes:1.35.4")
	first, system := id(), c.text(vm, "properties", "storageProfile", "osDisk", "name")
	c.do(http.MethodPost, vm+"/powerOff", "")
	d.wants(t, c, "powerOff node-1 [m-1-etcddisk scratch] Kubernetes:1.35.4")
	c.do(http.MethodPut, vm+"/extensions/cse", `{"location":"westeurope","properties":{}}`)
	d.wants(t, c, "extension cse node-1 [m-1-etcddisk true scratch true] Kubernetes:1.35.4")
	c.do(http.MethodDelete, vm, "")
	d.wants(t, c, "delete node-1 [m-1-etcddisk] Kubernetes:1.35.4")
	if state := c.text(etcd, "properties", "diskState"); state != "Unattached" {
		t.Errorf("the disk that stays is %s", state)
	}
	put("Attach")
	d.wants(t, c, "create node-1 [m-1-etcddisk scratch true] Kubernetes:1.35.4")
	if id() == first || c.text(vm, "properties", "storageProfile", "osDisk", "name") == system {
		t.Error("another machine has the id, or the system's disk, of the one before")
	}
	if state := c.text(etcd, "properties", "diskState"); state != "Attached" {
		t.Errorf("the disk that came back is %s", state)
	}
}

func TestAMachineThatIsNotProvisionedFails(t *testing.T) {
	d := &driven{fails: map[string]error{"create bad": errors.New("no room on the host"), "extension cse good": errors.New("etcd has no leader")}}
	c := drivenClient(t, d)
	for name, want := range map[string]string{"bad": "Failed", "good": "Succeeded"} {
		c.do(http.MethodPut, compute+"virtualMachines/"+name, `{"location":"westeurope","properties":{}}`)
		d.wants(t, c, "create "+name)
		c.pass()
		if got := c.text(compute+"virtualMachines/"+name, "properties", "provisioningState"); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	c.do(http.MethodPut, compute+"virtualMachines/good/extensions/cse", `{"location":"westeurope","properties":{}}`)
	d.wants(t, c, "extension cse good")
	c.pass()
	if got := c.text(compute+"virtualMachines/good/extensions/cse", "properties", "provisioningState"); got != "Failed" {
		t.Errorf("the extension is %s", got)
	}
	c.do(http.MethodPut, compute+"virtualMachines/bad", `{"location":"westeurope","properties":{}}`)
	d.wants(t, c, "create bad") // who failed is asked again
}

func TestInstancesOfAScaleSetAreMachines(t *testing.T) {
	d := &driven{fails: map[string]error{}}
	c := drivenClient(t, d)
	const set = compute + "virtualMachineScaleSets/ss"
	put := func(capacity int, version string) {
		t.Helper()
		if w := c.do(http.MethodPut, set, fmt.Sprintf(`{"location":"westeurope","tags":{"orchestrator":%q},"sku":{"name":"Standard_D2s_v3","capacity":%d},"properties":{"upgradePolicy":{"mode":"Manual"},
			"virtualMachineProfile":{"osProfile":{"computerNamePrefix":"node"},"extensionProfile":{"extensions":[{"name":"cse"}]}}}}`, version, capacity)); w.Code >= 300 {
			t.Fatal(w.Code, w.Body)
		}
	}
	put(2, "Kubernetes:1.23.17")
	d.wants(t, c, "create node000000 Kubernetes:1.23.17", "create node000001 Kubernetes:1.23.17", "extension cse node000000 Kubernetes:1.23.17", "extension cse node000001 Kubernetes:1.23.17")
	c.pass()
	if got := c.text(set+"/virtualMachines/0", "properties", "provisioningState"); got != "Succeeded" {
		t.Errorf("an instance is %s", got)
	}
	put(3, "Kubernetes:1.24.17") // those that are there stay what they are
	d.wants(t, c, "create node000002 Kubernetes:1.24.17", "extension cse node000002 Kubernetes:1.24.17")
	c.pass()
	if got := c.text(set+"/virtualMachines/0", "tags", "orchestrator"); got != "Kubernetes:1.23.17" {
		t.Errorf("an instance of before is of %s", got)
	}
	c.do(http.MethodPost, set+"/virtualMachines/1/powerOff", "")
	d.wants(t, c, "powerOff node000001 Kubernetes:1.23.17")
	c.do(http.MethodDelete, set+"/virtualMachines/0", "")
	d.wants(t, c, "delete node000000 Kubernetes:1.23.17")
	d.fails["extension cse node000003 Kubernetes:1.24.17"] = errors.New("no API server")
	put(3, "Kubernetes:1.24.17")
	d.wants(t, c, "create node000003 Kubernetes:1.24.17", "extension cse node000003 Kubernetes:1.24.17")
	c.pass()
	if got := c.text(set+"/virtualMachines/3", "properties", "provisioningState") + " " + c.text(set, "properties", "provisioningState"); got != arm.Failed+" "+arm.Failed {
		t.Errorf("the instance whose extension failed, and its set: %s", got)
	}
}
