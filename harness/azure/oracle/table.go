// Package oracle holds the twin against what nobody here wrote: the table of the calls that Azure's own Go SDK makes and of the answers it takes
// (fixtures/arm/operations.tsv, read from the SDK's source by hack/armtable). It says which of them the twin answers, and which it does not.
package oracle

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"drydock.dev/drydock/fixtures"
)

// Operation is a method of the SDK.
type Operation struct {
	Method string // armcompute.DisksClient.BeginDelete
	Verb   string
	Path   string // with {placeholders}
	Call   string // the path of a call, with values for them
	Codes  []int  // that are no error
	Form   string // now, page, or lro with the way to its final state: lro:location
}

// Table is the SDK's operations.
func Table() ([]Operation, error) {
	raw, err := fixtures.ARM.ReadFile("arm/operations.tsv")
	if err != nil {
		return nil, fmt.Errorf("the SDK's operations: %w", err)
	}
	v, err := readValues()
	if err != nil {
		return nil, err
	}
	var out []Operation
	for n, line := range strings.Split(strings.TrimSpace(string(raw)), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 7 {
			return nil, fmt.Errorf("operations.tsv:%d: %d columns instead of 7", n+1, len(f))
		}
		o := Operation{Path: f[0], Verb: f[1], Form: f[3], Method: f[5]}
		for _, c := range strings.Split(f[2], ",") {
			code, err := strconv.Atoi(c)
			if err != nil {
				return nil, fmt.Errorf("operations.tsv:%d: %w", n+1, err)
			}
			o.Codes = append(o.Codes, code)
		}
		o.Call = v.call(o)
		out = append(out, o)
	}
	return out, nil
}

// Takes reports whether a status is none that the SDK makes an error of.
func (o Operation) Takes(code int) bool { return slices.Contains(o.Codes, code) }

// Lasting reports whether the SDK follows an operation after the answer.
func (o Operation) Lasting() bool { return strings.HasPrefix(o.Form, "lro") }

// Namespace is the resource provider a path is of; those of the Resource Manager itself are Microsoft.Resources.
func (o Operation) Namespace() string {
	parts := strings.Split(o.Path, "/")
	for i := len(parts) - 2; i >= 0; i-- {
		if strings.EqualFold(parts[i], "providers") && strings.HasPrefix(strings.ToLower(parts[i+1]), "microsoft.") {
			return strings.ToUpper(parts[i+1][:1]) + parts[i+1][1:]
		}
	}
	return "Microsoft.Resources"
}

// values are what calls are given for placeholders: the same as the SDK's own calls are (hack/armtable/calls).
type values struct {
	Names map[string]any            `yaml:"names"`
	Own   map[string]map[string]any `yaml:"own"`
}

// subscription stands for the one of a call.
const subscription = "00000000-0000-4000-8000-000000000001"

func readValues() (values, error) {
	var v values
	raw, err := fixtures.ARM.ReadFile("arm/bodies.yaml")
	if err != nil {
		return v, fmt.Errorf("the calls' values: %w", err)
	}
	if err := yaml.Unmarshal(bytes.ReplaceAll(raw, []byte("${subscription}"), []byte(subscription)), &v); err != nil {
		return v, fmt.Errorf("bodies.yaml: %w", err)
	}
	return v, nil
}

// call is the path with values.
func (v values) call(o Operation) string {
	var out []string
	for _, p := range strings.Split(o.Path, "/") {
		if name, ok := strings.CutPrefix(p, "{"); ok {
			p = v.value(o, strings.TrimSuffix(name, "}"))
		}
		if p != "" {
			out = append(out, p)
		}
	}
	return "/" + strings.Join(out, "/")
}

func (v values) value(o Operation, name string) string {
	if x, ok := v.Own[o.Method][name]; ok {
		return fmt.Sprint(x)
	}
	if x, ok := v.Names[name]; ok {
		if _, asked := x.(map[string]any); asked { // what only a running twin can say
			return strings.ToLower(name)
		}
		return fmt.Sprint(x)
	}
	if name == "subscriptionId" {
		return subscription
	}
	return strings.ToLower(name)
}
