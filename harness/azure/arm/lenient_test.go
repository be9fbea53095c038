package arm

import (
	"encoding/json"
	"testing"
)

func TestLenientJSON(t *testing.T) {
	for in, want := range map[string]string{
		`{"properties": {"mode": "Incremental", template:{"a": 1}}}`: `{"properties":{"mode":"Incremental","template":{"a":1}}}`,
		"{ // a comment\n\"a\": /* another, \"b\" */ [1, 2, ], }":    `{"a":[1,2]}`,
		"{\"a\": \"two\nlines\", 'b': 'it\\'s \"so\"'}":              `{"a":"two\nlines","b":"it's \"so\""}`,
		`{"a": "http://x/*y*/", "b": [true, false, null, -1.5e+3]}`:  `{"a":"http://x/*y*/","b":[true,false,null,-1500]}`,
		`{$schema: "x", "c": ",]"}`:                                  `{"$schema":"x","c":",]"}`,
		"{\"a\": \"\x01\t\"}":                                        `{"a":"\u0001\t"}`,
	} {
		var v any
		if err := json.Unmarshal(Lenient([]byte(in)), &v); err != nil {
			t.Errorf("%s: %v of %s", in, err, Lenient([]byte(in)))
			continue
		}
		if got := string(Marshal(v)); got != want {
			t.Errorf("%s is %s instead of %s", in, got, want)
		}
	}
}

// FuzzLenient: what is JSON stays what it is.
func FuzzLenient(f *testing.F) {
	for _, s := range []string{`{"a":[1,{"b":"c\"d"}],"e":null}`, `"x"`, `{a:1}`, `[1,]`, "//", "/*", `'`, `\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out := Lenient([]byte(s))
		var before, after any
		if json.Unmarshal([]byte(s), &before) != nil {
			return
		}
		if err := json.Unmarshal(out, &after); err != nil || string(Marshal(before)) != string(Marshal(after)) {
			t.Fatalf("%q became %q: %v", s, out, err)
		}
	})
}
