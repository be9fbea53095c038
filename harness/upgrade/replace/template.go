package replace

import (
	_ "embed" // the template of a machine
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/cluster"
)

// machineTemplate makes an interface, a machine that has it and an extension that says whether it came up. It is as the old machine was, so far as a
// Resource Manager tells: what no read gives back (customData, keys, the image of an own gallery) is for a template of the user's.
//
//go:embed machine.json
var machineTemplate []byte

// template makes a machine.
type template struct {
	body     any
	declared map[string]bool // parameters that it declares
	needs    []string        // those of them that have no default
	own      map[string]any  // values of the user's
}

// document is as much of a template as is read here.
type document struct {
	Parameters map[string]struct {
		DefaultValue any `json:"defaultValue"`
	} `json:"parameters"`
}

// readTemplate reads a template, or takes the one there is, and the file of parameters beside it; what is wrong with them is a UsageError.
func readTemplate(file, parameters string) (*template, error) {
	raw := machineTemplate
	if file != "" {
		var err error
		if raw, err = os.ReadFile(file); err != nil {
			return nil, cluster.Usagef("template: %w", err)
		}
	}
	t := &template{declared: map[string]bool{}, own: map[string]any{}}
	var d document
	if err := json.Unmarshal(raw, &t.body); err != nil {
		return nil, cluster.Usagef("template %s: %w", file, err)
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, cluster.Usagef("template %s: %w", file, err)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Parameters)) {
		if t.declared[name] = true; d.Parameters[name].DefaultValue == nil {
			t.needs = append(t.needs, name)
		}
	}
	return t, t.readParameters(parameters)
}

// readParameters reads a file as the tools of Azure write it: {"parameters": {NAME: {"value": …}}}, or without the outer object.
func (t *template) readParameters(file string) error {
	if file == "" {
		return t.complete("")
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return cluster.Usagef("parameters: %w", err)
	}
	type values map[string]struct {
		Value any `json:"value"`
	}
	var outer struct{ Parameters values }
	var inner values
	if err := json.Unmarshal(raw, &outer); err != nil {
		return cluster.Usagef("parameters %s: %w", file, err)
	}
	if inner = outer.Parameters; inner == nil {
		if err := json.Unmarshal(raw, &inner); err != nil {
			return cluster.Usagef("parameters %s: %w", file, err)
		}
	}
	for name, v := range inner {
		switch {
		case !t.declared[name]:
			return cluster.Usagef("parameters %s: the template has no parameter %q", file, name)
		case slices.Contains(known(), name) && !slices.Contains(shared(), name):
			return cluster.Usagef("parameters %s: %q is another for each machine, and Drydock gives it; of what it gives, one value may be all machines' of %s", file, name, strings.Join(shared(), ", "))
		}
		t.own[name] = v.Value
	}
	return t.complete(file)
}

// complete says which parameters nobody gives.
func (t *template) complete(file string) error {
	var open []string
	for _, name := range t.needs {
		if _, own := t.own[name]; !own && !slices.Contains(known(), name) {
			open = append(open, name)
		}
	}
	if len(open) > 0 {
		return cluster.Usagef("template: nobody gives %s: Drydock gives %s, and the rest comes from the file of parameters (%q)", strings.Join(open, ", "), strings.Join(known(), ", "), file)
	}
	return nil
}

// known are the parameters that are given for each machine, where the template declares them.
func known() []string { return slices.Sorted(maps.Keys(record{}.values("", ""))) }

// shared are those of them of which one value may be that of all machines.
func shared() []string { return []string{"availabilitySet", "location", "size", "subnet"} }

// parameters are those of a machine at a version.
func (t *template) parameters(r record, version, osDisk string) map[string]any {
	out := maps.Clone(t.own)
	for name, v := range r.values(version, osDisk) {
		if _, own := out[name]; t.declared[name] && !own {
			out[name] = v
		}
	}
	return out
}
