package template

import (
	"errors"
	"maps"
	"slices"
	"strings"
)

// ErrNotReady is wrapped by a reference to something that is not deployed yet.
var ErrNotReady = errors.New("not deployed yet")

// Eval evaluates every expression within a JSON value. What it gives is the caller's own: nothing of it is part of a variable or a parameter.
func (s *Scope) Eval(v any) (any, error) {
	switch x := v.(type) {
	case string:
		e, err := s.text(x)
		if _, plain := e.(string); err != nil || plain || s.place != anywhere { // variables share their parts: nobody changes them
			return e, err
		}
		if err := s.charge(e, true); err != nil {
			return nil, err
		}
		return clone(e), nil
	case []any:
		out := make([]any, len(x))
		for i := range x {
			var err error
			if out[i], err = s.Eval(x[i]); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		return s.object(x)
	default:
		return v, nil
	}
}

// object evaluates an object, and its copy loops: a property "copy" that is a list of {name, count, input}. It goes by name, so that of several
// mistakes always the same is told.
func (s *Scope) object(x map[string]any) (any, error) {
	out := make(map[string]any, len(x))
	for _, k := range slices.Sorted(maps.Keys(x)) {
		v := x[k]
		if loops, ok := v.([]any); ok && k == "copy" && isLoop(loops) {
			for _, l := range loops {
				m, _ := l.(map[string]any)
				name, list, err := s.loop(m)
				if err != nil {
					return nil, err
				}
				out[name] = list
			}
			continue
		}
		key := k
		if IsExpression(k) {
			e, err := s.text(k)
			if err != nil {
				return nil, err
			}
			key = text(e)
		}
		e, err := s.Eval(v)
		if err != nil {
			return nil, err
		}
		out[key] = e
	}
	return out, nil
}

func (s *Scope) text(t string) (any, error) {
	if !IsExpression(t) {
		if strings.HasPrefix(t, "[[") {
			return t[1:], nil
		}
		return t, nil
	}
	n, err := s.parsed(t)
	if err != nil {
		return nil, err
	}
	return s.eval(n)
}

// parsed reads an expression; one that a loop brings again is not read again.
func (s *Scope) parsed(t string) (node, error) {
	if n, ok := s.shared().parsed[t]; ok {
		return n, nil
	}
	n, err := parse(t)
	if err == nil {
		s.state.parsed[t] = n
	}
	return n, err
}

func (s *Scope) eval(n node) (any, error) {
	switch x := n.(type) {
	case literal:
		return x.value, nil
	case member:
		of, err := s.eval(x.of)
		if err != nil {
			return nil, err
		}
		return property(of, x.name)
	case index:
		of, err := s.eval(x.of)
		if err != nil {
			return nil, err
		}
		at, err := s.eval(x.at)
		if err != nil {
			return nil, err
		}
		return element(of, at)
	case call:
		return s.call(x)
	default:
		return nil, errorf("The language expression is not valid.")
	}
}

func property(of any, name string) (any, error) {
	m, ok := of.(map[string]any)
	if !ok {
		return nil, errorf("The language expression property '%s' can't be evaluated, property name must be a string and the value an object, and there is a value of type '%s'. Please see https://aka.ms/arm-functions for usage details.", name, kind(of))
	}
	if v, there := lookup(m, name); there {
		return v, nil
	}
	return nil, errorf("The language expression property '%s' doesn't exist, available properties are '%s'.", name, strings.Join(slices.Sorted(maps.Keys(m)), ", "))
}

func element(of, at any) (any, error) {
	if name, ok := at.(string); ok {
		return property(of, name)
	}
	i, ok := whole(at)
	list, isList := of.([]any)
	switch {
	case !ok || !isList:
		return nil, errorf("The language expression property '%s' can't be evaluated. An array and a whole number are expected.", text(at))
	case i < 0 || i >= int64(len(list)):
		return nil, errorf("The language expression property array index '%d' is out of bounds.", i)
	}
	return list[i], nil
}

func (s *Scope) call(c call) (any, error) {
	f, known, err := s.function(c.name)
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, unknown(c.name)
	}
	if err := s.step(); err != nil {
		return nil, err
	}
	if len(c.args) < f.least || f.most >= 0 && len(c.args) > f.most {
		return nil, errorf("Unable to evaluate template language function '%s': function requires %s while '%d' argument(s) were provided. Please see https://aka.ms/arm-functions/#%s for usage details.",
			c.name, f.takes(), len(c.args), strings.ToLower(c.name))
	}
	if f.lazy != nil {
		v, err := f.lazy(s, c.args)
		if err == nil {
			err = s.charge(v, false)
		}
		return v, err
	}
	args := make([]any, len(c.args))
	for i, a := range c.args {
		if args[i], err = s.eval(a); err != nil {
			return nil, err
		}
	}
	v, err := f.do(s, args)
	if err == nil {
		err = s.charge(v, false)
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// step notes that a function was called, or a lambda.
func (s *Scope) step() error {
	if s.state.calls++; s.state.calls > maxCalls {
		return errorf("The template language expressions of the template call more than '%d' functions. Please see https://aka.ms/arm-deployment-limits for usage details.", maxCalls)
	}
	return nil
}
