package oracle

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/deploy"
	"drydock.dev/drydock/harness/azure/provider"
	"drydock.dev/drydock/harness/azure/resource"
	"drydock.dev/drydock/harness/azure/state"
)

// Types are those of the twin.
func Types() []*resource.Type { return slices.Concat(provider.Types(nil), deploy.Types(nil, nil)) }

// Engine is one of the twin's types, with nothing in it.
func Engine() (*resource.Engine, error) {
	store, err := state.New(arm.NewVirtualClock(time.Unix(0, 0)), 1, nil)
	if err != nil {
		return nil, fmt.Errorf("a twin to hold against the SDK: %w", err)
	}
	return resource.New(resource.Options{Region: "westeurope", Namespaces: provider.Namespaces()}, store, Types()), nil
}

// Twin is the whole table, held against the twin.
func Twin() ([]Held, error) {
	table, err := Table()
	if err != nil {
		return nil, err
	}
	e, err := Engine()
	if err != nil {
		return nil, err
	}
	return Hold(e, table), nil
}

// Held is an operation of the SDK beside what the twin says of it.
type Held struct {
	Operation
	Claim *resource.Claim // nil: the twin does not answer it
}

// Hold asks an engine about every operation of the table.
func Hold(e *resource.Engine, table []Operation) []Held {
	out := make([]Held, 0, len(table))
	for _, o := range table {
		h := Held{Operation: o}
		if c, ok := e.Claim(o.Verb, o.Call); ok {
			h.Claim = &c
		}
		out = append(out, h)
	}
	return out
}

// Wrong says what the SDK would not take of what the twin claims; empty: nothing.
func (h Held) Wrong() []string {
	if h.Claim == nil {
		return nil
	}
	var out []string
	for _, code := range h.Claim.Codes {
		if !h.Takes(code) {
			out = append(out, fmt.Sprintf("%s %s: %d, and %s takes %v", h.Verb, h.Path, code, h.Method, h.Codes))
		}
	}
	if !h.Claim.Lasting {
		return out
	}
	via, _, _ := strings.Cut(strings.TrimPrefix(h.Form, "lro:"), "+")
	switch {
	case !h.Lasting():
		out = append(out, fmt.Sprintf("%s %s goes on after the answer, and %s does not ask again", h.Verb, h.Path, h.Method))
	case via == "location" && h.Claim.Form == state.FormAsync, via == "azure-async-operation" && h.Claim.Form == state.FormLocation:
		out = append(out, fmt.Sprintf("%s %s tells of its operation by %s alone, and %s looks for its end by %s", h.Verb, h.Path, h.Claim.Form, h.Method, via))
	}
	return out
}

// Unheard are the ways to write a type that the twin takes and no operation of the table knows, as VERB Type.
func Unheard(e *resource.Engine, types []*resource.Type, held []Held) []string {
	heard := map[string]bool{}
	for _, h := range held {
		if h.Claim != nil {
			heard[strings.ToLower(h.Verb+" "+h.Claim.Type)] = true
		}
	}
	var out []string
	for _, t := range types {
		for _, verb := range []string{http.MethodPut, http.MethodPatch, http.MethodDelete} {
			if _, claimed := e.Claim(verb, example(t.Name)); claimed && !heard[strings.ToLower(verb+" "+t.Name)] {
				out = append(out, verb+" "+t.Name)
			}
		}
	}
	return out
}

// example is the path of a resource of a type.
func example(typ string) string {
	parts := strings.Split(typ, "/")
	path := "/subscriptions/" + subscription + "/resourceGroups/g"
	if strings.Contains(parts[0], ".") {
		path, parts = path+"/providers/"+parts[0], parts[1:]
	}
	for _, p := range parts {
		path += "/" + p + "/x"
	}
	return path
}

// Beyond are the types and actions, as Type or Type/action, that no operation of the table reaches.
func Beyond(types []*resource.Type, held []Held) []string {
	reached := map[string]bool{}
	for _, h := range held {
		if h.Claim != nil {
			reached[strings.ToLower(h.Claim.Type)] = true
			reached[strings.ToLower(h.Claim.Type+"/"+h.Claim.Action)] = true
		}
	}
	var out []string
	for _, t := range types {
		if !reached[strings.ToLower(t.Name)] {
			out = append(out, t.Name)
		}
		for action := range t.Actions {
			if name := t.Name + "/" + action; !reached[strings.ToLower(name)] {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return out
}
