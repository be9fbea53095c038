package template

import (
	"errors"
	"maps"
	"slices"
	"strings"
)

// Check looks whether every expression within a value can be read: functions, parameters and variables that are named by a string must exist.
func (s *Scope) Check(v any) error {
	switch x := v.(type) {
	case string:
		if !IsExpression(x) {
			return nil
		}
		n, err := s.parsed(x)
		if err != nil {
			return err
		}
		return s.checkNode(n)
	case []any:
		for _, e := range x {
			if err := s.Check(e); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(x)) {
			if err := s.Check(x[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Scope) checkNode(n node) error {
	switch x := n.(type) {
	case member:
		return s.checkNode(x.of)
	case index:
		return errors.Join(s.checkNode(x.of), s.checkNode(x.at))
	case call:
		_, known, err := s.function(x.name)
		if err != nil {
			return err
		}
		if !known {
			return unknown(x.name)
		}
		if err := s.checkName(x); err != nil {
			return err
		}
		for _, a := range x.args {
			if err := s.checkNode(a); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkName looks whether a parameter or a variable that is named by a string is there.
func (s *Scope) checkName(c call) error {
	if len(c.args) == 0 {
		return nil
	}
	l, ok := c.args[0].(literal)
	if !ok {
		return nil
	}
	name := text(l.value)
	switch strings.ToLower(c.name) {
	case "parameters":
		if _, there := lookup(s.Parameters, name); !there {
			_, err := parameter(s, name)
			return err
		}
	case "variables":
		if of, _, _ := strings.Cut(name, "."); !s.hasVariable(name) && !s.hasVariable(of) {
			_, err := s.Variable(name)
			return err
		}
	}
	return nil
}
