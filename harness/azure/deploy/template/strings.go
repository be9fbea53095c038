package template

import (
	"encoding/json"
	"strings"
	"unicode/utf16"
)

// texts are the functions of strings (learn.microsoft.com "String functions for ARM templates").
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
		"split":     pure(2, 2, split),
		"join":      pure(2, 2, join),
		"substring": pure(2, 3, substring),
		"padleft":   pure(2, 3, padLeft),
		"format":    pure(1, -1, format),
		"json":      onText("json", 1, func(a []string) (any, error) { return parsedJSON("json", a[0]) }),
		"fail": onText("fail", 1, func(a []string) (any, error) {
			return nil, errorf("The template function 'fail' was called: %s", a[0])
		}),
	}
}

// onText is a function of strings.
func onText(name string, n int, do func(a []string) (any, error)) function {
	return pure(n, n, func(a []any) (any, error) {
		words := make([]string, len(a))
		for i, x := range a {
			t, ok := x.(string)
			if !ok {
				return nil, errorf("The template language function '%s' expects its parameter to be a string. The provided value is of type '%s'. Please see https://aka.ms/arm-functions/#%s for usage details.", name, kind(x), strings.ToLower(name))
			}
			words[i] = t
		}
		return do(words)
	})
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

func replaced(s, old, with string) (any, error) {
	if old == "" {
		return nil, wrong("replace", "a string that is not empty", old)
	}
	if n := strings.Count(s, old); len(s)+n*(len(with)-len(old)) > maxValue {
		return nil, errorf("The template language expression literal limit exceeded. Limit: '%d' and actual: '%d'.", maxLiteral, len(s)+n*(len(with)-len(old)))
	}
	return strings.ReplaceAll(s, old, with), nil
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
	default:
		return nil, wrong("split", "a string or an array of strings", a[1])
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

// join has texts and numbers of an array in one text.
func join(a []any) (any, error) {
	list, ok := a[0].([]any)
	by, ok2 := a[1].(string)
	if !ok || !ok2 {
		return nil, wrong("join", "an array and a string", a)
	}
	words := make([]string, len(list))
	for i, x := range list {
		words[i] = text(x)
	}
	return strings.Join(words, by), nil
}

func substring(a []any) (any, error) {
	s, ok := a[0].(string)
	start, ok2 := whole(a[1])
	if !ok || !ok2 {
		return nil, wrong("substring", "a string and whole numbers", a)
	}
	u := units(s)
	length := int64(len(u)) - start
	if len(a) > 2 && a[2] != nil {
		if length, ok = whole(a[2]); !ok {
			return nil, wrong("substring", "a whole number", a[2])
		}
	}
	if start < 0 || length < 0 || start > int64(len(u)) || length > int64(len(u))-start {
		return nil, errorf("Unable to evaluate template language function 'substring': the index and length parameters must refer to a location within the string. The index parameter: '%d', the length parameter: '%d', the length of the string parameter: '%d'. Please see https://aka.ms/arm-functions/#substring for usage details.", start, length, len(u))
	}
	return ofUnits(u[start : start+length]), nil
}

func padLeft(a []any) (any, error) {
	s, isText := a[0].(string)
	if n, ok := whole(a[0]); ok {
		s, isText = text(n), true
	}
	width, ok := whole(a[1])
	pad := " "
	if len(a) > 2 {
		p, one := a[2].(string)
		if !one || len(utf16.Encode([]rune(p))) != 1 {
			return nil, wrong("padLeft", "one character", a[2])
		}
		pad = p
	}
	if !isText || !ok || width < 0 || width > maxLiteral {
		return nil, wrong("padLeft", "a string or a whole number, and a length", a[1])
	}
	return strings.Repeat(pad, int(max(0, width-int64(len(units(s)))))) + s, nil
}

func parsedJSON(name, t string) (any, error) {
	var v any
	if json.Unmarshal([]byte(t), &v) != nil {
		return nil, errorf("The template language function '%s' parameter is not valid. The provided value cannot be parsed as JSON. Please see https://aka.ms/arm-functions/#%s for usage details.", name, strings.ToLower(name))
	}
	return v, nil
}
