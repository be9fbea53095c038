package reports

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"drydock.dev/drydock/harness/plan"
)

// Noise is what two runs of one thing differ by anyway: a time counts as another only where it is so by both, the share of the shorter one and the seconds.
type Noise struct {
	Percent float64 `json:"percent"`
	Seconds float64 `json:"seconds"`
}

// String says the threshold in a sentence.
func (n Noise) String() string {
	return fmt.Sprintf("Times count as others where they differ by more than %g %% and by more than %g s.", n.Percent, n.Seconds)
}

func (n Noise) differ(a, b float64) bool {
	low, high := min(a, b), max(a, b)
	return high-low > n.Seconds && high > low*(1+n.Percent/100)
}

// Way is which way something has gone from one run to another.
type Way string

// The ways.
const (
	Worse  Way = "worse"
	Better Way = "better"
	Other  Way = "other" // neither, or nobody can say
)

// Difference is one thing that is not in the second run as it was in the first.
type Difference struct {
	Way    Way    `json:"way"`
	Of     string `json:"of"`
	What   string `json:"what"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// Comparison is in what a run differs from an earlier one.
type Comparison struct {
	Before      string       `json:"before"` // in a few words
	After       string       `json:"after"`
	Noise       Noise        `json:"noise"`
	Differences []Difference `json:"differences"`
	Missing     []string     `json:"missing"` // of the evidence of either: what was not kept could not be compared
}

// Outcome is fail where something got worse, and inconclusive where nothing did as far as the evidence goes, and some of that is missing.
func (c *Comparison) Outcome() plan.Verdict {
	switch {
	case slices.ContainsFunc(c.Differences, func(d Difference) bool { return d.Way == Worse }):
		return plan.Fail
	case len(c.Missing) > 0:
		return plan.Unknown
	}
	return plan.Pass
}

// comparer gathers the differences.
type comparer struct {
	a, b  *plan.Result
	noise Noise
	out   []Difference
}

// Compare says in what the second run differs from the first, the worse first.
func Compare(a, b *plan.Result, noise Noise) *Comparison {
	c := &comparer{a: a, b: b, noise: noise}
	c.identity()
	c.verdicts()
	c.receipts()
	c.margins()
	c.times()
	c.cells()
	order := []Way{Worse, Better, Other}
	slices.SortStableFunc(c.out, func(x, y Difference) int { return cmp.Compare(slices.Index(order, x.Way), slices.Index(order, y.Way)) })
	told := func(r *plan.Result) string {
		return fmt.Sprintf("%s of %s, seed %d, %s", strings.ToUpper(string(r.Verdict)), r.Scenario, r.Seed, r.Started.Format("2006-01-02 15:04:05"))
	}
	out := &Comparison{Before: told(a), After: told(b), Noise: noise, Differences: append([]Difference{}, c.out...), Missing: []string{}}
	for _, g := range a.Gaps {
		out.Missing = append(out.Missing, "of the first: "+g)
	}
	for _, g := range b.Gaps {
		out.Missing = append(out.Missing, "of the second: "+g)
	}
	return out
}

func (c *comparer) add(w Way, of, what, before, after string) {
	c.out = append(c.out, Difference{w, of, what, before, after})
}

// changed adds what is another and neither better nor worse.
func (c *comparer) changed(of, what, before, after string) {
	if before != after {
		c.add(Other, of, what, or(before), or(after))
	}
}

func or(s string) string { return cmp.Or(s, "–") }

// ranked adds what has another place in an order, the best first.
func ranked[T ~string](c *comparer, order []T, of, what string, before, after T) {
	switch d := slices.Index(order, after) - slices.Index(order, before); {
	case d > 0:
		c.add(Worse, of, what, string(before), string(after))
	case d < 0:
		c.add(Better, of, what, string(before), string(after))
	}
}

// took adds a time that is another by more than the noise; the longer the worse.
func (c *comparer) took(of, what string, before, after float64) {
	if !c.noise.differ(before, after) {
		return
	}
	way := Worse
	if after < before {
		way = Better
	}
	c.add(way, of, what, seconds(before), seconds(after))
}

// identity is what the runs were of.
func (c *comparer) identity() {
	c.changed("run", "scenario", c.a.Scenario, c.b.Scenario)
	c.changed("run", "provider", c.a.Provider, c.b.Provider)
	c.changed("run", "seed", fmt.Sprint(c.a.Seed), fmt.Sprint(c.b.Seed))
	c.maps("version", versionsOf(c.a), versionsOf(c.b))
	c.maps("fingerprint", printsOf(c.a), printsOf(c.b))
	if x, y := c.a.Host, c.b.Host; x != nil && y != nil && (c.noise.differ(x.Load, y.Load) || c.noise.differ(x.BlindSeconds, y.BlindSeconds)) {
		c.add(Other, "host", "how busy it was", x.String(), y.String())
	}
}

func (c *comparer) maps(of string, a, b map[string]string) {
	all := maps.Clone(a)
	maps.Copy(all, b)
	for _, k := range slices.Sorted(maps.Keys(all)) {
		c.changed(of, k, a[k], b[k])
	}
}

func versionsOf(r *plan.Result) map[string]string {
	out := map[string]string{}
	for i, x := range r.Cluster {
		in := ""
		if len(r.Cluster) > 1 {
			in = fmt.Sprintf("cluster %d: ", i+1)
		}
		out[in+"topology"] = x.Topology
		for program, v := range x.Versions {
			out[in+program] = v
		}
	}
	return out
}

// printsOf are the fingerprints, flat.
func printsOf(r *plan.Result) map[string]string {
	out := map[string]string{}
	for _, f := range r.Fingerprints {
		in := strings.TrimPrefix(f.Cell+": ", ": ")
		out[in+"scenario's file"], out[in+"Drydock"], out[in+"host"] = f.Scenario.Sum, f.Drydock.String(), f.Host.String()
		for program, sum := range f.Programs {
			out[in+program] = sum
		}
	}
	return out
}

// verdicts are those of the run and of each check.
func (c *comparer) verdicts() {
	ranked(c, []plan.Verdict{plan.Go, plan.Inconclusive, plan.NoGo}, "verdict", "the run", c.a.Verdict, c.b.Verdict)
	order := []plan.Verdict{plan.Pass, plan.Skipped, plan.Unknown, plan.Fail}
	c.paired(namesOf(c.a.Checks, checkName), namesOf(c.b.Checks, checkName), "check", func(what string, i, j int) {
		ranked(c, order, "check", what, c.a.Checks[i].Verdict, c.b.Checks[j].Verdict)
	})
}

func checkName(x plan.Check) string { return x.Name + " (" + x.When + ")" }

// paired calls each for what is in both lists, by name and by which of that name it is, and tells what is in one only: what is not made any more is worse.
func (c *comparer) paired(a, b []string, of string, each func(what string, i, j int)) {
	a, b = numbered(a), numbered(b)
	for i, name := range a {
		if j := slices.Index(b, name); j >= 0 {
			each(name, i, j)
			continue
		}
		c.add(Worse, of, name, "there", "not there any more")
	}
	for _, name := range b {
		if !slices.Contains(a, name) {
			c.add(Better, of, name, "not there", "there")
		}
	}
}

func namesOf[T any](list []T, name func(T) string) []string {
	var out []string
	for _, x := range list {
		out = append(out, name(x))
	}
	return out
}

// numbered tells those of one name apart.
func numbered(names []string) []string {
	seen := map[string]int{}
	var out []string
	for _, n := range names {
		if seen[n]++; seen[n] > 1 {
			n = fmt.Sprintf("%s #%d", n, seen[n])
		}
		out = append(out, n)
	}
	return out
}

func (c *comparer) receipts() {
	name := func(r plan.Receipt) string { return strings.TrimSuffix(r.Fault+" of "+r.Target, " of ") }
	order := []string{plan.Confirmed, plan.NotInjected, plan.Mismatch}
	c.paired(namesOf(c.a.Receipts, name), namesOf(c.b.Receipts, name), "receipt", func(what string, i, j int) {
		x, y := c.a.Receipts[i], c.b.Receipts[j]
		ranked(c, order, "receipt", what, x.State, y.State)
		switch {
		case len(x.Emulated) == 0 && len(y.Emulated) > 0:
			c.add(Worse, "receipt", what, "for real", "emulated")
		case len(x.Emulated) > 0 && len(y.Emulated) == 0:
			c.add(Better, "receipt", what, "emulated", "for real")
		}
		c.changed("receipt", what+": machines", strings.Join(x.Machines, ", "), strings.Join(y.Machines, ", "))
	})
}

// Text writes the comparison for people.
func (c *Comparison) Text(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Before  %s\nAfter   %s\n%s\n\n", c.Before, c.After, c.Noise)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	const wide = 96
	if len(c.Differences) > 0 {
		_, _ = fmt.Fprintln(t, "\tOF\tWHAT\tBEFORE\tAFTER")
	}
	for _, d := range c.Differences {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", d.Way, d.Of, shortened(oneLine(d.What), wide), shortened(oneLine(d.Before), wide), shortened(oneLine(d.After), wide))
	}
	_ = t.Flush() // to memory
	for _, m := range c.Missing {
		fmt.Fprintf(&b, "missing %s\n", oneLine(m))
	}
	n := 0
	for _, d := range c.Differences {
		if d.Way == Worse {
			n++
		}
	}
	switch c.Outcome() {
	case plan.Fail:
		fmt.Fprintf(&b, "\n%d %s worse\n", n, plural(n, "thing is", "things are"))
	case plan.Pass:
		b.WriteString("\nNothing is worse\n")
	default:
		b.WriteString("\nNothing is seen to be worse, and some of the evidence is missing\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
