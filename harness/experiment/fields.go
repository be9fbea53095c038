package experiment

import (
	"reflect"
	"regexp"
	"strings"
	"time"

	"drydock.dev/drydock/harness/fault"
)

// faultBody is what a fault takes, beside its name.
type faultBody struct {
	Target       string        `yaml:"target"` // a machine's name, or a role that the seed fills
	For          time.Duration `yaml:"for"`    // how long it holds
	fault.Params `yaml:",inline"`
}

// strange finds the Go type in a decoder's message.
const strange = `not found in type ([\w.]+)`

// explain takes the Go types out of a decoder's message, and says what is known in their place.
func explain(err error) string {
	known := map[string][]string{}
	learnFields(reflect.TypeFor[Scenario](), known)
	learnFields(reflect.TypeFor[faultBody](), known)
	s := strings.TrimPrefix(err.Error(), "yaml: unmarshal errors:\n  ")
	return regexp.MustCompile(strange).ReplaceAllStringFunc(s, func(found string) string {
		return "is unknown; known: " + strings.Join(known[strings.TrimPrefix(found, "not found in type ")], ", ")
	})
}

// learnFields notes the names that a file may use of a type and of all that it is made of, by the types' names.
func learnFields(t reflect.Type, known map[string][]string) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		learnFields(t.Elem(), known)
		return
	case reflect.Struct:
	default:
		return
	}
	if _, done := known[t.String()]; done {
		return
	}
	known[t.String()] = fieldNames(t)
	for f := range t.Fields() {
		learnFields(f.Type, known)
	}
}

// fieldNames are a struct's own names, with those of what is inline in it.
func fieldNames(t reflect.Type) []string {
	var out []string
	for f := range t.Fields() {
		name, how, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case how == "inline":
			out = append(out, fieldNames(f.Type)...)
		case name != "" && name != "-":
			out = append(out, name)
		}
	}
	return out
}
