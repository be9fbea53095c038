package template

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

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

// kind is how the service calls a value's type, which is how its JSON library does.
func kind(v any) string {
	switch x := v.(type) {
	case nil:
		return "Null"
	case string:
		return "String"
	case bool:
		return "Boolean"
	case []any:
		return "Array"
	case map[string]any:
		return "Object"
	case float64:
		if _, ok := whole(x); !ok {
			return "Float"
		}
	}
	return "Integer"
}

// compact is a value as JSON without spaces, and without Go's escapes for HTML, which no other writer has.
func compact(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// text is a value as a string: strings as they are, the rest as JSON, booleans capitalised as the service does.
func text(v any) string {
	switch x := v.(type) {
	case string:
		return x
	case nil:
		return ""
	case bool:
		if x {
			return "True"
		}
		return "False"
	}
	return compact(v)
}

// equal compares as the language does: numbers by value, whatever they were read from.
func equal(a, b any) bool {
	x, ok := whole(a)
	y, ok2 := whole(b)
	switch {
	case ok && ok2:
		return x == y
	case ok != ok2:
		return false
	}
	switch x := a.(type) {
	case []any:
		y, same := b.([]any)
		return same && slices.EqualFunc(x, y, equal)
	case map[string]any:
		y, same := b.(map[string]any)
		return same && maps.EqualFunc(x, y, equal)
	}
	return reflect.DeepEqual(a, b)
}

// size is about how much JSON a value makes; it stops counting at the limit, so that values that share their parts cost no more than that.
func size(v any, limit int) int {
	switch x := v.(type) {
	case string:
		return len(x) + 2
	case []any:
		n := 2
		for _, e := range x {
			if n += size(e, limit-n) + 1; n > limit {
				break
			}
		}
		return n
	case map[string]any:
		n := 2
		for k, e := range x {
			if n += len(k) + 4 + size(e, limit-n); n > limit {
				break
			}
		}
		return n
	}
	return 4
}

// clone makes a value of its own: what an expression gives may be part of a variable or of another resource.
func clone(v any) any {
	switch x := v.(type) {
	case []any:
		out := make([]any, len(x))
		for i := range x {
			out[i] = clone(x[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(x))
		for k, e := range x {
			out[k] = clone(e)
		}
		return out
	}
	return v
}

// units are a text's UTF-16 units: the service counts characters as .NET does.
func units(s string) []uint16 {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return utf16.Encode([]rune(s))
		}
	}
	out := make([]uint16, len(s))
	for i := range len(s) {
		out[i] = uint16(s[i])
	}
	return out
}

func ofUnits(u []uint16) string { return string(utf16.Decode(u)) }

// lookup finds a member of an object whatever its case; an exact name goes first.
func lookup(m map[string]any, name string) (any, bool) {
	if v, ok := m[name]; ok {
		return v, true
	}
	for k, v := range m {
		if strings.EqualFold(k, name) {
			return v, true
		}
	}
	return nil, false
}
