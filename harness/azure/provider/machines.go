package provider

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
	"drydock.dev/drydock/harness/azure/state"
)

// Machine is a virtual machine as its document has it, or an instance of a scale set.
type Machine struct {
	ID    string            // of the document
	Name  string            // of the computer: osProfile.computerName, or else the document's name
	Tags  map[string]string // of an instance those that its model had when it was made
	Disks []Disk            // of data, in the order of the document
}

// VersionTag is the tag that names the version a machine is to run, as cluster tools write it: VersionTagged. PoolTag is that of what the machine is for,
// MasterPool of a control plane as AKS Engine writes it. They say what was asked for, and prove nothing.
const (
	VersionTag = "orchestrator"
	PoolTag    = "poolName"
	MasterPool = "master"
)

// kubernetes is before the version in such a tag.
const kubernetes = "Kubernetes:"

// VersionTagged is the tag's value of a version, with or without its v: Kubernetes:1.24.17.
func VersionTagged(version string) string { return kubernetes + strings.TrimPrefix(version, "v") }

// TaggedVersion is the version that tags ask for, without a v; empty: none.
func TaggedVersion(tags map[string]string) string {
	_, version, _ := strings.Cut(tags[VersionTag], ":")
	return version
}

// ForControlPlane reports whether a machine is for a control plane: by the pool of its tag, or where it has none by its name.
func (m Machine) ForControlPlane() bool {
	for _, word := range []string{"control-plane", MasterPool} {
		if pool := m.Tags[PoolTag]; strings.Contains(pool, word) || pool == "" && strings.Contains(m.Name, word) {
			return true
		}
	}
	return false
}

// Disk is a disk of data.
type Disk struct {
	Name  string
	Fresh bool // it was made with the machine, and is empty; otherwise it has what was written to it before
}

// Machines are what virtual machines of the twin really are: a PUT boots one, a DELETE removes it, power actions act. The context ends with the twin. Calls for
// different machines come at the same time, and those for one machine may.
type Machines interface {
	// Create boots the machine a virtual machine stands for; an error fails the virtual machine's deployment. Who failed may be asked again.
	Create(ctx context.Context, m Machine) error
	// Delete takes it away, and its system's disk. Its disks of data are those that stay.
	Delete(ctx context.Context, m Machine) error
	Power(ctx context.Context, m Machine, action string) error
	// Extension is the verdict of a custom-script extension: nil, or why its provisioning fails.
	Extension(ctx context.Context, m Machine, extension string) error
}

// machinery is what the types of Microsoft.Compute act on beside documents.
type machinery struct{ machines Machines } // nil: virtual machines are documents only

// lasting is the context of what an operation does: it outlives the call that started it.
func lasting() context.Context { return context.Background() } //nolint:forbidigo // see above

// machineOf is the machine of a document. Of one that is gone, those disks are its that stay.
func machineOf(id arm.ID, body map[string]any, gone bool) Machine {
	m := Machine{ID: id.String(), Name: cmp.Or(arm.Text(body, "properties", "osProfile", "computerName"), id.Name()), Tags: map[string]string{}}
	if tags, ok := arm.At(body, "tags").(map[string]any); ok {
		for k, v := range tags {
			m.Tags[k] = fmt.Sprint(v)
		}
	}
	for _, d := range arm.Objects(body, "properties", "storageProfile", "dataDisks") {
		if gone && strings.EqualFold(arm.Text(d, "deleteOption"), "Delete") {
			continue
		}
		m.Disks = append(m.Disks, Disk{Name: arm.Text(d, "name"), Fresh: !gone && !strings.EqualFold(arm.Text(d, "createOption"), "Attach")})
	}
	return m
}

// do does something on the machines while others may write.
func (m machinery) do(tx *resource.Tx, act func(ctx context.Context, machines Machines) error) error {
	if m.machines == nil {
		return nil
	}
	return tx.Outside(func() error { return act(lasting(), m.machines) })
}

// remove takes the machine of a document away that is gone.
func (m machinery) remove(tx *resource.Tx, id arm.ID, body map[string]any) {
	_ = m.do(tx, func(ctx context.Context, all Machines) error { return all.Delete(ctx, machineOf(id, body, true)) })
}

func provisioningFailed(name string, err error) *arm.Error {
	return arm.Errorf(http.StatusConflict, "OSProvisioningClientError", "OS Provisioning for VM '%s' failed: %v", name, err)
}

func extensionFailed(name string, err error) *arm.Error {
	return arm.Errorf(http.StatusConflict, "VMExtensionProvisioningError", "VM has reported a failure when processing extension '%s'. Error message: \"%v\".", name, err)
}

// boot boots the machines of new instances of a scale set, all at once, and runs on each the extensions of the model. Who has no machine is Failed, and so is the
// operation; an instance that was deleted meanwhile takes its machine with it.
func (m machinery) boot(tx *resource.Tx, model map[string]any, fresh []*state.Document) *arm.Error {
	if m.machines == nil || len(fresh) == 0 {
		return nil
	}
	failures := make([]*arm.Error, len(fresh))
	_ = m.do(tx, func(ctx context.Context, all Machines) error {
		var booting sync.WaitGroup
		for i, d := range fresh {
			booting.Go(func() { failures[i] = bootInstance(ctx, all, model, machineOf(d.ID, d.Body(), false)) })
		}
		booting.Wait()
		return nil
	})
	var failure *arm.Error
	for i, d := range fresh {
		if failures[i] != nil && failure == nil {
			failure = failures[i]
		}
		if tx.Get(d.ID) == nil {
			m.remove(tx, d.ID, d.Body())
			continue
		}
		tx.Edit(d.ID, func(b map[string]any) {
			b[powerTag] = "running"
			if arm.Object(b, "properties")["provisioningState"] = arm.Succeeded; failures[i] != nil {
				arm.Object(b, "properties")["provisioningState"] = arm.Failed
			}
		})
	}
	return failure
}

func bootInstance(ctx context.Context, all Machines, model map[string]any, machine Machine) *arm.Error {
	if err := all.Create(ctx, machine); err != nil {
		return provisioningFailed(machine.Name, err)
	}
	for _, x := range arm.Objects(model, "properties", "virtualMachineProfile", "extensionProfile", "extensions") {
		if err := all.Extension(ctx, machine, arm.Text(x, "name")); err != nil {
			return extensionFailed(arm.Text(x, "name"), err)
		}
	}
	return nil
}

func (m machinery) madeVM(tx *resource.Tx, id arm.ID) *arm.Error {
	d := tx.Get(id)
	if d == nil {
		return arm.Errorf(http.StatusNotFound, "NotFound", "The virtual machine '%s' is gone.", id.Name())
	}
	if arm.Text(d.Body(), powerTag) != "starting" {
		return nil
	}
	machine := machineOf(id, d.Body(), false)
	if err := m.do(tx, func(ctx context.Context, all Machines) error { return all.Create(ctx, machine) }); err != nil {
		return provisioningFailed(id.Name(), err)
	}
	if m.machines != nil && tx.Get(id) == nil { // its group was deleted while it booted
		m.remove(tx, id, d.Body())
	}
	tx.Edit(id, func(body map[string]any) { body[powerTag] = "running" })
	recount(tx, d.Body())
	return nil
}

// goneVM lets go of the disks the machine had: they and its interfaces stay, but for those that were to go with it.
func (m machinery) goneVM(tx *resource.Tx, id arm.ID, body map[string]any) {
	release(tx, arm.Text(body, "properties", "storageProfile", "osDisk", "managedDisk", "id"))
	detach(tx, body, nil)
	goWith(tx, body)
	recount(tx, body)
	m.remove(tx, id, body)
}

func (m machinery) madeExtension(tx *resource.Tx, id arm.ID) *arm.Error {
	vm := tx.Get(id.Top(1))
	if m.machines == nil || vm == nil {
		return nil
	}
	machine := machineOf(vm.ID, vm.Body(), false)
	if err := m.do(tx, func(ctx context.Context, all Machines) error { return all.Extension(ctx, machine, id.Name()) }); err != nil {
		return extensionFailed(id.Name(), err)
	}
	return nil
}
