package template

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// function is one of the language. lazy ones evaluate their own arguments.
type function struct {
	least, most int // arguments; most -1: any number
	do          func(s *Scope, a []any) (any, error)
	lazy        func(s *Scope, a []node) (any, error)
}

func (f function) takes() string {
	switch {
	case f.most < 0:
		return fmt.Sprintf("at least '%d' argument(s)", f.least)
	case f.least == f.most:
		return fmt.Sprintf("'%d' argument(s)", f.least)
	default:
		return fmt.Sprintf("'%d' to '%d' argument(s)", f.least, f.most)
	}
}

func pure(least, most int, do func(a []any) (any, error)) function {
	return function{least: least, most: most, do: func(_ *Scope, a []any) (any, error) { return do(a) }}
}

// function finds one by its name, whatever its case.
func (s *Scope) function(name string) (function, bool) {
	if s.functions == nil {
		s.functions = table()
	}
	f, ok := s.functions[strings.ToLower(name)]
	return f, ok
}

// table has the functions by their names in lower case.
func table() map[string]function {
	out := map[string]function{
		"parameters": {least: 1, most: 1, do: func(s *Scope, a []any) (any, error) { return parameter(s, fmt.Sprint(a[0])) }},
		"variables":  {least: 1, most: 1, do: func(s *Scope, a []any) (any, error) { return s.Variable(fmt.Sprint(a[0])) }},
		"copyindex":  {most: 2, do: copyIndex}, "reference": {least: 1, most: 3, do: reference}, "resourceid": {least: 2, most: -1, do: resourceID},
		"subscription":  {do: func(s *Scope, _ []any) (any, error) { return any(s.Subscription), nil }},
		"resourcegroup": {do: func(s *Scope, _ []any) (any, error) { return any(s.ResourceGroup), nil }},
		"deployment":    {do: func(s *Scope, _ []any) (any, error) { return any(s.Deployment), nil }},
		"if":            {least: 3, most: 3, lazy: ifElse}, "or": {least: 2, most: -1, lazy: logic(true)}, "and": {least: 2, most: -1, lazy: logic(false)},
	}
	for _, more := range []map[string]function{texts(), numbers(), lists(), tests()} {
		maps.Copy(out, more)
	}
	return out
}

func parameter(s *Scope, name string) (any, error) {
	for k, v := range s.Parameters {
		if strings.EqualFold(k, name) {
			return v, nil
		}
	}
	return nil, errorf("The template parameter '%s' is not found. Please see https://aka.ms/arm-functions/#parameters for usage details.", name)
}

func copyIndex(s *Scope, a []any) (any, error) {
	if len(s.copies) == 0 {
		return nil, errorf("The template function 'copyIndex' is not expected at this location. The function can only be used in a resource with copy specified. Please see https://aka.ms/arm-copy for usage details.")
	}
	loop, offset := s.copies[len(s.copies)-1], int64(0)
	for _, x := range a {
		if name, ok := x.(string); ok {
			found := false
			for _, c := range s.copies {
				if strings.EqualFold(c.name, name) {
					loop, found = c, true
				}
			}
			if !found {
				return nil, errorf("The template function 'copyIndex' has an invalid argument. The provided copy name '%s' doesn't exist in the resource. Please see https://aka.ms/arm-copy for usage details.", name)
			}
			continue
		}
		n, ok := whole(x)
		if !ok {
			return nil, wrong("copyIndex", "a whole number", x)
		}
		offset = n
	}
	return int64(loop.at) + offset, nil
}

func reference(s *Scope, a []any) (any, error) {
	if s.Reference == nil {
		return nil, errorf("The template function 'reference' is not expected at this location. Please see https://aka.ms/arm-functions for usage details.")
	}
	return s.Reference(fmt.Sprint(a[0]), len(a) > 2 && strings.EqualFold(fmt.Sprint(a[2]), "full"))
}

// resourceID takes [subscription,] [group,] type, name...: the type is the first argument with a slash, and says how many names follow.
func resourceID(s *Scope, a []any) (any, error) {
	words := make([]string, len(a))
	for i, x := range a {
		t, ok := x.(string)
		if !ok {
			return nil, wrong("resourceId", "a string", x)
		}
		words[i] = t
	}
	at := 0
	for at < len(words) && !strings.Contains(words[at], "/") {
		at++
	}
	if at > 2 || at >= len(words) {
		return nil, errorf("Unable to evaluate template language function 'resourceId': the type '%s' requires the form Provider/type. Please see https://aka.ms/arm-functions/#resourceid for usage details.", words[0])
	}
	names := words[at+1:]
	if want := strings.Count(words[at], "/"); len(names) != want {
		return nil, errorf("Unable to evaluate template language function 'resourceId': the type '%s' requires '%d' resource name argument(s). Please see https://aka.ms/arm-functions/#resourceid for usage details.", words[at], want)
	}
	subscription, group := "", ""
	if at > 0 {
		group = words[at-1]
	}
	if at > 1 {
		subscription = words[0]
	}
	return s.ResourceID(subscription, group, words[at], names)
}

func ifElse(s *Scope, a []node) (any, error) {
	c, err := s.eval(a[0])
	if err != nil {
		return nil, err
	}
	b, ok := c.(bool)
	switch {
	case !ok:
		return nil, wrong("if", "a boolean", c)
	case b:
		return s.eval(a[1])
	default:
		return s.eval(a[2])
	}
}

// logic is or, which ends at a true, and and, which ends at a false.
func logic(ends bool) func(s *Scope, a []node) (any, error) {
	return func(s *Scope, a []node) (any, error) {
		for _, n := range a {
			v, err := s.eval(n)
			if err != nil {
				return nil, err
			}
			b, ok := v.(bool)
			if !ok {
				return nil, wrong("or, and", "a boolean", v)
			}
			if b == ends {
				return ends, nil
			}
		}
		return !ends, nil
	}
}

func wrong(name, wanted string, got any) error {
	return errorf("Unable to evaluate template language function '%s': %s is expected, and '%s' was provided. Please see https://aka.ms/arm-functions/#%s for usage details.", name, wanted, short(got), strings.ToLower(name))
}

func short(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%T", v)
	}
	if len(raw) > 80 {
		return string(raw[:80]) + "…"
	}
	return string(raw)
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
	raw, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(raw)
}

// onText is a function of strings.
func onText(name string, n int, do func(a []string) (any, error)) function {
	return pure(n, n, func(a []any) (any, error) {
		words := make([]string, len(a))
		for i, x := range a {
			t, ok := x.(string)
			if !ok {
				return nil, wrong(name, "a string", x)
			}
			words[i] = t
		}
		return do(words)
	})
}

func texts() map[string]function {
	return map[string]function{
		"string":     pure(1, 1, func(a []any) (any, error) { return text(a[0]), nil }),
		"tolower":    onText("toLower", 1, func(a []string) (any, error) { return strings.ToLower(a[0]), nil }),
		"toupper":    onText("toUpper", 1, func(a []string) (any, error) { return strings.ToUpper(a[0]), nil }),
		"trim":       onText("trim", 1, func(a []string) (any, error) { return strings.TrimSpace(a[0]), nil }),
		"replace":    onText("replace", 3, func(a []string) (any, error) { return replaced(a[0], a[1], a[2]) }),
		"startswith": onText("startsWith", 2, func(a []string) (any, error) { return hasPrefixFold(a[0], a[1]), nil }),
		"endswith": onText("endsWith", 2, func(a []string) (any, error) {
			return len(a[0]) >= len(a[1]) && strings.EqualFold(a[0][len(a[0])-len(a[1]):], a[1]), nil
		}),
		"base64":         onText("base64", 1, func(a []string) (any, error) { return base64.StdEncoding.EncodeToString([]byte(a[0])), nil }),
		"base64tostring": onText("base64ToString", 1, func(a []string) (any, error) { return unbase64(a[0]) }),
		"split":          pure(2, 2, split),
		"substring":      pure(2, 3, substring),
		"format":         pure(1, -1, format),
		"guid":           pure(1, -1, func(a []any) (any, error) { return guid(a), nil }),
		"uniquestring":   pure(1, -1, func(a []any) (any, error) { return unique(a), nil }),
		"json": onText("json", 1, func(a []string) (any, error) {
			var v any
			if json.Unmarshal([]byte(a[0]), &v) != nil {
				return nil, wrong("json", "JSON", a[0])
			}
			return v, nil
		}),
	}
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

func replaced(s, old, with string) (any, error) {
	if old == "" {
		return nil, wrong("replace", "a string that is not empty", old)
	}
	if n := strings.Count(s, old); len(s)+n*len(with) > maxWritten {
		return nil, errorf("The template language expression evaluation made more than '%d' characters.", maxWritten)
	}
	return strings.ReplaceAll(s, old, with), nil
}

func unbase64(s string) (any, error) {
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, wrong("base64ToString", "base64", s)
	}
	return string(raw), nil
}

func split(a []any) (any, error) {
	s, ok := a[0].(string)
	if !ok {
		return nil, wrong("split", "a string", a[0])
	}
	var by []string
	switch x := a[1].(type) {
	case string:
		by = []string{x}
	case []any:
		for _, d := range x {
			by = append(by, text(d))
		}
	}
	out := []any{}
	for rest := s; ; {
		at, length := -1, 0
		for _, d := range by {
			if i := strings.Index(rest, d); d != "" && i >= 0 && (at < 0 || i < at) {
				at, length = i, len(d)
			}
		}
		if at < 0 {
			return append(out, rest), nil
		}
		out, rest = append(out, rest[:at]), rest[at+length:]
	}
}

func substring(a []any) (any, error) {
	s, ok := a[0].(string)
	start, ok2 := whole(a[1])
	if !ok || !ok2 {
		return nil, wrong("substring", "a string and whole numbers", a)
	}
	length := int64(len(s)) - start
	if len(a) > 2 {
		if length, ok = whole(a[2]); !ok {
			return nil, wrong("substring", "a whole number", a[2])
		}
	}
	if start < 0 || length < 0 || start > int64(len(s)) || length > int64(len(s))-start {
		return nil, errorf("Unable to evaluate template language function 'substring': the index and length parameters must refer to a location within the string. The index parameter: '%d', the length parameter: '%d', the length of the string parameter: '%d'. Please see https://aka.ms/arm-functions/#substring for usage details.", start, length, len(s))
	}
	return s[start : start+length], nil
}

func format(a []any) (any, error) {
	s, ok := a[0].(string)
	if !ok {
		return nil, wrong("format", "a string", a[0])
	}
	for i, x := range a[1:] {
		s = strings.ReplaceAll(s, "{"+strconv.Itoa(i)+"}", text(x))
		if len(s) > maxWritten {
			return nil, errorf("The template language expression evaluation made more than '%d' characters.", maxWritten)
		}
	}
	return s, nil
}

func joined(a []any) string {
	words := make([]string, len(a))
	for i, x := range a {
		words[i] = text(x)
	}
	return strings.Join(words, "-")
}

// guid is a name-based UUID (version 5) in the namespace that the service's own function uses.
func guid(a []any) string {
	return uuid.NewSHA1(uuid.MustParse("11fb06fb-712d-4ddd-98c7-e71bbd588830"), []byte(joined(a))).String()
}

// unique is 13 letters and digits that follow from the arguments. The service's hash is not published: the values differ, the form does not.
func unique(a []any) string {
	sum := sha256.Sum256([]byte(joined(a)))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:13])
}
