package schema

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
)

// Problem is why a document cannot be read.
type Problem struct {
	Path    string // properties.dataDisks[0].lun
	Message string // as the services' JSON library says it, without the place in the text
	Unknown bool   // it is a property that there is not
	OfSet   bool   // it is a text that is none of those it may be
}

// reading goes through a document.
type reading struct {
	nulls    bool // stay: of a PATCH they take away
	problems []Problem
}

// Read makes of a document what the service reads: names as it writes them, whatever case the client has, numbers that are texts as numbers and the other way
// round, values of a set as the service writes them; nothing for null, and nothing of what the service alone writes. What it has no property for stays, and
// is a problem; so is what is of another type. The messages are those of Newtonsoft's Json.NET (JsonReader, JsonSerializerInternalReader,
// StringEnumConverter), which the services use (Azure/azure-cli#3951, #1619); instead of the service's type they have the SDK's, and no place in the text.
func (m *Model) Read(body map[string]any, patch bool) (map[string]any, []Problem) {
	r := &reading{nulls: patch}
	out := r.object(m, body, "")
	slices.SortFunc(r.problems, func(a, b Problem) int { return cmp.Compare(a.Path, b.Path) })
	return out, r.problems
}

func (r *reading) wrong(path, format string, args ...any) {
	r.problems = append(r.problems, Problem{Path: path, Message: fmt.Sprintf(format, args...) + " Path '" + path + "'."})
}

// reference is the model of Microsoft.Network's references. Clients send there all of what they refer to (get_property in the Azure CLI's create_lb_rule),
// and the service answers with the id.
const reference = "SubResource"

func (r *reading) object(m *Model, body map[string]any, path string) map[string]any {
	out := make(map[string]any, len(body))
	for k, v := range body {
		at := k
		if path != "" {
			at = path + "." + k
		}
		f := m.find(k)
		switch {
		case f == nil && m.Name == reference:
		case f == nil:
			if out[k] = v; v != nil || r.nulls {
				r.problems = append(r.problems, Problem{Path: at, Unknown: true, Message: fmt.Sprintf("Could not find member '%s' on object of type '%s'. Path '%s'.", k, m.Name, at)})
			}
		case f.readOnly:
		case v != nil:
			if x := r.value(f.shape, v, at); x != nil {
				out[f.name] = x
			}
		case r.nulls:
			out[f.name] = nil
		}
	}
	return out
}

func (r *reading) value(s shape, v any, path string) any {
	if s.around != "" {
		return r.many(s, v, path)
	}
	if s.model == nil {
		return r.basic(s.basic, v, path)
	}
	m := s.model()
	if m.values != nil {
		return r.one(m, v, path)
	}
	switch x := v.(type) {
	case map[string]any:
		return r.object(m, x, path)
	case []any:
		r.wrong(path, `Cannot deserialize the current JSON array (e.g. [1,2,3]) into type '%s' because the type requires a JSON object (e.g. {"name":"value"}) to deserialize correctly.`, m.Name)
	default:
		r.wrong(path, "Error converting value %s to type '%s'.", shown(v), m.Name)
	}
	return v
}

// many reads a list or a map.
func (r *reading) many(s shape, v any, path string) any {
	within := shape{s.around[1:], s.basic, s.model}
	if list, ok := v.([]any); ok && s.around[0] == '[' {
		out := make([]any, len(list))
		for i, x := range list {
			if x != nil {
				out[i] = r.value(within, x, path+"["+strconv.Itoa(i)+"]")
			}
		}
		return out
	}
	if all, ok := v.(map[string]any); ok && s.around[0] == '{' {
		out := make(map[string]any, len(all))
		for k, x := range all {
			if x != nil {
				out[k] = r.value(within, x, path+"."+k)
			} else if r.nulls {
				out[k] = nil
			}
		}
		return out
	}
	name := s.named()
	switch v.(type) {
	case map[string]any:
		r.wrong(path, `Cannot deserialize the current JSON object (e.g. {"name":"value"}) into type '%s' because the type requires a JSON array (e.g. [1,2,3]) to deserialize correctly.`, name)
	case []any:
		r.wrong(path, `Cannot deserialize the current JSON array (e.g. [1,2,3]) into type '%s' because the type requires a JSON object (e.g. {"name":"value"}) to deserialize correctly.`, name)
	default:
		r.wrong(path, "Error converting value %s to type '%s'.", shown(v), name)
	}
	return v
}

// named is a shape as .NET calls it.
func (s shape) named() string {
	name := map[byte]string{'s': "System.String", 'i': "System.Int32", 'n': "System.Double", 'b': "System.Boolean", 'o': "System.Object"}[s.basic]
	if s.model != nil {
		name = s.model().Name
	}
	for i := len(s.around) - 1; i >= 0; i-- {
		if s.around[i] == '[' {
			name += "[]"
		} else {
			name = "System.Collections.Generic.IDictionary`2[System.String," + name + "]"
		}
	}
	return name
}

// basic reads a text, a number or a boolean, one for the other as the library does.
func (r *reading) basic(kind byte, v any, path string) any {
	read, ok := parsed(kind, v)
	if ok {
		return read
	}
	noun := map[byte]string{'s': "string", 'i': "integer", 'n': "double", 'b': "boolean"}[kind]
	if text, isText := v.(string); isText {
		r.wrong(path, "Could not convert string to %s: %s.", noun, text)
	} else if _, isNumber := arm.Number(v); isNumber {
		r.wrong(path, "Input string '%v' is not a valid %s.", v, noun)
	} else {
		r.wrong(path, "Error reading %s. Unexpected token: %s.", noun, token(v))
	}
	return v
}

// parsed is a value as one of a kind; false: it is none.
func parsed(kind byte, v any) (any, bool) {
	text, isText := v.(string)
	number, isNumber := arm.Number(v)
	truth, isTruth := v.(bool)
	switch {
	case kind == 'o' || kind == 's' && isText || kind == 'n' && isNumber || kind == 'b' && isTruth || kind == 'i' && isNumber && number == float64(int64(number)):
		return v, true
	case isText && text == "": // of what is no text as good as null
		return nil, true
	case kind == 's' && isNumber:
		return strconv.FormatFloat(number, 'f', -1, 64), true
	case kind == 's':
		return strconv.FormatBool(truth), isTruth
	case kind == 'i' && isText:
		n, err := strconv.ParseInt(text, 10, 64)
		return float64(n), err == nil
	case kind == 'n' && isText:
		n, err := strconv.ParseFloat(text, 64)
		return n, err == nil && !math.IsInf(n, 0) && !math.IsNaN(n)
	case kind == 'b' && isNumber:
		return number != 0, true
	case kind == 'b' && isText:
		return strings.EqualFold(text, "true"), strings.EqualFold(text, "true") || strings.EqualFold(text, "false")
	}
	return nil, false
}

// one reads a value of a set.
func (r *reading) one(m *Model, v any, path string) any {
	text, ok := v.(string)
	if !ok {
		if _, isNumber := arm.Number(v); !isNumber {
			r.wrong(path, "Unexpected token %s when parsing enum.", token(v))
		}
		return v
	}
	known, ok := m.values[strings.ToLower(text)]
	if ok {
		return known
	}
	if !m.open() && text != "" {
		r.wrong(path, "Error converting value %s to type '%s'.", shown(v), m.Name)
		r.problems[len(r.problems)-1].OfSet = true
	}
	return v
}

// open reports whether the service takes values that the SDK does not list: it says of the sizes of machines that its list is old.
func (m *Model) open() bool {
	return m.Name == "VirtualMachineSizeTypes"
}

func token(v any) string {
	switch v.(type) {
	case map[string]any:
		return "StartObject"
	case []any:
		return "StartArray"
	case bool:
		return "Boolean"
	case string:
		return "String"
	default:
		return "Integer"
	}
}

func shown(v any) string {
	switch x := v.(type) {
	case string:
		return `"` + x + `"`
	case bool:
		return map[bool]string{true: "True", false: "False"}[x]
	default:
		return fmt.Sprint(v)
	}
}
