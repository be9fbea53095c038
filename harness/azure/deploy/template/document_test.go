package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func document(t *testing.T, text string) map[string]any {
	t.Helper()
	if !strings.Contains(text, `"$schema"`) {
		text = `{"$schema":"https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#","contentVersion":"1.0.0.0",` + strings.TrimPrefix(text, "{")
	}
	var doc map[string]any
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return doc
}

// bound reads a template and gives it its parameters, each {"value": …}.
func bound(t *testing.T, text, given string) (*Template, *Scope, error) {
	t.Helper()
	tpl, err := Parse(document(t, text), Source{})
	if err != nil {
		return nil, nil, err
	}
	var values map[string]any
	if err := json.Unmarshal([]byte("{"+given+"}"), &values); err != nil {
		t.Fatal(err)
	}
	s := scope()
	s.Now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return tpl, s, tpl.Bind(s, values)
}

func TestDocumentsThatAreNone(t *testing.T) {
	for in, want := range map[string]string{
		`{"$schema":"x","resources":[]}`:                           "Required property 'contentVersion' not found in JSON",
		`{"contentVersion":"1.0.0.0","resources":[],"$schema":""}`: "Required property '$schema' not found in JSON",
		`{"metadata":{}}`: "Required property 'resources' not found in JSON", `{"resources":"x"}`: "Unexpected initial token 'String'", `{"resources":{}}`: "Unexpected initial token 'StartObject'",
		`{"resources":[],"resource":1}`: "Could not find member 'resource' on object of type 'Template'", `{"resources":[{"name":"x"}]}`: "Required property 'type' not found in JSON",
		`{"resources":[],"parameters":{"p":{"type":"string","default":1}}}`: "Could not find member 'default' on object of type 'TemplateInputParameter'",
		`{"resources":[],"parameters":{"p":{"type":"text"}}}`:               `Error converting value "text"`,
	} {
		_, _, err := bound(t, in, "")
		var mistake *Error
		if !errors.As(err, &mistake) || !mistake.Parse || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v does not say %q", in, err, want)
		}
	}
	many := func(n int, one string) string {
		var b []string
		for i := range n {
			b = append(b, fmt.Sprintf(`"x%d":%s`, i, one))
		}
		return "{" + strings.Join(b, ",") + "}"
	}
	for what, in := range map[string]string{
		"parameters limit exceeded. Limit: '256' and actual: '257'": `{"resources":[],"parameters":` + many(257, `{"type":"int","defaultValue":1}`) + `}`,
		"variables limit exceeded. Limit: '256' and actual: '257'":  `{"resources":[],"variables":` + many(257, `1`) + `}`,
		"outputs limit exceeded. Limit: '64' and actual: '65'":      `{"resources":[],"outputs":` + many(65, `{"type":"int","value":1}`) + `}`,
	} {
		if _, err := Parse(document(t, in), Source{}); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v does not say %q", err, what)
		}
	}
}

func TestParametersAndTheirConstraints(t *testing.T) {
	const tpl = `{"languageVersion":"2.0","resources":{},
		"definitions":{"month":{"type":"int","minValue":1,"maxValue":12},
			"pair":{"type":"array","prefixItems":[{"type":"int"},{"type":"bool"}],"items":false},
			"shape":{"type":"object","properties":{"name":{"type":"string","minLength":3},"size":{"$ref":"#/definitions/month","nullable":true}},"additionalProperties":{"type":"string"}},
			"closed":{"type":"object","properties":{"a":{"type":"int"}},"additionalProperties":false},
			"tagged":{"type":"object","discriminator":{"propertyName":"type","mapping":{"ints":{"type":"object","additionalProperties":{"type":"int"}},"strings":{"type":"object","additionalProperties":{"type":"string"}}}}}},
		"parameters":{
			"month":{"$ref":"#/definitions/month","defaultValue":1},"pair":{"$ref":"#/definitions/pair","nullable":true},"shape":{"$ref":"#/definitions/shape","nullable":true},
			"closed":{"$ref":"#/definitions/closed","nullable":true},"tagged":{"$ref":"#/definitions/tagged","nullable":true},
			"short":{"type":"string","maxLength":4,"minLength":2,"defaultValue":"abc"},"list":{"type":"array","maxLength":2,"allowedValues":["a","b","c"],"defaultValue":[]},
			"choice":{"type":"string","allowedValues":["one","two"],"defaultValue":"one"},"secret":{"type":"secureString","minLength":12,"defaultValue":"123456789012"},"flag":{"type":"bool","defaultValue":true}}}`
	for given, want := range map[string]string{
		`"month":{"value":12}`: "", `"MONTH":{"value":13}`: "less than or equal to '12'", `"month":{"value":0}`: "greater than or equal to '1'", `"month":{"value":"1"}`: "Expected 'Integer'. Actual 'String'",
		`"pair":{"value":[1,true]}`: "", `"pair":{"value":[1,true,1]}`: "'2' elements", `"pair":{"value":[1]}`: "'2' elements at least", `"pair":{"value":[true,1]}`: "Expected 'Integer'. Actual 'Boolean'",
		`"shape":{"value":{"name":"abc","more":"x"}}`: "", `"shape":{"value":{"size":3}}`: "The property 'name' is missing", `"shape":{"value":{"name":"abc","size":13}}`: "(at 'size')",
		`"shape":{"value":{"name":"abc","more":1}}`: "(at 'more')", `"closed":{"value":{"a":1,"b":2}}`: "The property 'b' is not allowed",
		`"tagged":{"value":{"type":"ints","foo":1}}`: "", `"tagged":{"value":{"type":"ints","foo":"x"}}`: "Expected 'Integer'", `"tagged":{"value":{"type":"x"}}`: "one of 'ints,strings'",
		`"short":{"value":"abcde"}`: "Length of the value should be less than or equal to '4'", `"short":{"value":"a"}`: "Length of the value should be greater than or equal to '2'",
		`"short":{"value":5}`: "Template parameter JToken type is not valid. Expected 'String, Uri'. Actual 'Integer'", `"list":{"value":["a","b","c"]}`: "less than or equal to '2'",
		`"list":{"value":["a","x"]}`: "not part of the allowed value(s): 'a,b,c'", `"list":{"value":["c"]}`: "",
		`"choice":{"value":"three"}`:   "The provided value 'three' for the template parameter 'choice' at line '1' and column '795' is not valid. The parameter value is not part of the allowed value(s): 'one,two'.",
		`"secret":{"value":"hunter2"}`: "The provided value for the template parameter 'secret'", `"flag":{"value":"true"}`: "Expected 'Boolean'. Actual 'String'", `"nope":{"value":1}`: "do not correspond to any parameters defined in the template: 'nope'",
	} {
		_, _, err := bound(t, tpl, given)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v does not say %q", given, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v tells the secret", err)
		}
	}
	if _, _, err := bound(t, `{"resources":[],"parameters":{"p":{"type":"string"}}}`, ""); err == nil || !strings.Contains(err.Error(), "The value for the template parameter 'p' at line '1' and column '139' is not provided") {
		t.Errorf("a parameter without a value: %v", err)
	}
}

func TestDefaultsOfParameters(t *testing.T) {
	_, s, err := bound(t, `{"resources":[],"parameters":{"a":{"type":"string","defaultValue":"[concat(parameters('b'), '-a')]"},"b":{"type":"string","defaultValue":"[utcNow('yyyy')]"},
		"id":{"type":"string","defaultValue":"[newGuid()]"},"where":{"type":"string","defaultValue":"[resourceGroup().location]"}}}`, "")
	if err != nil || s.Parameters["a"] != "2026-a" || len(text(s.Parameters["id"])) != 36 || s.Parameters["where"] != "westeurope" {
		t.Errorf("%v, %v", s.Parameters, err)
	}
	for in, want := range map[string]string{
		`{"resources":[],"parameters":{"a":{"type":"string","defaultValue":"[parameters('b')]"},"b":{"type":"string","defaultValue":"[parameters('a')]"}}}`: "Circular dependency detected in template language expression",
		`{"resources":[],"variables":{"v":1},"parameters":{"a":{"type":"int","defaultValue":"[variables('v')]"}}}`:                                          "'variables' is not expected",
		`{"resources":[],"variables":{"v":"[utcNow()]"}}`:       "The template variable 'v' is not valid: The template function 'utcNow' is not expected at this location",
		`{"resources":[],"variables":{"v":"[reference('x')]"}}`: "The template variable 'v' is not valid: The template function 'reference' is not expected at this location",
		`{"resources":[],"variables":{"v":"[copyIndex()]"}}`:    "'copyIndex' is not expected at this location",
		`{"resources":[],"variables":{"unused":"[nope('x')]"}}`: "The template function 'nope' is not valid",
	} {
		if _, _, err := bound(t, in, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v does not say %q", in, err, want)
		}
	}
}

func TestOutputs(t *testing.T) {
	tpl, s, err := bound(t, `{"resources":[],"parameters":{"on":{"type":"bool","defaultValue":false}},"outputs":{
		"many":{"type":"array","copy":{"count":"[length(range(0, 3))]","input":"[cidrSubnet('10.144.0.0/20', 24, copyIndex())]"}},
		"off":{"condition":"[parameters('on')]","type":"string","value":"[reference('later').x]"},"on":{"condition":true,"type":"string","value":"x"},
		"secret":{"type":"securestring","value":"hunter2"}}}`, "")
	if err != nil {
		t.Fatal(err)
	}
	out, err := tpl.Evaluated(s)
	if err != nil || compact(out["many"].Value) != `["10.144.0.0/24","10.144.1.0/24","10.144.2.0/24"]` || out["many"].Type != "Array" || out["on"].Value != "x" || !out["secret"].Secure || len(out) != 3 {
		t.Errorf("%v, %v", out, err)
	}
	tpl, s, _ = bound(t, `{"resources":[],"outputs":{"x":{"type":"string","value":"[length('abc')]"}}}`, "")
	var of *OutputError
	if _, err := tpl.Evaluated(s); !errors.As(err, &of) || of.Name != "x" || !strings.Contains(err.Error(), "Expected 'String, Uri'. Actual 'Integer'") {
		t.Errorf("an output of another type: %v", err)
	}
}

func TestSymbols(t *testing.T) {
	tpl, err := Parse(document(t, `{"languageVersion":"2.0","resources":{"nic":{"type":"a/b","name":"n"},"net":{"existing":true,"type":"a/c","name":"m"}}}`), Source{})
	if err != nil || !tpl.Symbolic || len(tpl.Resources) != 2 || tpl.Resources[0].Symbol != "net" || !tpl.Resources[0].Existing() || tpl.Resources[1].Existing() {
		t.Errorf("%+v, %v", tpl, err)
	}
}

// A few lines of variables that each name the one before twice once made 2^64 texts: each is evaluated once now, and the service's own limit is met.
func TestTheBombEndsWithTheServicesLimit(t *testing.T) {
	for name, x := range map[string]struct{ first, next, want string }{
		"text":  {`"'0123456789'"`, `"[concat(variables('v%[1]d'), variables('v%[1]d'))]"`, "The template language expression literal limit exceeded. Limit: '131072' and actual: '"},
		"array": {`[1]`, `"[createArray(variables('v%[1]d'), variables('v%[1]d'))]"`, "The size of the template exceeds the limit of '4194304' bytes"},
		"union": {`{"a":"0123456789"}`, `{"x":"[variables('v%[1]d')]","y":"[variables('v%[1]d')]"}`, "The size of the template exceeds the limit of '4194304' bytes"},
	} {
		var b strings.Builder
		b.WriteString(`"v0":` + x.first)
		for i := range 64 {
			fmt.Fprintf(&b, `,"v%d":%s`, i+1, fmt.Sprintf(x.next, i))
		}
		begun := time.Now()
		_, _, err := bound(t, `{"resources":[],"variables":{`+b.String()+`}}`, "")
		if err == nil || !strings.Contains(err.Error(), x.want) || !strings.HasPrefix(err.Error(), "The template variable 'v") {
			t.Errorf("%s: %.300v does not say %q", name, err, x.want)
		}
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("%s took %s", name, took)
		}
	}
	if _, _, err := bound(t, `{"resources":[],"variables":{"v":"[map(range(0,10000), lambda('x', map(range(0,10000), lambda('y', 1))))]"}}`, ""); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("endless work: %v", err)
	}
}

func TestCopyIndexWithoutANameIsTheResourcesLoop(t *testing.T) {
	inner := map[string]any{"copy": []any{map[string]any{"name": "disks", "count": 2.0, "input": map[string]any{"vm": "[copyIndex()]", "disk": "[copyIndex('disks')]"}}}}
	got, err := scope().Loop("vms", 7).Eval(inner)
	if err != nil || compact(got) != `{"disks":[{"disk":0,"vm":7},{"disk":1,"vm":7}]}` {
		t.Errorf("%s, %v", compact(got), err)
	}
	if _, err := scope().Eval(inner); err == nil || !strings.Contains(err.Error(), "can only be used in a resource with copy") {
		t.Errorf("without a loop of the resource: %v", err)
	}
}

func TestWhatIsEvaluatedIsNobodyElses(t *testing.T) {
	_, s, err := bound(t, `{"resources":[],"variables":{"v":{"a":{"b":1}}}}`, "")
	if err != nil {
		t.Fatal(err)
	}
	one, _ := s.Eval(map[string]any{"x": "[variables('v')]"})
	one.(map[string]any)["x"].(map[string]any)["a"].(map[string]any)["b"] = 2
	if again, _ := s.Eval("[variables('v').a.b]"); compact(again) != "1" {
		t.Errorf("a resource's own change is seen by the others: %s", compact(again))
	}
}
