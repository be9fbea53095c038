package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// ErrNotReady is wrapped by a reference to something that is not deployed yet.
var ErrNotReady = errors.New("not deployed yet")

// Scope is what expressions see.
type Scope struct {
	Parameters    map[string]any // their values
	Variables     map[string]any // as they are written; evaluated when they are asked for
	Subscription  map[string]any
	ResourceGroup map[string]any
	Deployment    map[string]any
	// Reference gives the properties of a resource, by id or by its name in the template, or all of it; nil: references are not allowed here.
	Reference func(id string, full bool) (any, error)
	// ResourceID makes the id of a resource: subscription and group may be empty, for the deployment's own.
	ResourceID func(subscription, group, typ string, names []string) (string, error)

	functions map[string]function
	copies    []copied
	busy      []string // variables that are being evaluated
	written   int      // how much text was made
}

// copied is a loop that is being unrolled.
type copied struct {
	name string
	at   int
}

// maxWritten bounds what one evaluation may make: a template of 4 MB is the service's own limit.
const maxWritten = 16 << 20

// Loop gives the scope of one turn of a loop.
func (s *Scope) Loop(name string, at int) *Scope {
	inner := *s
	inner.copies = append(slices.Clone(s.copies), copied{name, at})
	return &inner
}

// Eval evaluates every expression within a JSON value.
func (s *Scope) Eval(v any) (any, error) {
	switch x := v.(type) {
	case string:
		return s.text(x)
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

// object evaluates an object, and its copy loops: a property "copy" that is a list of {name, count, input}.
func (s *Scope) object(x map[string]any) (any, error) {
	out := make(map[string]any, len(x))
	for k, v := range x {
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
			key = fmt.Sprint(e)
		}
		e, err := s.Eval(v)
		if err != nil {
			return nil, err
		}
		out[key] = e
	}
	return out, nil
}

func isLoop(list []any) bool {
	for _, l := range list {
		m, ok := l.(map[string]any)
		if !ok || m["input"] == nil || m["count"] == nil {
			return false
		}
	}
	return len(list) > 0
}

func (s *Scope) loop(m map[string]any) (string, []any, error) {
	name, _ := m["name"].(string)
	n, err := s.Count(m["count"])
	if err != nil {
		return "", nil, err
	}
	list := make([]any, 0, n)
	for i := range n {
		e, err := s.Loop(name, i).Eval(m["input"])
		if err != nil {
			return "", nil, err
		}
		list = append(list, e)
	}
	return name, list, nil
}

// MaxCopies is how often a loop may turn (learn.microsoft.com "Resource iteration in ARM templates").
const MaxCopies = 800

// Count evaluates how often a loop turns.
func (s *Scope) Count(v any) (int, error) {
	e, err := s.Eval(v)
	if err != nil {
		return 0, err
	}
	n, ok := whole(e)
	if !ok || n < 0 || n > MaxCopies {
		return 0, errorf("The template copy count '%v' is not valid: it must be a whole number of 0 to %d. Please see https://aka.ms/arm-copy for usage details.", e, MaxCopies)
	}
	return int(n), nil
}

func (s *Scope) text(t string) (any, error) {
	if !IsExpression(t) {
		if strings.HasPrefix(t, "[[") {
			return t[1:], nil
		}
		return t, nil
	}
	n, err := parse(t)
	if err != nil {
		return nil, err
	}
	return s.eval(n)
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
		return nil, errorf("The language expression property '%s' can't be evaluated: the value is no object.", name)
	}
	if v, there := m[name]; there {
		return v, nil
	}
	var known []string
	for k, v := range m {
		if strings.EqualFold(k, name) {
			return v, nil
		}
		known = append(known, k)
	}
	slices.Sort(known)
	return nil, errorf("The language expression property '%s' doesn't exist, available properties are '%s'.", name, strings.Join(known, ", "))
}

func element(of, at any) (any, error) {
	if name, ok := at.(string); ok {
		return property(of, name)
	}
	i, ok := whole(at)
	list, isList := of.([]any)
	switch {
	case !ok || !isList:
		return nil, errorf("The language expression property '%v' can't be evaluated: an array and a whole number are expected.", at)
	case i < 0 || i >= int64(len(list)):
		return nil, errorf("The language expression property array index '%d' is out of bounds.", i)
	}
	return list[i], nil
}

// whole reads a whole number, as templates and JSON have it.
func whole(v any) (int64, bool) {
	switch x := v.(type) {
	case int64:
		return x, true
	case int:
		return int64(x), true
	case float64:
		if x == math.Trunc(x) && math.Abs(x) < 1<<53 {
			return int64(x), true
		}
	case json.Number:
		n, err := x.Int64()
		return n, err == nil
	}
	return 0, false
}

func (s *Scope) call(c call) (any, error) {
	f, known := s.function(c.name)
	if !known {
		return nil, errorf("The template function '%s' is not valid. Please see https://aka.ms/arm-functions for usage details.", c.name)
	}
	if len(c.args) < f.least || f.most >= 0 && len(c.args) > f.most {
		return nil, errorf("Unable to evaluate template language function '%s': function requires %s while '%d' argument(s) were provided. Please see https://aka.ms/arm-functions for usage details.",
			c.name, f.takes(), len(c.args))
	}
	if f.lazy != nil {
		return f.lazy(s, c.args)
	}
	args := make([]any, len(c.args))
	for i, a := range c.args {
		var err error
		if args[i], err = s.eval(a); err != nil {
			return nil, err
		}
	}
	v, err := f.do(s, args)
	if err != nil {
		return nil, err
	}
	if t, ok := v.(string); ok {
		if s.written += len(t); s.written > maxWritten {
			return nil, errorf("The template language expression evaluation made more than '%d' characters.", maxWritten)
		}
	}
	return v, nil
}

// Variable evaluates a variable.
func (s *Scope) Variable(name string) (any, error) {
	for k, v := range s.Variables {
		if !strings.EqualFold(k, name) {
			continue
		}
		if slices.Contains(s.busy, strings.ToLower(name)) {
			return nil, errorf("The template variable '%s' is not valid: circular dependency of variables %s.", name, strings.Join(append(s.busy, name), " → "))
		}
		inner := *s
		inner.busy, inner.Reference = append(slices.Clone(s.busy), strings.ToLower(name)), nil
		return inner.Eval(v)
	}
	if loops, ok := s.Variables["copy"].([]any); ok {
		for _, l := range loops {
			if m, ok := l.(map[string]any); ok && strings.EqualFold(fmt.Sprint(m["name"]), name) {
				_, list, err := s.loop(m)
				return list, err
			}
		}
	}
	return nil, errorf("The template variable '%s' is not found. Please see https://aka.ms/arm-functions/#variables for usage details.", name)
}

// Check looks whether every expression within a value can be read: functions, parameters and variables that are named by a string must exist.
func (s *Scope) Check(v any) error {
	switch x := v.(type) {
	case string:
		if !IsExpression(x) {
			return nil
		}
		n, err := parse(x)
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
		if _, known := s.function(x.name); !known {
			return errorf("The template function '%s' is not valid. Please see https://aka.ms/arm-functions for usage details.", x.name)
		}
		if l, ok := first(x.args).(literal); ok {
			name := fmt.Sprint(l.value)
			switch strings.ToLower(x.name) {
			case "parameters":
				if _, err := parameter(s, name); err != nil {
					return err
				}
			case "variables":
				if !s.hasVariable(name) {
					_, err := s.Variable(name)
					return err
				}
			}
		}
		for _, a := range x.args {
			if err := s.checkNode(a); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Scope) hasVariable(name string) bool {
	for k := range s.Variables {
		if strings.EqualFold(k, name) {
			return true
		}
	}
	return false
}

func first(args []node) node {
	if len(args) == 0 {
		return nil
	}
	return args[0]
}
