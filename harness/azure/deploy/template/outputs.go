package template

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Output is one of a template's outputs, evaluated.
type Output struct {
	Type   string
	Value  any
	Secure bool // its value is never told
}

// OutputError is a mistake of an output.
type OutputError struct {
	Name string
	Err  error
}

func (e *OutputError) Error() string {
	return fmt.Sprintf("The template output '%s' is not valid: %v.", e.Name, e.Err)
}

func (e *OutputError) Unwrap() error { return e.Err }

// Evaluated gives the outputs: those whose condition is false are left out, and a copy has one value for each turn
// (learn.microsoft.com "Outputs in ARM templates", "Output iteration in ARM templates").
func (t *Template) Evaluated(s *Scope) (map[string]Output, error) {
	out := map[string]Output{}
	for _, name := range slices.Sorted(maps.Keys(t.Outputs)) {
		declared, ok := t.Outputs[name].(map[string]any)
		if !ok {
			return nil, &OutputError{name, errorf("it is no object")}
		}
		v, skip, err := t.output(s, name, declared)
		if errors.Is(err, ErrNotReady) && t.Secure(declared) { // it is not told in any case
			err = nil
		}
		if err != nil {
			return nil, &OutputError{name, err}
		}
		if !skip {
			out[name] = Output{Type: t.TypeName(declared), Value: v, Secure: t.Secure(declared)}
		}
	}
	return out, nil
}

func (t *Template) output(s *Scope, name string, declared map[string]any) (v any, skip bool, err error) {
	own := *s
	s = &own
	s.At = t.At.At("outputs", name).Place()
	if c, has := lookup(declared, "condition"); has {
		on, err := s.Condition(c)
		if err != nil || !on {
			return nil, true, err
		}
	}
	if l, has := lookup(declared, "copy"); has {
		loop, _ := l.(map[string]any)
		n, err := s.Count(loop["count"])
		if err != nil {
			return nil, false, err
		}
		values := []any{}
		for i := range n {
			e, err := s.Loop("", i).Eval(loop["input"])
			if err != nil {
				return nil, false, err
			}
			values = append(values, e)
		}
		v = values
	} else {
		written, has := lookup(declared, "value")
		if !has {
			return nil, false, errorf("it has neither value nor copy")
		}
		if v, err = s.Eval(written); err != nil {
			return nil, false, err
		}
	}
	if bad := t.fits(declared, v, "", 0); bad != nil {
		if bad.mismatch {
			return nil, false, errorf("Template output JToken type is not valid. Expected '%s'. Actual '%s'%s. Please see https://aka.ms/arm-template/#outputs for usage details", bad.expected, bad.actual, bad.place())
		}
		return nil, false, errorf("%s%s", bad.message, bad.place())
	}
	return v, false, nil
}

// Condition evaluates one: a boolean, or a text that is one.
func (s *Scope) Condition(written any) (bool, error) {
	v, err := s.Eval(written)
	if err != nil {
		return false, err
	}
	switch x := v.(type) {
	case bool:
		return x, nil
	case string:
		if strings.EqualFold(x, "true") || strings.EqualFold(x, "false") {
			return strings.EqualFold(x, "true"), nil
		}
	}
	return false, errorf("The condition is a value of type '%s', and a boolean is expected. Please see https://aka.ms/arm-conditions for usage details.", kind(v))
}

// CheckOutputs looks whether the outputs' expressions can be read, before anything is made.
func (t *Template) CheckOutputs(s *Scope) error {
	for _, name := range slices.Sorted(maps.Keys(t.Outputs)) {
		if err := s.Check(t.Outputs[name]); err != nil {
			return &OutputError{name, err}
		}
	}
	return nil
}
