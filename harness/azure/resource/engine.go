// Package resource is the engine: it answers calls on resources by a table of types. What a type does beside being stored is in its row, as data or as a
// hook that gets a transaction. It knows no provider's types, no tokens and no budgets: who may call, and when, was decided before. What
// is to go wrong on purpose it is told when it asks (Injector).
package resource

import (
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/schema"
	"drydock.dev/drydock/harness/azure/state"
)

// Options are what an engine says of itself.
type Options struct {
	Region       string // of resources that name none
	Tenant       string
	Subscription string // the one that is listed; any other exists as well
	Page         int    // resources a page
	Inject       Injector
	Gate         Gate
	Namespaces   []string      // that Azure has, as it writes them; those of the types are among them
	Regions      []string      // there are, beside Region; none: any
	Models       *schema.Table // what clients send; nil: it is stored as it is
	// Versions are the api-versions of a namespace, the newest first: of a newer one the models know nothing.
	Versions func(namespace string) []string
}

// Engine answers calls on resources of the types it was given.
type Engine struct {
	options Options
	store   *state.Store
	types   map[string]*Type   // by name in lower case
	inside  map[string][]*Type // by the name of the type whose documents hold them
	loose   []looseRef
	spaces  map[string]bool // namespaces in lower case
}

// looseRef is a loose reference of a type's.
type looseRef struct {
	typ *Type
	ref Ref
}

// New makes one of a table of types.
func New(o Options, s *state.Store, types []*Type) *Engine {
	e := &Engine{options: o, store: s, types: map[string]*Type{}, inside: map[string][]*Type{}, spaces: map[string]bool{}}
	for _, n := range o.Namespaces {
		e.spaces[strings.ToLower(n)] = true
	}
	for _, t := range types {
		name := strings.ToLower(t.Name)
		if space, _, ok := strings.Cut(name, "/"); ok && strings.Contains(space, ".") {
			e.spaces[space] = true
		}
		e.types[name] = t
		for _, r := range t.Refs {
			if r.Loose {
				e.loose = append(e.loose, looseRef{t, r})
			}
		}
		if t.Inside != "" {
			holder := name[:strings.LastIndexByte(name, '/')]
			e.inside[holder] = append(e.inside[holder], t)
		}
	}
	s.Perform(func(tx *state.Tx, target arm.ID, w state.Work) *arm.Error { return e.tx(tx).perform(target, w) })
	return e
}

// typeOf is the type of a resource; nil: the twin has none of that name.
func (e *Engine) typeOf(id arm.ID) *Type {
	var buf [128]byte
	return e.types[string(id.AppendKind(buf[:0]))]
}
