package template

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Template is a template taken apart (learn.microsoft.com "Understand the structure and syntax of ARM templates").
type Template struct {
	Schema, ContentVersion string
	Symbolic               bool // resources have symbols: resources is an object of languageVersion 2.0
	Parameters, Variables  map[string]any
	Definitions, Outputs   map[string]any
	Functions              []any
	Resources              []Resource
}

// Resource is one of a template, as it is written.
type Resource struct {
	Symbol string // in templates that have them
	Source map[string]any
}

// Existing says that a resource is not deployed, only referred to.
func (r Resource) Existing() bool { b, _ := r.Source["existing"].(bool); return b }

// The limits of a template (learn.microsoft.com "ARM template best practices", Template limits).
const (
	MaxParameters = 256
	MaxVariables  = 256
	MaxResources  = 800
	MaxOutputs    = 64
)

func parseError(format string, args ...any) error {
	return &Error{Message: fmt.Sprintf(format, args...), Parse: true}
}

// TooMany is the service's error of a limit: of parameters, variables, resources or outputs.
func TooMany(what string, limit, n int) error {
	if n <= limit {
		return nil
	}
	return errorf("The number of template %s limit exceeded. Limit: '%d' and actual: '%d'. Please see https://aka.ms/arm-deployment-limits for usage details.", what, limit, n)
}

// Parse reads a template's document.
func Parse(doc map[string]any) (*Template, error) {
	t := &Template{}
	known := []string{"$schema", "languageVersion", "contentVersion", "apiProfile", "metadata", "definitions", "parameters", "variables", "functions", "resources", "outputs"}
	for _, k := range slices.Sorted(maps.Keys(doc)) {
		if !slices.ContainsFunc(known, func(n string) bool { return strings.EqualFold(n, k) }) {
			return nil, parseError("Could not find member '%s' on object of type 'Template'. Path '%s', line 1, position 1.", k, k)
		}
	}
	for _, r := range []struct {
		name string
		to   *string
	}{{"$schema", &t.Schema}, {"contentVersion", &t.ContentVersion}} {
		v, there := lookup(doc, r.name)
		s, ok := v.(string)
		if !there || v == nil || s == "" && ok {
			return nil, parseError("Required property '%s' not found in JSON. Path '', line 1, position 1.", r.name)
		}
		if !ok {
			return nil, parseError("Error reading string. Unexpected token. Path '%s', line 1, position 1.", r.name)
		}
		*r.to = s
	}
	for _, r := range []struct {
		name  string
		to    *map[string]any
		limit int
	}{{"parameters", &t.Parameters, MaxParameters}, {"variables", &t.Variables, MaxVariables}, {"definitions", &t.Definitions, 0}, {"outputs", &t.Outputs, MaxOutputs}} {
		v, _ := lookup(doc, r.name)
		m, ok := v.(map[string]any)
		if !ok && v != nil {
			return nil, parseError("Unexpected initial token '%s' when populating object. Expected JSON object. Path '%s', line 1, position 1.", kind(v), r.name)
		}
		if r.limit > 0 {
			if err := TooMany(r.name, r.limit, len(m)); err != nil {
				return nil, err
			}
		}
		*r.to = m
	}
	if v, _ := lookup(doc, "functions"); v != nil {
		var ok bool
		if t.Functions, ok = v.([]any); !ok {
			return nil, parseError("Unexpected initial token '%s' when populating object. Expected JSON array. Path 'functions', line 1, position 1.", kind(v))
		}
	}
	return t, t.readResources(doc)
}

// readResources reads a list, or an object of symbols.
func (t *Template) readResources(doc map[string]any) error {
	v, there := lookup(doc, "resources")
	switch x := v.(type) {
	case []any:
		for i, r := range x {
			source, ok := r.(map[string]any)
			if !ok {
				return parseError("Unexpected initial token '%s' when populating object. Expected JSON object. Path 'resources[%d]', line 1, position 1.", kind(r), i)
			}
			t.Resources = append(t.Resources, Resource{Source: source})
		}
	case map[string]any:
		version, _ := lookup(doc, "languageVersion")
		if !symbolic(text(version)) {
			return parseError("Unexpected initial token 'StartObject' when populating object. Expected JSON array. Path 'resources', line 1, position 1.")
		}
		t.Symbolic = true
		for _, symbol := range slices.Sorted(maps.Keys(x)) {
			source, ok := x[symbol].(map[string]any)
			if !ok {
				return parseError("Unexpected initial token '%s' when populating object. Expected JSON object. Path 'resources.%s', line 1, position 1.", kind(x[symbol]), symbol)
			}
			t.Resources = append(t.Resources, Resource{Symbol: symbol, Source: source})
		}
	default:
		if !there || v == nil {
			return parseError("Required property 'resources' not found in JSON. Path '', line 1, position 1.")
		}
		return parseError("Unexpected initial token '%s' when populating object. Expected JSON array. Path 'resources', line 1, position 1.", kind(v))
	}
	for _, r := range t.Resources {
		for _, k := range []string{"type", "name"} {
			if v, ok := lookup(r.Source, k); !ok || v == nil {
				return parseError("Required property '%s' not found in JSON. Path 'resources', line 1, position 1.", k)
			}
		}
	}
	return nil
}

// symbolic says whether a version of the language has symbols: 2.0, and Bicep's experiments before it.
func symbolic(version string) bool {
	return version == "2.0" || strings.HasPrefix(version, "1.9") || strings.HasPrefix(version, "1.1") || strings.HasPrefix(version, "2.")
}

// Bind gives a scope a template's parameters, variables and functions, and evaluates all of them: what is wrong is told before anything is made.
func (t *Template) Bind(s *Scope, given map[string]any) error {
	s.state = nil
	s.Variables, s.Functions = t.Variables, t.Functions
	if s.Variables == nil {
		s.Variables = map[string]any{}
	}
	if err := t.bindParameters(s, given); err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(s.Variables))
	loops, _ := s.Variables["copy"].([]any)
	for _, l := range loops {
		m, _ := l.(map[string]any)
		names = append(names, text(m["name"]))
	}
	for _, name := range names {
		if strings.EqualFold(name, "copy") {
			continue
		}
		if _, err := s.Variable(name); err != nil {
			return err
		}
	}
	return nil
}
