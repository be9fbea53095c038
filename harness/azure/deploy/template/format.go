package template

import (
	"strconv"
	"strings"
)

// format is .NET's composite format, which its documentation names: {0}, {0,10}, {0:N0}, {{ and }}. Of the forms of numbers it has D, N and X.
func format(a []any) (any, error) {
	s, ok := a[0].(string)
	if !ok {
		return nil, wrong("format", "a string", a[0])
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case (c == '{' || c == '}') && i+1 < len(s) && s[i+1] == c:
			b.WriteByte(c)
			i++
		case c == '{':
			end := strings.IndexByte(s[i:], '}')
			if end < 0 {
				return nil, badFormat(s)
			}
			t, err := item(s[i+1:i+end], a[1:], s)
			if err != nil {
				return nil, err
			}
			b.WriteString(t)
			i += end
		case c == '}':
			return nil, badFormat(s)
		default:
			b.WriteByte(c)
		}
		if b.Len() > maxValue {
			return nil, errorf("The template language expression literal limit exceeded. Limit: '%d' and actual: '%d'.", maxLiteral, b.Len())
		}
	}
	return b.String(), nil
}

func badFormat(s string) error {
	return errorf("Unable to evaluate language function 'format': the format is invalid: '%s'. Please see https://aka.ms/arm-functions/#format for usage details.", short(s))
}

// item is one of a format: its argument, how wide, and its form.
func item(spec string, args []any, whole string) (string, error) {
	spec, form, _ := strings.Cut(spec, ":")
	number, align, aligned := strings.Cut(spec, ",")
	i, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil || i < 0 {
		return "", badFormat(whole)
	}
	if i >= len(args) {
		return "", errorf("Unable to evaluate language function 'format': the index (zero based) must be greater than or equal to zero and less than the size of the argument list: '%s'. Please see https://aka.ms/arm-functions/#format for usage details.", short(whole))
	}
	t, err := formed(args[i], form)
	if err != nil || !aligned {
		return t, err
	}
	width, err := strconv.Atoi(strings.TrimSpace(align))
	if err != nil || width > 10_000 || width < -10_000 {
		return "", badFormat(whole)
	}
	pad := strings.Repeat(" ", max(0, max(width, -width)-len(units(t))))
	if width < 0 {
		return t + pad, nil
	}
	return pad + t, nil
}

func formed(v any, form string) (string, error) {
	n, ok := whole(v)
	if form == "" || !ok { // .NET looks at the form of what has forms only: a text stays as it is
		switch v.(type) {
		case map[string]any, []any:
			return singleQuoted(v), nil
		}
		return text(v), nil
	}
	digits, err := strconv.Atoi("0" + form[1:])
	if err != nil || digits > 99 {
		return "", badFormat(form)
	}
	sign := ""
	abs := uint64(n)
	if n < 0 {
		sign, abs = "-", -uint64(n)
	}
	switch form[0] {
	case 'D', 'd':
		t := strconv.FormatUint(abs, 10)
		return sign + strings.Repeat("0", max(0, digits-len(t))) + t, nil
	case 'X', 'x':
		t := strconv.FormatUint(uint64(n), 16)
		if form[0] == 'X' {
			t = strings.ToUpper(t)
		}
		return strings.Repeat("0", max(0, digits-len(t))) + t, nil
	case 'N', 'n':
		t := strconv.FormatUint(abs, 10)
		for at := len(t) - 3; at > 0; at -= 3 {
			t = t[:at] + "," + t[at:]
		}
		if len(form) == 1 {
			digits = 2
		}
		if digits > 0 {
			t += "." + strings.Repeat("0", digits)
		}
		return sign + t, nil
	}
	return "", errorf("Unable to evaluate language function 'format': the form '%s' of a number is not one of the twin's: D, N, X.", short(form))
}

// singleQuoted is JSON with apostrophes, which is how format writes arrays and objects (github.com/Azure/bicep, EvaluationTests.cs).
func singleQuoted(v any) string {
	j := compact(v)
	var b strings.Builder
	inside := false
	for i := 0; i < len(j); i++ {
		switch c := j[i]; {
		case inside && c == '\\' && j[i+1] == '"':
			b.WriteByte('"')
			i++
		case inside && c == '\\':
			b.WriteString(j[i : i+2])
			i++
		case inside && c == '\'':
			b.WriteString(`\'`)
		case c == '"':
			inside = !inside
			b.WriteByte('\'')
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
