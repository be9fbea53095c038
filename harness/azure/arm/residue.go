package arm

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Resource is what is needed of a document to say what belongs to what: the rest of it may hold secrets.
type Resource struct {
	ID        string   `json:"id"`
	State     string   `json:"state,omitempty"`     // provisioningState
	Machine   string   `json:"machine,omitempty"`   // of a virtual machine: what its computer is called
	By        string   `json:"by,omitempty"`        // of a disk or an interface: id of the machine that has it
	Has       []string `json:"has,omitempty"`       // of a machine: ids of its interfaces and disks
	Principal string   `json:"principal,omitempty"` // of what has an identity of its own
	Permits   string   `json:"permits,omitempty"`   // of an assignment of a role: to which principal
}

// ReadResource reads what is needed of a document.
func ReadResource(d map[string]any) Resource {
	r := Resource{ID: Text(d, "id"), State: Text(d, "properties", "provisioningState"), By: Text(d, "managedBy"), Principal: Text(d, "identity", "principalId")}
	if strings.EqualFold(Text(d, "type"), "Microsoft.Authorization/roleAssignments") {
		r.Permits = Text(d, "properties", "principalId")
	}
	if by := Text(d, "properties", "virtualMachine", "id"); by != "" {
		r.By = by
	}
	id, ok := ParseID(r.ID)
	if !ok || !strings.EqualFold(id.Type(), "Microsoft.Compute/virtualMachines") && !strings.EqualFold(id.Type(), "Microsoft.Compute/virtualMachineScaleSets/virtualMachines") {
		return r
	}
	if r.Machine = Text(d, "properties", "osProfile", "computerName"); r.Machine == "" {
		r.Machine = id.Name()
	}
	has := func(id string) {
		if id != "" && !strings.HasPrefix(strings.ToLower(id), strings.ToLower(r.ID)+"/") { // an instance's interface is part of it
			r.Has = append(r.Has, id)
		}
	}
	for _, n := range Objects(d, "properties", "networkProfile", "networkInterfaces") {
		has(Text(n, "id"))
	}
	has(Text(d, "properties", "storageProfile", "osDisk", "managedDisk", "id"))
	for _, n := range Objects(d, "properties", "storageProfile", "dataDisks") {
		has(Text(n, "managedDisk", "id"))
	}
	return r
}

// Astray lists what is wrong with resources; machines nil: nobody knows which there are.
func Astray(docs []Resource, machines []string) (out []string) {
	there, virtual, principals := map[string]Resource{}, map[string]bool{}, map[string]bool{}
	for _, d := range docs {
		there[strings.ToLower(d.ID)], principals[d.Principal] = d, true
	}
	for _, d := range docs {
		name := ThingOf(d.ID)
		ended := strings.EqualFold(path.Base(path.Dir(d.ID)), "deployments") && (d.State == Failed || d.State == Canceled) // which is history
		if d.State != "" && d.State != Succeeded && !ended {
			out = append(out, fmt.Sprintf("%s is %s", name, d.State))
		}
		switch kind := strings.ToLower(path.Base(path.Dir(d.ID))); {
		case d.Machine != "":
			host := strings.ToLower(d.Machine)
			if virtual[host] {
				out = append(out, "machine "+host+" has another virtual machine, "+name)
			}
			virtual[host] = true
			if machines != nil && !slices.Contains(machines, host) {
				out = append(out, name+" has no machine "+d.Machine)
			}
			for _, h := range d.Has {
				if other, ok := there[strings.ToLower(h)]; !ok {
					out = append(out, name+" has "+ThingOf(h)+", which is not there")
				} else if !strings.EqualFold(other.By, d.ID) {
					out = append(out, name+" has "+ThingOf(h)+", which belongs to "+nobody(other.By))
				}
			}
		case d.Permits != "" && !principals[d.Permits]:
			out = append(out, fmt.Sprintf("%s is of principal %s, which is gone", name, d.Permits))
		case kind == "disks" || kind == "networkinterfaces":
			if _, ok := there[strings.ToLower(d.By)]; !ok {
				out = append(out, name+" belongs to "+nobody(d.By))
			}
		}
	}
	for _, m := range machines {
		if !virtual[m] {
			out = append(out, "machine "+m+" has no virtual machine")
		}
	}
	return out
}

// ThingOf is a resource as people call it: TYPE/NAME; of what is no id, that.
func ThingOf(id string) string {
	parsed, ok := ParseID(id)
	if !ok {
		return id
	}
	return parsed.Thing()
}

func nobody(id string) string {
	if id == "" {
		return "nobody"
	}
	return ThingOf(id) + ", which is not its owner any more"
}
