package template

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// dates are the functions of time (learn.microsoft.com "Date functions for ARM templates").
func dates() map[string]function {
	return map[string]function{
		"utcnow": {most: 1, do: func(s *Scope, a []any) (any, error) {
			if s.place != aDefault {
				return nil, unexpected("utcNow")
			}
			form := "yyyyMMddTHHmmssZ"
			if len(a) > 0 {
				f, ok := a[0].(string)
				if !ok {
					return nil, wrong("utcNow", "a string", a[0])
				}
				form = f
			}
			return written("utcNow", s.Now.UTC(), form)
		}},
		"datetimeadd":       pure(2, 3, dateTimeAdd),
		"datetimefromepoch": pure(1, 1, dateTimeFromEpoch),
		"datetimetoepoch": onText("dateTimeToEpoch", 1, func(a []string) (any, error) {
			t, _, ok := readTime(a[0])
			if !ok {
				return nil, wrong("dateTimeToEpoch", "a time of ISO 8601", a[0])
			}
			return t.Unix(), nil
		}),
	}
}

// readTime reads a time, and says which form it has.
func readTime(s string) (t time.Time, form string, ok bool) {
	for _, f := range []struct{ layout, form string }{
		{"20060102T150405Z", "yyyyMMddTHHmmssZ"},
		{"2006-01-02 15:04:05Z", "u"},
		{"2006-01-02T15:04:05Z", "yyyy-MM-ddTHH:mm:ssZ"},
		{"2006-01-02T15:04:05.9999999Z07:00", "o"},
		{"2006-01-02T15:04:05.9999999", "o"},
		{"2006-01-02T15:04Z07:00", "yyyy-MM-ddTHH:mmZ"},
		{"2006-01-02", "yyyy-MM-dd"},
		{"01/02/2006", "d"},
		{"01/02/2006 15:04:05", "G"},
		{time.RFC1123, "R"},
	} {
		if t, err := time.Parse(f.layout, s); err == nil {
			return t.UTC(), f.form, true
		}
	}
	return time.Time{}, "", false
}

func dateTimeFromEpoch(a []any) (any, error) {
	n, ok := whole(a[0])
	if !ok || n < -62_135_596_800 || n > 253_402_300_799 {
		return nil, wrong("dateTimeFromEpoch", "a number of seconds", a[0])
	}
	return time.Unix(n, 0).UTC().Format("2006-01-02T15:04:05Z"), nil
}

// dateTimeAdd adds a duration. "If not provided, the format of the base value is used."
func dateTimeAdd(a []any) (any, error) {
	base, ok := a[0].(string)
	by, ok2 := a[1].(string)
	if !ok || !ok2 {
		return nil, wrong("dateTimeAdd", "two strings", a)
	}
	t, form, ok := readTime(base)
	if !ok {
		return nil, wrong("dateTimeAdd", "a time of ISO 8601", base)
	}
	t, ok = addDuration(t, by)
	if !ok {
		return nil, wrong("dateTimeAdd", "a duration of ISO 8601", by)
	}
	if len(a) > 2 {
		if form, ok = a[2].(string); !ok {
			return nil, wrong("dateTimeAdd", "a string, for the form,", a[2])
		}
	}
	return written("dateTimeAdd", t, form)
}

func addDuration(t time.Time, d string) (time.Time, bool) {
	m := regexp.MustCompile(`^(-?)P(?:(\d{1,6})Y)?(?:(\d{1,6})M)?(?:(\d{1,6})W)?(?:(\d{1,6})D)?(?:T(?:(\d{1,8})H)?(?:(\d{1,8})M)?(?:(\d{1,9})(?:\.\d+)?S)?)?$`).FindStringSubmatch(d)
	if m == nil || strings.HasSuffix(d, "P") || strings.HasSuffix(d, "T") {
		return t, false
	}
	n := make([]int, len(m))
	for i := 2; i < len(m); i++ {
		n[i], _ = strconv.Atoi(m[i])
		if m[1] == "-" {
			n[i] = -n[i]
		}
	}
	// As .NET does: months first, and a day that the month does not have is its last.
	months := n[2]*12 + n[3]
	day := t.Day()
	t = t.AddDate(0, 0, 1-day).AddDate(0, months, 0)
	t = t.AddDate(0, 0, min(day, t.AddDate(0, 1, -1).Day())-1)
	t = t.AddDate(0, 0, 7*n[4]+n[5]).Add(time.Duration(n[6])*time.Hour + time.Duration(n[7])*time.Minute + time.Duration(n[8])*time.Second)
	return t, t.Year() >= 1 && t.Year() <= 9999
}

// standard are .NET's standard formats of time, in the invariant culture.
func standard(form byte) (string, bool) {
	f, ok := map[byte]string{
		'd': "MM/dd/yyyy", 'D': "dddd, dd MMMM yyyy", 'f': "dddd, dd MMMM yyyy HH:mm", 'F': "dddd, dd MMMM yyyy HH:mm:ss",
		'g': "MM/dd/yyyy HH:mm", 'G': "MM/dd/yyyy HH:mm:ss", 'm': "MMMM dd", 'M': "MMMM dd", 'o': "yyyy-MM-ddTHH:mm:ss.fffffffZ", 'O': "yyyy-MM-ddTHH:mm:ss.fffffffZ",
		'r': "ddd, dd MMM yyyy HH:mm:ss 'GMT'", 'R': "ddd, dd MMM yyyy HH:mm:ss 'GMT'", 's': "yyyy-MM-ddTHH:mm:ss", 't': "HH:mm", 'T': "HH:mm:ss",
		'u': "yyyy-MM-dd HH:mm:ssZ", 'U': "dddd, dd MMMM yyyy HH:mm:ss", 'y': "yyyy MMMM", 'Y': "yyyy MMMM",
	}[form]
	return f, ok
}

// custom are the parts of .NET's custom formats, and Go's layouts of the same.
func custom(part string) (string, bool) {
	f, ok := map[string]string{
		"d": "2", "dd": "02", "ddd": "Mon", "dddd": "Monday", "M": "1", "MM": "01", "MMM": "Jan", "MMMM": "January", "yy": "06", "yyyy": "2006",
		"h": "3", "hh": "03", "HH": "15", "m": "4", "mm": "04", "s": "5", "ss": "05", "tt": "PM", "K": "Z07:00", "zzz": "-07:00",
		"f": ".0", "ff": ".00", "fff": ".000", "ffff": ".0000", "fffff": ".00000", "ffffff": ".000000", "fffffff": ".0000000",
	}[part]
	return f, ok
}

// written is a time in one of .NET's formats, standard (one letter) or custom.
func written(name string, t time.Time, form string) (any, error) {
	refused := wrong(name, "a format of time that the twin has", form)
	if len(form) == 1 {
		f, ok := standard(form[0])
		if !ok {
			return nil, refused
		}
		form = f
	}
	var b strings.Builder
	for i := 0; i < len(form); {
		c := form[i]
		switch {
		case c == '\'' || c == '"':
			end := strings.IndexByte(form[i+1:], c)
			if end < 0 {
				return nil, refused
			}
			b.WriteString(form[i+1 : i+1+end])
			i += end + 2
			continue
		case c == '\\' && i+1 < len(form):
			b.WriteByte(form[i+1])
			i += 2
			continue
		case c == '%' && i+1 < len(form):
			i++
			continue
		case !strings.ContainsRune("dfFghHKmMstyz", rune(c)):
			b.WriteByte(c)
			i++
			continue
		}
		n := i
		for n < len(form) && form[n] == c {
			n++
		}
		part := form[i:n]
		i = n
		if part == "H" {
			b.WriteString(strconv.Itoa(t.Hour()))
			continue
		}
		layout, ok := custom(part)
		if !ok {
			return nil, refused
		}
		b.WriteString(strings.TrimPrefix(t.Format(layout), "."))
	}
	return b.String(), nil
}
