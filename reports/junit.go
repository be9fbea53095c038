package reports

import (
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/plan"
)

// junitSuite is the one suite of a junit.xml, in the order of its elements that the schemas of CI systems want.
type junitSuite struct {
	XMLName    xml.Name        `xml:"testsuite"`
	Name       string          `xml:"name,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Skipped    int             `xml:"skipped,attr"`
	Time       string          `xml:"time,attr"`
	Stamp      string          `xml:"timestamp,attr"`
	Properties []junitProperty `xml:"properties>property"`
	Cases      []junitCase     `xml:"testcase"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitMessage `xml:"failure,omitempty"`
	Error   *junitMessage `xml:"error,omitempty"`
	Skipped *junitMessage `xml:"skipped,omitempty"`
	Output  string        `xml:"system-out,omitempty"`
}

// junitMessage has its text twice: some systems show the attribute, others what is in the element.
type junitMessage struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes a test case for each check, receipt and step, and for each thing that is missing. What is inconclusive is an error: CI must take it neither
// for a pass nor for a skip.
func JUnit(w io.Writer, r *plan.Result) error {
	s := &junitSuite{Name: r.Scenario, Time: junitSeconds(r.DurationSeconds), Stamp: r.Started.UTC().Format(time.RFC3339), Properties: junitProperties(r)}
	for _, c := range r.Checks {
		s.add("checks", c.Name+" ("+c.When+")", 0, c.Verdict, c.Message)
	}
	for _, rc := range r.Receipts {
		v := plan.Unknown
		if rc.State == plan.Confirmed {
			v = plan.Pass
		}
		s.add("receipts", rc.ID+" "+rc.Fault, rc.ClearedAt.Sub(rc.Armed).Seconds(), v, rc.Says())
	}
	for _, n := range tree(r) {
		if !n.Group {
			v, says := junitStep(n)
			s.add("steps", n.ID+" "+n.Name, n.Ended.Sub(n.Started).Seconds(), v, says)
		}
	}
	for _, p := range r.Probes {
		if p.Samples == 0 {
			s.add("probes", p.Name, 0, plan.Unknown, "it took no sample")
		}
	}
	for i, g := range r.Gaps {
		s.add("evidence", fmt.Sprintf("gap %d", i+1), 0, plan.Unknown, g)
	}
	if r.Verdict != plan.Go && s.Failures+s.Errors == 0 {
		s.add("verdict", string(r.Verdict), 0, plan.Unknown, strings.Join(r.Reasons, "; "))
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	return e.Encode(s)
}

// junitStep is what CI is told of a step. One that failed has kept the run from showing what it was for: no check has judged it.
func junitStep(n node) (plan.Verdict, string) {
	switch n.Status {
	case "done":
		return plan.Pass, "done"
	case "expected":
		return plan.Pass, "failed, as the plan wanted: " + n.Error
	case "skipped":
		return plan.Skipped, n.Error
	case "not reached":
		return plan.Skipped, "not reached: the run ended before it"
	default:
		return plan.Unknown, n.Status + ": " + n.Error
	}
}

// add counts a case. Names are the keys by which CI systems tell cases apart: a second one of a name gets a number.
func (s *junitSuite) add(class, name string, seconds float64, v plan.Verdict, says string) {
	c := junitCase{Name: name, Class: s.Name + "." + class, Time: junitSeconds(seconds)}
	for n := 2; slices.ContainsFunc(s.Cases, func(other junitCase) bool { return other.Class == c.Class && other.Name == c.Name }); n++ {
		c.Name = fmt.Sprintf("%s #%d", name, n)
	}
	said := func(kind string) *junitMessage { return &junitMessage{Message: oneLine(says), Type: kind, Text: says} }
	if says == "" {
		says = "nothing was said of it"
	}
	s.Tests++
	switch v {
	case plan.Pass:
		c.Output = says
	case plan.Fail:
		s.Failures++
		c.Failure = said(string(v))
	case plan.Skipped:
		s.Skipped++
		c.Skipped = said(string(v))
	default:
		s.Errors++
		says = "inconclusive: " + says
		c.Error = said(string(plan.Unknown))
	}
	s.Cases = append(s.Cases, c)
}

// junitSeconds is a time without an exponent, which readers of JUnit do not know.
func junitSeconds(s float64) string { return fmt.Sprintf("%.3f", max(0, s)) }

// junitProperties are what one must know to do it again, and what was tested.
func junitProperties(r *plan.Result) []junitProperty {
	out := []junitProperty{{"scenario", r.Scenario}, {"provider", r.Provider}, {"seed", fmt.Sprint(r.Seed)}, {"verdict", string(r.Verdict)}}
	if r.Command != "" {
		out = append(out, junitProperty{"command", r.Command})
	}
	for i, c := range r.Cluster {
		of := ""
		if len(r.Cluster) > 1 {
			of = fmt.Sprintf(" %d", i+1)
		}
		out = append(out, junitProperty{"cluster" + of, c.Topology})
		for _, what := range slices.Sorted(maps.Keys(c.Versions)) {
			out = append(out, junitProperty{"version" + of + " " + what, c.Versions[what]})
		}
	}
	return out
}
