package arm

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
)

// At walks into a JSON object, whatever the case of the names: ARM's clients do not agree on it.
func At(v any, path ...string) any {
	for _, p := range path {
		switch x := v.(type) {
		case map[string]any:
			v = Field(x, p)
		case []any:
			i, err := strconv.Atoi(p)
			if err != nil || i < 0 || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

// Field is a field of an object, whatever the case of its name; nil: there is none.
func Field(m map[string]any, name string) any {
	if v, ok := m[name]; ok {
		return v
	}
	for k, v := range m {
		if strings.EqualFold(k, name) {
			return v
		}
	}
	return nil
}

// Text is the string at a path; empty: there is none.
func Text(v any, path ...string) string {
	s, _ := At(v, path...).(string)
	return s
}

// Object is the object in a field; where there is none, an empty one is put.
func Object(m map[string]any, name string) map[string]any {
	for k, v := range m {
		if o, ok := v.(map[string]any); ok && strings.EqualFold(k, name) {
			return o
		}
	}
	o := map[string]any{}
	m[name] = o
	return o
}

// Objects are the objects of the list at a path.
func Objects(v any, path ...string) []map[string]any {
	list, _ := At(v, path...).([]any)
	var out []map[string]any
	for _, x := range list {
		if o, ok := x.(map[string]any); ok {
			out = append(out, o)
		}
	}
	return out
}

// Merge lays a patch over a document: objects are merged, everything else is replaced, null removes (RFC 7396, which ARM's PATCH follows). Names are those
// of the document, whatever their case in the patch.
func Merge(into, patch map[string]any) {
	for k, v := range patch {
		if _, there := into[k]; !there {
			for known := range into {
				if strings.EqualFold(known, k) {
					k = known
					break
				}
			}
		}
		switch x := v.(type) {
		case nil:
			delete(into, k)
		case map[string]any:
			o, ok := into[k].(map[string]any)
			if !ok {
				o = map[string]any{}
			}
			Merge(o, x)
			into[k] = o
		default:
			into[k] = v
		}
	}
}

// Number is a number of a document; none at all counts as 0, as services read it.
func Number(v any) (float64, bool) {
	switch n := v.(type) {
	case nil:
		return 0, true
	case float64:
		return n, true
	case int64: // of a template's arithmetic
		return float64(n), true
	case int: // of the twin's own
		return float64(n), true
	default:
		return 0, false
	}
}

// Derived is an identifier that follows from a name: the same twin gives the same resource the same one.
func Derived(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(strings.Join(parts, "|"))))
	sum[6], sum[8] = sum[6]&0x0f|0x40, sum[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// Secure reports whether a template declares a value secure, {"type": "secureString"} or secureObject: nobody is told it again.
func Secure(v map[string]any) bool {
	typ := strings.ToLower(Text(v, "type"))
	return typ == "securestring" || typ == "secureobject"
}

// SameLocation compares locations as they are compared: West Europe is westeurope.
func SameLocation(a, b string) bool { return Location(a) == Location(b) }

// Location is a location by the name that it is known by in paths and headers.
func Location(s string) string { return strings.ToLower(strings.ReplaceAll(s, " ", "")) }
