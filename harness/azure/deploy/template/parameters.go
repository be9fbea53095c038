package template

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Unknown is given for a parameter whose value is not to be had: whatever needs it fails so. What wraps ErrNotReady fails when it is made only.
type Unknown struct{ Err error }

// bindParameters takes the values that are given, and the defaults of the others.
func (t *Template) bindParameters(s *Scope, given map[string]any) error {
	var strange []string
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if _, declared := lookup(t.Parameters, name); !declared {
			strange = append(strange, name)
		}
	}
	if len(strange) > 0 {
		return errorf("The following parameters were supplied, but do not correspond to any parameters defined in the template: '%s'. The parameters defined in the template are: '%s'. Please see https://aka.ms/arm-pass-parameter-values for usage details.",
			strings.Join(strange, ", "), strings.Join(slices.Sorted(maps.Keys(t.Parameters)), ", "))
	}
	s.Parameters = make(map[string]any, len(t.Parameters))
	for _, name := range slices.Sorted(maps.Keys(t.Parameters)) {
		v, err := t.given(s, name, given)
		if err != nil {
			return err
		}
		s.Parameters[name] = v
	}
	for _, name := range slices.Sorted(maps.Keys(t.Parameters)) {
		if _, unknown := s.Parameters[name].(Unknown); unknown {
			continue
		}
		v, err := parameter(s, name)
		if err != nil {
			return err
		}
		s.Parameters[name] = v
		if err := t.valid(name, v); err != nil {
			return err
		}
	}
	return nil
}

// parameterAt is where a parameter is declared.
func (t *Template) parameterAt(name string) Source { return t.At.At("parameters", name) }

func (t *Template) parameterError(name, format string, args ...any) error {
	return &Error{Message: fmt.Sprintf(format, args...), At: t.parameterAt(name).Place()}
}

// given is a parameter's value, or what will evaluate its default: that may name other parameters.
func (t *Template) given(s *Scope, name string, given map[string]any) (any, error) {
	declared, ok := t.Parameters[name].(map[string]any)
	if !ok {
		return nil, parseError(t.parameterAt(name), "parameters."+name, "Unexpected initial token '%s' when populating object. Expected JSON object.", kind(t.Parameters[name]))
	}
	for _, k := range slices.Sorted(maps.Keys(declared)) {
		if !slices.ContainsFunc([]string{"type", "$ref", "defaultValue", "allowedValues", "minValue", "maxValue", "minLength", "maxLength", "pattern", "metadata", "nullable", "properties", "additionalProperties", "items", "prefixItems", "discriminator", "sealed"},
			func(n string) bool { return strings.EqualFold(n, k) }) {
			return nil, parseError(t.parameterAt(name).At(k), "parameters."+name+"."+k, "Could not find member '%s' on object of type 'TemplateInputParameter'.", k)
		}
	}
	typ, err := t.resolved(declared)
	if err != nil {
		return nil, err
	}
	own, _ := lookup(given, name)
	if u, is := own.(Unknown); is {
		return u, nil
	}
	holder, isHolder := own.(map[string]any)
	if own != nil && !isHolder {
		return nil, errorf("Error converting value '%s' to type 'Azure.Deployments.Core.Definitions.DeploymentParameterDefinition'. Path 'properties.parameters.%s'.", kind(own), name)
	}
	if v, _ := lookup(holder, "value"); v != nil {
		return v, nil
	}
	written, hasDefault := lookup(declared, "defaultValue")
	if !hasDefault || written == nil {
		if yes, _ := typ["nullable"].(bool); yes || hasDefault {
			return nil, nil
		}
		return nil, t.parameterError(name, "The value for the template parameter '%s' %s is not provided. Please see https://aka.ms/arm-create-parameter-file for usage details.", name, t.parameterAt(name).Place())
	}
	busy := false
	return func() (any, error) {
		if busy {
			return nil, errorf("Circular dependency detected in template language expression: the default of the parameter '%s' needs itself.", name)
		}
		busy = true
		defer func() { busy = false }()
		v, err := s.within(aDefault).Eval(written)
		if err == nil {
			s.Parameters[name] = v
			err = s.charge(v, true)
		}
		return v, err
	}, nil
}

// valid holds a parameter's value against what is declared of it.
func (t *Template) valid(name string, v any) error {
	declared, _ := t.Parameters[name].(map[string]any)
	typ, err := t.resolved(declared)
	if err != nil {
		return err
	}
	if written, hasDefault := lookup(declared, "defaultValue"); v == nil && hasDefault && written == nil {
		return nil
	}
	if fault := t.fits(typ, v, "", 0); fault != nil {
		shown := "'" + text(v) + "' "
		if _, plain := v.(string); !plain && kind(v) != "Integer" && kind(v) != "Boolean" || t.Secure(declared) {
			shown = "" // an error is answered to whoever reads the deployment, and logged by clients
		}
		if fault.mismatch {
			return t.parameterError(name, "Template parameter JToken type is not valid. Expected '%s'. Actual '%s'. Please see https://aka.ms/arm-deploy/#parameter-file for usage details. (parameter '%s'%s)", fault.expected, fault.actual, name, fault.place())
		}
		return t.parameterError(name, "The provided value %sfor the template parameter '%s' %s is not valid. %s%s Please see https://aka.ms/arm-parameter-file for usage details.", shown, name, t.parameterAt(name).Place(), fault.message, fault.place())
	}
	return nil
}
