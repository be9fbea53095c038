package reports

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"drydock.dev/drydock/harness/plan"
)

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Failure *junitMessage `xml:"failure,omitempty"`
	Error   *junitMessage `xml:"error,omitempty"`
	Skipped *junitMessage `xml:"skipped,omitempty"`
	Output  string        `xml:"system-out,omitempty"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
}

// JUnit writes one test case a check and a receipt, and one for each thing that is missing. What is inconclusive is an error: CI must not take it for
// a pass.
func JUnit(w io.Writer, r *plan.Result) error {
	suite := struct {
		XMLName  xml.Name    `xml:"testsuite"`
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Time     float64     `xml:"time,attr"`
		Stamp    string      `xml:"timestamp,attr"`
		Cases    []junitCase `xml:"testcase"`
	}{Name: r.Scenario, Time: r.DurationSeconds, Stamp: r.Started.UTC().Format(time.RFC3339)}
	add := func(c junitCase, v plan.Verdict, message string) {
		suite.Tests++
		switch v {
		case plan.Fail:
			suite.Failures++
			c.Failure = &junitMessage{message}
		case plan.Pass:
			c.Output = message
		case plan.Skipped:
			suite.Skipped++
			c.Skipped = &junitMessage{message}
		default:
			suite.Errors++
			c.Error = &junitMessage{"inconclusive: " + message}
		}
		suite.Cases = append(suite.Cases, c)
	}
	for _, c := range r.Checks {
		add(junitCase{Name: c.Name + " (" + c.When + ")", Class: r.Scenario + ".checks"}, c.Verdict, c.Message)
	}
	for _, rc := range r.Receipts {
		v := plan.Unknown
		if rc.State == plan.Confirmed {
			v = plan.Pass
		}
		add(junitCase{Name: rc.ID + " " + rc.Fault, Class: r.Scenario + ".receipts"}, v, rc.Says())
	}
	for _, s := range r.Steps {
		if s.Status == "failed" {
			add(junitCase{Name: s.ID + " " + s.Name, Class: r.Scenario + ".steps"}, plan.Unknown, s.Error)
		}
	}
	for _, p := range r.Probes {
		if p.Samples == 0 {
			add(junitCase{Name: p.Name, Class: r.Scenario + ".probes"}, plan.Unknown, "it took no sample")
		}
	}
	for i, g := range r.Gaps {
		add(junitCase{Name: fmt.Sprintf("evidence, gap %d", i+1), Class: r.Scenario + ".evidence"}, plan.Unknown, g)
	}
	if r.Verdict != plan.Go && suite.Failures+suite.Errors == 0 {
		add(junitCase{Name: "verdict", Class: r.Scenario}, plan.Unknown, strings.Join(r.Reasons, "; "))
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	return e.Encode(suite)
}
