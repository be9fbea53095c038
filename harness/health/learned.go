package health

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"drydock.dev/drydock/fixtures"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
)

// change is what a clean upgrade changes.
type change fixtures.Change

// anything as a learned value allows every value: what differs from cluster to cluster.
const anything = "*"

// learned finds what was learned of the way from one version to another: of the pair itself, or of the hops that lead there. None is no error.
func learned(from, to string) ([]change, error) {
	all, err := fixtures.Changes()
	if err != nil {
		return nil, err
	}
	return way(all, from, to), nil
}

func way(all []fixtures.Change, from, to string) []change {
	for _, c := range all {
		if c.From == from && c.To == to {
			return []change{change(c)}
		}
	}
	for i, c := range all {
		if c.From != from {
			continue
		}
		if rest := way(slices.Delete(slices.Clone(all), i, i+1), c.To, to); rest != nil {
			return append([]change{change(c)}, rest...)
		}
	}
	return nil
}

const (
	aControlPlane = "{control-plane}"
	aWorker       = "{worker}"
)

// applyAll makes of objects what the hops of an upgrade make of them, one after another.
func applyAll(hops []change, wanted, is fields, t cluster.Topology) {
	for i, c := range hops {
		var reached []string // by whoever has made this hop: the end of it, or of a later one
		for _, later := range hops[i:] {
			reached = append(reached, fmt.Sprintf("%q", later.To))
		}
		c.apply(wanted, is, t, reached)
	}
}

// machinesOf lists the machines that a row stands for: none of which the upgrade has left behind.
func (c change) machinesOf(row string, is fields, t cluster.Topology, reached []string) (placeholder string, machines []string) {
	switch {
	case strings.Contains(row, aControlPlane):
		placeholder, machines = aControlPlane, t.ControlPlaneMachines()
	case strings.Contains(row, aWorker):
		placeholder, machines = aWorker, t.WorkerMachines()
	default:
		return "", []string{""}
	}
	return placeholder, slices.DeleteFunc(slices.Clone(machines), func(m string) bool {
		return !slices.Contains(reached, is["Node "+m][nodeKubelet])
	})
}

// apply makes of objects what the upgrade makes of them. is tells which machines it has brought to the version, and what a field is that may be anything.
func (c change) apply(wanted, is fields, t cluster.Topology, reached []string) {
	each := func(row string, do func(object string, machine func(string) string)) {
		placeholder, machines := c.machinesOf(row, is, t, reached)
		for _, m := range machines {
			machine := func(s string) string { return s }
			if placeholder != "" {
				machine = func(s string) string { return strings.ReplaceAll(s, placeholder, m) }
			}
			do(machine(row), machine)
		}
	}
	put := func(object string, values map[string]string, machine func(string) string) {
		for f, v := range values {
			f, v = machine(f), machine(v)
			if v == anything {
				v = is[object][f]
			}
			if v == "" {
				delete(wanted[object], f)
				continue
			}
			wanted[object][f] = v
		}
	}
	for row, values := range c.Changed {
		each(row, func(object string, machine func(string) string) {
			if wanted[object] != nil { // what is gone is not made again by a change
				put(object, values, machine)
			}
		})
	}
	for row, values := range c.New {
		each(row, func(object string, machine func(string) string) {
			wanted[object] = map[string]string{}
			put(object, values, machine)
		})
	}
	for _, row := range c.Gone {
		each(row, func(object string, _ func(string) string) { delete(wanted, object) })
	}
}

// Learn makes of a clean run what its upgrade has changed, as a file of fixtures/objects. The error says why nothing can be learned of it.
func Learn(r *Record) ([]byte, error) {
	if _, why := r.objectsRead(); why != "" {
		return nil, errors.New(why)
	}
	before, after := r.Before.Objects, r.After.Objects
	if why := unread(before, after); why != "" {
		return nil, errors.New(why)
	}
	if before.Version == after.Version {
		return nil, cluster.Usagef("the run has upgraded nothing: its API server was %s before and after", before.Version)
	}
	c := change{From: before.Version, To: after.Version, Changed: fields{}, New: fields{}}
	for _, d := range compare(before.Items, after.Items) {
		if err := c.learn(d, after, r.Topology); err != nil {
			return nil, err
		}
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "# What a clean upgrade from %s to %s changes in a cluster's objects: learned by `drydock report DIR --learn-objects FILE`, see fixtures.Change.\n", c.From, c.To)
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := errors.Join(e.Encode(fixtures.Change(c)), e.Close()); err != nil {
		return nil, fmt.Errorf("learn: %w", err)
	}
	return out.Bytes(), nil
}

// learn adds a difference, in terms that hold for every number of machines.
func (c *change) learn(d difference, after *observe.Objects, t cluster.Topology) error {
	general := func(s string) string {
		for placeholder, machines := range map[string][]string{aControlPlane: t.ControlPlaneMachines(), aWorker: t.WorkerMachines()} {
			for _, m := range machines {
				s = regexp.MustCompile(`\b`+regexp.QuoteMeta(m)+`\b`).ReplaceAllLiteralString(s, placeholder)
			}
		}
		return s
	}
	object := general(d.object)
	switch {
	case d.field == "" && d.is == "":
		if !slices.Contains(c.Gone, object) {
			c.Gone = append(c.Gone, object)
		}
		return nil
	case d.field == "":
		values := map[string]string{}
		for f, v := range after.Items[d.object] {
			values[general(f)] = general(v)
		}
		if known := c.New[object]; known != nil && !maps.Equal(known, values) {
			return fmt.Errorf("learn: %s is not the same on every machine", object)
		}
		c.New[object] = values
		return nil
	}
	field, value := general(d.field), general(d.is)
	if known, there := c.Changed[object][field]; there && known != value {
		return fmt.Errorf("learn: %s: %s is %s on one machine and %s on another", object, field, known, value)
	}
	if c.Changed[object] == nil {
		c.Changed[object] = map[string]string{}
	}
	c.Changed[object][field] = value
	return nil
}
