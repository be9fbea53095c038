package deploy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/deploy/template"
)

// parameters checks what was given against what is declared.
func parameters(s *template.Scope, declared, given map[string]any) (map[string]any, *arm.Error) {
	out := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if arm.Field(declared, name) == nil {
			return nil, invalidTemplate("The following parameters were supplied, but do not correspond to any parameters defined in the template: '%s'. The parameters defined in the template are: '%s'. Please see https://aka.ms/arm-pass-parameter-values for usage details.",
				name, strings.Join(slices.Sorted(maps.Keys(declared)), ", "))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(declared)) {
		value := arm.At(given, name, "value")
		if value == nil {
			written := arm.At(declared, name, "defaultValue")
			if written == nil {
				return nil, invalidTemplate("The value for the template parameter '%s' at line '1' and column '1' is not provided. Please see https://aka.ms/arm-create-parameter-file for usage details.", name)
			}
			inner := *s
			inner.Parameters = out
			var err error
			if value, err = inner.Eval(written); err != nil {
				return nil, templateError(err, "")
			}
		}
		shown := value
		if d, ok := arm.At(declared, name).(map[string]any); ok && arm.Secure(d) {
			shown = "SecureString" // an error is answered to whoever reads the deployment, and logged by clients
		}
		if !typed(arm.Text(declared, name, "type"), value) {
			return nil, invalidTemplate("Template parameter JToken type is not valid. Expected '%s'. Actual '%T'. Please see https://aka.ms/arm-deploy/#parameter-file for usage details. (parameter '%s')", arm.Text(declared, name, "type"), value, name)
		}
		if allowed, ok := arm.At(declared, name, "allowedValues").([]any); ok && !slices.Contains(texts(allowed), fmt.Sprint(value)) {
			return nil, invalidTemplate("The provided value '%v' for the template parameter '%s' at line '1' and column '1' is not valid. The parameter value is not part of the allowed value(s): '%s'.", shown, name, strings.Join(texts(allowed), ","))
		}
		out[name] = value
	}
	return out, nil
}

func texts(list []any) []string {
	out := make([]string, len(list))
	for i, x := range list {
		out[i] = fmt.Sprint(x)
	}
	return out
}

func typed(typ string, v any) bool {
	switch strings.ToLower(typ) {
	case "string", "securestring":
		_, ok := v.(string)
		return ok
	case "int":
		switch x := v.(type) {
		case float64:
			return x == float64(int64(x))
		case int64:
			return true
		}
		return false
	case "bool":
		_, ok := v.(bool)
		return ok
	case "array":
		_, ok := v.([]any)
		return ok
	case "object", "secureobject":
		_, ok := v.(map[string]any)
		return ok
	default:
		return false
	}
}
