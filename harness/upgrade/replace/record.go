package replace

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"

	"drydock.dev/drydock/harness/azure/provider"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/upgrade"
	"drydock.dev/drydock/harness/upgrade/replace/manager"
)

// record is how a machine is made. It is written before anything is touched, for all machines: one that is lost in the middle can be made anew.
type record struct {
	Name            string              `json:"name"`
	Role            string              `json:"role"`
	Location        string              `json:"location"`
	Size            string              `json:"size"`
	Interface       string              `json:"interface"` // its name
	Subnet          string              `json:"subnet"`
	Address         string              `json:"address,omitempty"`  // empty: any
	Pools           []manager.Reference `json:"pools,omitempty"`    // of load balancers, that it is in
	NATRules        []manager.Reference `json:"natRules,omitempty"` // of load balancers, that lead to it
	AvailabilitySet string              `json:"availabilitySet,omitempty"`
	DataDisks       []manager.DataDisk  `json:"dataDisks,omitempty"`
	Identity        manager.Identity    `json:"identity,omitzero"`
	Roles           []manager.Role      `json:"roles,omitempty"` // of the identity that it has to itself
	Tags            map[string]string   `json:"tags"`
	parts
	Done string `json:"done,omitempty"` // the version at which the machine that Made tells has passed its gate
}

// parts are what goes with one machine, and is another's of the same name.
type parts struct {
	Made       string   `json:"made,omitempty"`
	Interfaces []string `json:"interfaces,omitempty"`
	OSDisk     string   `json:"osDisk,omitempty"`
	Principal  string   `json:"principal,omitempty"` // of an identity that it has to itself
}

func partsOf(v *manager.VM) parts {
	return parts{Made: v.Made(), Interfaces: v.Interfaces(), OSDisk: v.OSDisk(), Principal: v.Identity.Principal}
}

// values are the parameters of a template. The disk of the system gets a name of its own: what is left of an attempt can then be found, whoever deletes its
// machine.
func (r record) values(version, osDisk string) map[string]any {
	disks := []any{}
	for _, d := range r.DataDisks {
		disks = append(disks, map[string]any{"lun": d.LUN, "name": d.Name, "createOption": "Attach", "managedDisk": map[string]any{"id": d.ManagedDisk.ID}})
	}
	references := func(of []manager.Reference) []any {
		out := []any{}
		for _, r := range of {
			out = append(out, map[string]any{"id": r.ID})
		}
		return out
	}
	tags := map[string]any{}
	for k, v := range r.Tags {
		tags[k] = v
	}
	tags[provider.VersionTag] = provider.VersionTagged(version)
	return map[string]any{
		"name": r.Name, "role": r.Role, "version": strings.TrimPrefix(version, "v"), "location": r.Location, "size": r.Size, "interface": r.Interface, "subnet": r.Subnet,
		"osDisk": osDisk, "address": r.Address, "availabilitySet": r.AvailabilitySet, "dataDisks": disks, "tags": tags,
		"pools": references(r.Pools), "natRules": references(r.NATRules), "identity": r.Identity.Asked(),
	}
}

// read looks how a machine is made.
func (r *Replacement) read(ctx context.Context, name, role string) (*record, error) {
	vm, err := r.Manager.VM(ctx, name)
	if err != nil || vm == nil {
		return nil, err
	}
	out := &record{
		Name: name, Role: role, Location: vm.Location, Size: vm.Properties.HardwareProfile.VMSize, AvailabilitySet: vm.Properties.AvailabilitySet.ID,
		DataDisks: vm.Properties.StorageProfile.DataDisks, Tags: vm.Tags, Identity: vm.Identity, parts: partsOf(vm),
	}
	if len(out.Interfaces) == 0 {
		return nil, fmt.Errorf("the virtual machine %s has no network interface", name)
	}
	if out.Principal != "" {
		if out.Roles, err = r.Manager.Roles(ctx, out.Principal); err != nil {
			return nil, err
		}
	}
	nic, err := r.Manager.Interface(ctx, out.Interfaces[0])
	if err != nil {
		return nil, err
	}
	if nic == nil || len(nic.Properties.IPConfigurations) == 0 {
		return nil, fmt.Errorf("the interface %s of the virtual machine %s is not there or has no address", manager.Short(out.Interfaces[0]), name)
	}
	ip := nic.Properties.IPConfigurations[0].Properties
	out.Interface, out.Subnet, out.Address, out.Pools, out.NATRules = path.Base(nic.ID), ip.Subnet.ID, ip.PrivateIPAddress, ip.Pools, ip.NATRules
	return out, nil
}

func (r *Replacement) recordFile(machine string) string {
	return filepath.Join(r.Dir, "machines", machine+".json")
}

// recorded reads a machine's record; nil: there is none.
func (r *Replacement) recorded(machine string) (*record, error) {
	raw, err := os.ReadFile(r.recordFile(machine))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // as the contract says: there is none
	}
	var out record
	if err == nil {
		err = json.Unmarshal(raw, &out)
	}
	if err != nil {
		return nil, fmt.Errorf("record of %s: %w", machine, err)
	}
	return &out, nil
}

func (r *Replacement) write(rec *record) error {
	if err := plan.WriteFile(r.recordFile(rec.Name), rec); err != nil {
		return fmt.Errorf("record of %s: %w", rec.Name, err)
	}
	return nil
}

// record writes down how every machine is made, once.
func (r *Replacement) record(ctx context.Context) error {
	wrote := 0
	for _, m := range r.names() {
		rec, err := r.recorded(m.name)
		if err != nil {
			return err
		}
		if rec != nil {
			continue
		}
		if rec = r.found[m.name]; rec == nil { // preflight has not read it
			if rec, err = r.read(ctx, m.name, m.role); err != nil {
				return err
			}
		}
		if rec == nil {
			return plan.Refusal("to replace "+m.name, []plan.Finding{unknown(m.name)})
		}
		if err := r.write(rec); err != nil {
			return err
		}
		wrote++
	}
	if wrote == 0 {
		return fmt.Errorf("%w: it is written down already", plan.ErrSkip)
	}
	return nil
}

// unknown is a machine that is gone, and nobody has seen how it was made.
func unknown(machine string) plan.Finding {
	return plan.Finding{
		Check: "machines", Severity: plan.Blocker, What: "there is no virtual machine " + machine, Why: "how it is made is read from it before it is replaced",
		Fix: "bring it back with what has made it, or take it out of the cluster",
	}
}

// surgeRecord is that of the machine that is there for the time of the upgrade: as the first worker, with a name, an interface and an address of its own. A rule
// of a load balancer that leads to one machine goes on leading to the first worker.
func (r *Replacement) surgeRecord() (*record, error) {
	first, err := r.recorded(r.Topology.WorkerMachines()[0])
	if err != nil || first == nil {
		return nil, errors.Join(err, fmt.Errorf("record of %s: the first worker has none", upgrade.SurgeMachine))
	}
	out := *first
	out.Tags = maps.Clone(first.Tags)
	out.Name, out.Interface, out.Address, out.NATRules, out.DataDisks, out.parts, out.Done = upgrade.SurgeMachine, upgrade.SurgeMachine+"-nic", "", nil, nil, parts{}, ""
	return &out, nil
}
