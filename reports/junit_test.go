package reports

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/plan"
)

// ciElement is what readers of JUnit know of an element: its attributes, those it must have, and what may be in it, in order.
type ciElement struct {
	attributes, needs, holds []string
}

// ciSchema is what the readers of Jenkins, GitLab and Azure Pipelines have in common.
func ciSchema() map[string]ciElement {
	said := ciElement{attributes: []string{"message", "type"}, needs: []string{"message", "type"}}
	return map[string]ciElement{
		"testsuite":  {[]string{"name", "tests", "failures", "errors", "skipped", "time", "timestamp"}, []string{"name", "tests", "failures", "errors"}, []string{"properties", "testcase"}},
		"properties": {holds: []string{"property"}},
		"property":   {attributes: []string{"name", "value"}, needs: []string{"name", "value"}},
		"testcase":   {[]string{"name", "classname", "time"}, []string{"name", "classname"}, []string{"failure", "error", "skipped", "system-out"}},
		"failure":    said, "error": said, "skipped": said, "system-out": {},
	}
}

// ciCase is a case as a CI system reads it.
type ciCase struct{ class, name, result, message, text string }

// ciReads reads a file as a CI system does that holds it to its schema: whatever that does not know is an error of the test.
func ciReads(t *testing.T, raw []byte) (cases []ciCase, suite map[string]string, properties map[string]string) {
	t.Helper()
	schema, properties := ciSchema(), map[string]string{}
	var open []string
	last := map[int]int{} // depth -> place of the last child in the order of its parent
	d := xml.NewDecoder(bytes.NewReader(raw))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch x := token.(type) {
		case xml.StartElement:
			name, has := x.Name.Local, map[string]string{}
			for _, a := range x.Attr {
				has[a.Name.Local] = a.Value
				if !slices.Contains(schema[name].attributes, a.Name.Local) {
					t.Errorf("<%s> has the attribute %s, which readers do not know", name, a.Name.Local)
				}
			}
			for _, n := range schema[name].needs {
				if has[n] == "" {
					t.Errorf("<%s %v> has no %s", name, has, n)
				}
			}
			if s := has["time"]; s != "" && !regexp.MustCompile(`^\d+\.\d{3}$`).MatchString(s) {
				t.Errorf("<%s> took %q", name, s)
			}
			if len(open) > 0 {
				at := slices.Index(schema[open[len(open)-1]].holds, name)
				if at < last[len(open)] {
					t.Errorf("<%s> is in <%s> at a place where readers do not expect it", name, open[len(open)-1])
				}
				last[len(open)] = at
			}
			switch open = append(open, name); name {
			case "testsuite":
				suite = has
			case "property":
				properties[has["name"]] = has["value"]
			case "testcase":
				cases = append(cases, ciCase{class: has["classname"], name: has["name"], result: "passed"})
			case "failure", "error", "skipped":
				c := &cases[len(cases)-1]
				c.result, c.message = name, has["message"]
			}
			last[len(open)] = 0
		case xml.CharData:
			if n := len(open); n > 0 && slices.Contains([]string{"failure", "error", "skipped", "system-out"}, open[n-1]) {
				cases[len(cases)-1].text += string(x)
			}
		case xml.EndElement:
			open = open[:len(open)-1]
		}
	}
	return cases, suite, properties
}

// everything is a result with a check, a receipt and a step in each state there is.
func everything() *plan.Result {
	r := seen()
	r.Checks = []plan.Check{
		{Name: "pass", When: "always", Verdict: plan.Pass, Message: "held"}, {Name: "fail", When: "always", Verdict: plan.Fail, Message: "etcd-1\nrefused \x01 <]]>"},
		{Name: "inconclusive", When: "always", Verdict: plan.Unknown, Message: "not read"}, {Name: "skipped", When: "always", Verdict: plan.Skipped, Message: "nothing to judge"},
		{Name: "odd", When: "always", Verdict: "of another version"}, {Name: "pass", When: "always", Verdict: plan.Pass, Message: "the second of that name"},
	}
	r.Receipts = append(r.Receipts, plan.Receipt{ID: "7", Fault: "a", State: plan.Mismatch, Error: "no effect was seen"}, plan.Receipt{ID: "8", Fault: "b", State: plan.NotInjected, Error: "it never began"})
	r.Steps = append(r.Steps, plan.StepDone{ID: "6", Name: "refused", Status: "expected", Error: "too old", DurationSeconds: 0.00001, Started: lasted(30)},
		plan.StepDone{ID: "7", Name: "rollback", Status: "skipped", Error: "nothing to put back"}, plan.StepDone{ID: "8", Name: "cut off", Status: "unfinished", Started: lasted(31)})
	r.Judge()
	return r
}

// TestJUnitAsCIReadsIt: a failed check is a failure, what is not known an error, and only what was seen to be well has passed; whatever is not passed says why.
func TestJUnitAsCIReadsIt(t *testing.T) {
	var b bytes.Buffer
	if err := JUnit(&b, everything()); err != nil {
		t.Fatal(err)
	}
	cases, suite, properties := ciReads(t, b.Bytes())
	want := map[string]string{
		"checks pass (always)": "passed", "checks fail (always)": "failure", "checks inconclusive (always)": "error", "checks skipped (always)": "skipped", "checks odd (always)": "error", "checks pass (always) #2": "passed",
		"receipts 4 etcdMemberCrash": "passed", "receipts 7 a": "error", "receipts 8 b": "error",
		"steps 1 bring up": "passed", "steps 4.1 inject": "passed", "steps 4.2 hold for 5s": "error", "steps 5 settle": "skipped", "steps 6 refused": "passed", "steps 7 rollback": "skipped", "steps 8 cut off": "error",
	}
	count := map[string]int{}
	for _, c := range cases {
		key := strings.TrimPrefix(c.class, "etcd-leader-crash.") + " " + c.name
		if c.result != want[key] {
			t.Errorf("%s: %s, want %q", key, c.result, want[key])
		}
		if c.text == "" || c.result != "passed" && (c.message == "" || strings.Contains(c.message, "\n")) {
			t.Errorf("%s: %s says %q, %q", key, c.result, c.message, c.text)
		}
		delete(want, key)
		count[c.result]++
	}
	if len(want) > 0 {
		t.Errorf("there is no case of %v", want)
	}
	for attribute, n := range map[string]int{"tests": len(cases), "failures": count["failure"], "errors": count["error"], "skipped": count["skipped"]} {
		if suite[attribute] != strconv.Itoa(n) {
			t.Errorf("%s is %s, there are %d", attribute, suite[attribute], n)
		}
	}
	for name, value := range map[string]string{"seed": "1", "provider": "lab", "verdict": "no-go", "cluster": "3+0 v1.35.4 (stacked etcd, fast timing)", "version etcd/control-plane-1": "v3.6.16", "command": "drydock run etcd-leader-crash --provider lab --seed 1"} {
		if properties[name] != value {
			t.Errorf("property %s is %q, want %q", name, properties[name], value)
		}
	}
}

// TestJUnitIsGreenForNothingButGo: a CI job that reads nothing else must not take what is missing for a pass.
func TestJUnitIsGreenForNothingButGo(t *testing.T) {
	for name, change := range map[string]func(r *plan.Result){
		"nothing":                 func(*plan.Result) {},
		"a gap":                   func(r *plan.Result) { r.Gaps = []string{"the observer stopped at 12:00:00"} },
		"a probe without samples": func(r *plan.Result) { r.Probes = append(r.Probes, plan.Probe{Name: "silent"}) },
		"no check at all":         func(r *plan.Result) { r.Checks, r.Receipts, r.Steps = nil, nil, nil },
	} {
		r := result()
		r.Checks, r.NotTested = r.Checks[:1], nil
		if r.Judge(); r.Verdict != plan.Go {
			t.Fatal(r.Reasons)
		}
		r.Reasons = nil
		change(r)
		r.Judge()
		var b bytes.Buffer
		if err := JUnit(&b, r); err != nil {
			t.Fatal(err)
		}
		_, suite, _ := ciReads(t, b.Bytes())
		if green := suite["failures"] == "0" && suite["errors"] == "0"; green != (name == "nothing") || green != (r.Verdict == plan.Go) {
			t.Errorf("%s: %s, and JUnit is green: %v\n%s", name, r.Verdict, green, b.String())
		}
	}
}
