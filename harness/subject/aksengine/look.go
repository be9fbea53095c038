package aksengine

import (
	"encoding/json"
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
	a := After{Machines: []Machine{}, Nodes: s.Cluster.Nodes()}
	var resources []arm.Resource
	for _, raw := range s.Twin.State().Resources {
		var doc map[string]any
		if json.Unmarshal(raw, &doc) != nil {
			continue // a document of the twin's own making
		}
		resources = append(resources, arm.ReadResource(doc))
		if name, tags, is := machineOf(doc); is {
			a.Machines = append(a.Machines, Machine{Name: name, Pool: tags[provider.PoolTag], Version: provider.TaggedVersion(tags), State: arm.Text(doc, "properties", "provisioningState")})
		}
	}
	a.Residue = append([]string{}, arm.Astray(resources, nil)...)
	slices.SortFunc(a.Machines, func(x, y Machine) int { return strings.Compare(x.Name, y.Name) })
	return a
}
