package template

import (
	"errors"
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
	At                     Source
}

// Resource is one of a template, as it is written.
type Resource struct {
	Symbol string // in templates that have them
	Source map[string]any
	At     Source
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

// parseError is a mistake of what stands somewhere, or of what is missing there.
func parseError(at Source, path, format string, args ...any) error {
	p := at.Place()
	return &Error{Message: fmt.Sprintf("%s Path '%s', line %d, position %d.", fmt.Sprintf(format, args...), path, p.Line, p.Column), Parse: true, At: p}
}

// TooMany is the service's error of a limit: of parameters, variables, resources or outputs.
func TooMany(what string, limit, n int) error {
	if n <= limit {
		return nil
	}
	return errorf("The number of template %s limit exceeded. Limit: '%d' and actual: '%d'. Please see https://aka.ms/arm-deployment-limits for usage details.", what, limit, n)
}

// Parse reads a template's document. How it was written tells where its mistakes are; the zero source: it is not known.
func Parse(doc map[string]any, at Source) (*Template, error) {
	if !at.Exists() {
		at = SourceOf(doc)
	}
	t := &Template{At: at}
	known := []string{"$schema", "languageVersion", "contentVersion", "apiProfile", "metadata", "definitions", "parameters", "variables", "functions", "resources", "outputs"}
	for _, k := range slices.Sorted(maps.Keys(doc)) {
		if !slices.ContainsFunc(known, func(n string) bool { return strings.EqualFold(n, k) }) {
			return nil, parseError(at.At(k), k, "Could not find member '%s' on object of type 'Template'.", k)
		}
	}
	for _, r := range []struct {
		name string
		to   *string
	}{{"$schema", &t.Schema}, {"contentVersion", &t.ContentVersion}} {
		v, there := lookup(doc, r.name)
		s, ok := v.(string)
		if !there || v == nil || s == "" && ok {
			return nil, parseError(at, "", "Required property '%s' not found in JSON.", r.name)
		}
		if !ok {
			return nil, parseError(at.At(r.name), r.name, "Error reading string. Unexpected token.")
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
			return nil, parseError(at.At(r.name), r.name, "Unexpected initial token '%s' when populating object. Expected JSON object.", kind(v))
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
			return nil, parseError(at.At("functions"), "functions", "Unexpected initial token '%s' when populating object. Expected JSON array.", kind(v))
		}
	}
	return t, t.readResources(doc)
}

// readResources reads a list, or an object of symbols.
func (t *Template) readResources(doc map[string]any) error {
	v, there := lookup(doc, "resources")
	at := t.At.At("resources")
	switch x := v.(type) {
	case []any:
		for i, r := range x {
			source, ok := r.(map[string]any)
			if !ok {
				return parseError(at.At(i), fmt.Sprintf("resources[%d]", i), "Unexpected initial token '%s' when populating object. Expected JSON object.", kind(r))
			}
			t.Resources = append(t.Resources, Resource{Source: source, At: at.At(i)})
		}
	case map[string]any:
		version, _ := lookup(doc, "languageVersion")
		if !symbolic(text(version)) {
			return parseError(at, "resources", "Unexpected initial token 'StartObject' when populating object. Expected JSON array.")
		}
		t.Symbolic = true
		for _, symbol := range slices.Sorted(maps.Keys(x)) {
			source, ok := x[symbol].(map[string]any)
			if !ok {
				return parseError(at.At(symbol), "resources."+symbol, "Unexpected initial token '%s' when populating object. Expected JSON object.", kind(x[symbol]))
			}
			t.Resources = append(t.Resources, Resource{Symbol: symbol, Source: source, At: at.At(symbol)})
		}
	default:
		if !there || v == nil {
			return parseError(t.At, "", "Required property 'resources' not found in JSON.")
		}
		return parseError(at, "resources", "Unexpected initial token '%s' when populating object. Expected JSON array.", kind(v))
	}
	for i, r := range t.Resources {
		for _, k := range []string{"type", "name"} {
			if v, ok := lookup(r.Source, k); !ok || v == nil {
				path := fmt.Sprintf("resources[%d]", i)
				if t.Symbolic {
					path = "resources." + r.Symbol
				}
				return parseError(r.At, path, "Required property '%s' not found in JSON.", k)
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
		if _, err := s.Variable(name); err != nil && !errors.Is(err, ErrNotReady) {
			return err
		}
	}
	return nil
}
