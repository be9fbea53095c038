package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// world is what calls are given, in the order in which resources are made. See fixtures/arm/bodies.yaml.
type world struct {
	Names     map[string]any `yaml:"names"` // of path and query parameters; a mapping: what a list tells
	Resources []struct {
		Type  string `yaml:"type"`
		Put   any    `yaml:"put"`
		Patch any    `yaml:"patch"`
	} `yaml:"resources"`
	Posts map[string]any            `yaml:"posts"` // by type and action
	Own   map[string]map[string]any `yaml:"own"`   // parameters, and body, of single operations
	Late  []string                  `yaml:"late"`  // operations after which a resource is not what the others need

	During map[string]string `yaml:"during"` // operation -> the one that must go on meanwhile
}

func readWorld(file, subscription string) (*world, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var w world
	d := yaml.NewDecoder(strings.NewReader(strings.NewReplacer("${S}", "/subscriptions/"+subscription, "${subscription}", subscription).Replace(string(raw))))
	d.KnownFields(true)
	if err := d.Decode(&w); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &w, nil
}

// rank is a type's place in the order; what is not in the list comes after it.
func (w *world) rank(kind string) int {
	best, length := len(w.Resources), 0
	for i, r := range w.Resources {
		if kind == r.Type || strings.HasPrefix(kind, r.Type+"/") {
			if len(r.Type) > length {
				best, length = i, len(r.Type)
			}
		}
	}
	return best
}

// order is everything made twice (a create, an update), everything read, changed and acted upon, and everything deleted twice, the last made first.
func (w *world) order(all []operation) []operation {
	var made, used, late, gone []operation
	for _, o := range all {
		switch {
		case o.verb == "PUT":
			made = append(made, o)
		case o.verb == "DELETE":
			gone = append(gone, o)
		case slices.Contains(w.Late, o.name()):
			late = append(late, o)
		default:
			used = append(used, o)
		}
	}
	verbs := []string{"GET", "HEAD", "PATCH", "POST"}
	up := func(a, b operation) int {
		if d := w.rank(a.kind()) - w.rank(b.kind()); d != 0 {
			return d
		}
		return slices.Index(verbs, a.verb) - slices.Index(verbs, b.verb)
	}
	slices.SortStableFunc(made, up)
	slices.SortStableFunc(used, up)
	slices.SortStableFunc(late, func(a, b operation) int { return slices.Index(w.Late, a.name()) - slices.Index(w.Late, b.name()) })
	slices.SortStableFunc(gone, func(a, b operation) int { return up(b, a) })
	var out []operation
	for _, list := range [][]operation{twice(made), used, late, twice(gone)} {
		out = append(out, list...)
	}
	return out
}

func twice(list []operation) []operation {
	var out []operation
	for _, o := range list {
		out = append(out, o)
		o.again = true
		out = append(out, o)
	}
	return out
}

// body is what a call sends, as JSON.
func (w *world) body(o operation) ([]byte, error) {
	var body any = map[string]any{"location": w.Names["location"], "tags": map[string]any{"a": "b"}, "properties": map[string]any{}}
	kind := o.kind()
	switch o.verb {
	case "PATCH":
		body = map[string]any{"tags": map[string]any{"a": "c"}}
	case "POST":
		body = map[string]any{}
		if b := w.Posts[kind]; b != nil {
			body = b
		}
	}
	for _, r := range w.Resources {
		switch {
		case r.Type != kind:
		case o.verb == "PUT" && r.Put != nil:
			body = r.Put
		case o.verb == "PATCH" && r.Patch != nil:
			body = r.Patch
		}
	}
	if b, ok := w.Own[o.name()]["body"]; ok {
		body = b
	}
	return json.Marshal(body)
}

// value is what a parameter is given; not given: its own name.
func (w *world) value(o operation, name string) (value any, given bool) {
	if v, ok := w.Own[o.name()][name]; ok {
		return v, true
	}
	if v, ok := w.Names[name]; ok {
		return v, true
	}
	return strings.ToLower(name), false
}
