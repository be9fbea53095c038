package template

import (
	"maps"
	"slices"
	"strings"
)

// Refers lists what the functions of a resource's runtime state within a value name, as far as that is known before anything is deployed: the
// resource waits for those (learn.microsoft.com "reference", Implicit dependency). Of an if, only what will be evaluated counts.
func (s *Scope) Refers(v any) []string {
	early := *s
	early.Reference, early.References, early.List = nil, nil, nil
	var out []string
	early.refers(v, func(name string) {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	})
	return out
}

func (s *Scope) refers(v any, found func(string)) {
	switch x := v.(type) {
	case string:
		if !IsExpression(x) {
			return
		}
		if n, err := s.parsed(x); err == nil {
			s.refersNode(n, found)
		}
	case []any:
		for _, e := range x {
			s.refers(e, found)
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(x)) {
			s.refers(x[k], found)
		}
	}
}

func (s *Scope) refersNode(n node, found func(string)) {
	switch x := n.(type) {
	case member:
		s.refersNode(x.of, found)
	case index:
		s.refersNode(x.of, found)
		s.refersNode(x.at, found)
	case call:
		name := strings.ToLower(x.name)
		if name == "if" && len(x.args) == 3 {
			if c, err := s.eval(x.args[0]); err == nil {
				taken := x.args[2]
				if c == true {
					taken = x.args[1]
				}
				s.refersNode(taken, found)
				return
			}
		}
		if (name == "reference" || name == "references" || strings.HasPrefix(name, "list")) && len(x.args) > 0 {
			if v, err := s.eval(x.args[0]); err == nil {
				found(text(v))
			}
		}
		for _, a := range x.args {
			s.refersNode(a, found)
		}
	}
}
