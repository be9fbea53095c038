package aksengine

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/provider"
	"drydock.dev/drydock/harness/azure/standin"
)

// After is what there was when a command had ended: of the cloud and of the cluster, whatever the tool said.
type After struct {
	Machines []Machine      `json:"machines"` // of the cloud
	Nodes    []standin.Node `json:"nodes"`    // of the cluster
	Residue  []string       `json:"residue"`  // of the cloud: what belongs to no machine, or to none any more
}

// Machine is a virtual machine, or a scale set's, as its document says.
type Machine struct {
	Name    string `json:"name"`
	Pool    string `json:"pool"`
	Version string `json:"version"` // of its tag: what it is to run
	State   string `json:"state"`   // provisioningState
}

// look reads the cloud and the cluster.
func (s Scene) look() After {
	var docs []map[string]any
	for _, raw := range s.Twin.State().Resources {
		var doc map[string]any
		if json.Unmarshal(raw, &doc) == nil {
			docs = append(docs, doc)
		}
	}
	a := After{Machines: []Machine{}, Nodes: s.Cluster.Nodes(), Residue: residue(docs)}
	for _, doc := range docs {
		name, tags, is := machineOf(doc)
		if !is {
			continue
		}
		a.Machines = append(a.Machines, Machine{Name: name, Pool: tags[provider.PoolTag], Version: provider.TaggedVersion(tags), State: arm.Text(doc, "properties", "provisioningState")})
	}
	slices.SortFunc(a.Machines, func(x, y Machine) int { return strings.Compare(x.Name, y.Name) })
	return a
}

// residue is what a replacement leaves behind that is not ended: interfaces and disks of no machine, extensions that failed, and permissions of identities
// that are gone.
func residue(docs []map[string]any) []string {
	there, principals := map[string]bool{}, map[string]bool{}
	for _, d := range docs {
		there[strings.ToLower(arm.Text(d, "id"))] = true
		if p := arm.Text(d, "identity", "principalId"); p != "" {
			principals[p] = true
		}
	}
	out := []string{}
	for _, d := range docs {
		typ, name := arm.Text(d, "type"), arm.Text(d, "name")
		short := typ[strings.LastIndexByte(typ, '/')+1:]
		belongs := func(to string) {
			if to == "" || !there[strings.ToLower(to)] {
				out = append(out, fmt.Sprintf("%s %s is no machine's", short, name))
			}
		}
		switch {
		case strings.EqualFold(typ, "Microsoft.Network/networkInterfaces"):
			belongs(arm.Text(d, "properties", "virtualMachine", "id"))
		case strings.EqualFold(typ, "Microsoft.Compute/disks"):
			belongs(arm.Text(d, "managedBy"))
		case strings.EqualFold(typ, "Microsoft.Authorization/roleAssignments"):
			if p := arm.Text(d, "properties", "principalId"); !principals[p] {
				out = append(out, fmt.Sprintf("%s %s is of principal %s, which is gone", short, name, p))
			}
		case strings.EqualFold(typ, vmType+"/extensions") && arm.Text(d, "properties", "provisioningState") == arm.Failed:
			out = append(out, fmt.Sprintf("%s %s has failed", short, name))
		}
	}
	slices.Sort(out)
	return out
}
