package reports

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/plan"
)

// why is one reason of the verdict.
type why struct {
	plan.Cause
	Short  string // the begin of it; all of it stands where Anchor leads
	At     *plan.Place
	Anchor string
}

// reasonLength is how much of a reason is listed, in runes.
const reasonLength = 320

// whys are the reasons with where they are to be seen, and the verdict in one sentence.
func (v *view) whys() {
	for _, c := range v.Causes {
		w := why{Cause: c}
		if w.Short = shortened(c.Why, reasonLength); c.Of == plan.CauseEvidence {
			w.Short = c.Why
		}
		kind, id, _ := strings.Cut(c.Of, " ")
		switch kind + " " {
		case plan.CauseCheck:
			for i, ch := range v.Checks {
				if fmt.Sprint(i+1) == id {
					w.At, w.Anchor = ch.Place, "check-"+id
				}
			}
		case plan.CauseStep:
			w.At, w.Anchor = v.stepPlace(id), "plan"
		case plan.CauseFault:
			w.At, w.Anchor = v.faultPlace(id), "faults"
		case plan.CauseProbe:
			w.Anchor = "probes"
		default:
			w.Anchor = "evidence"
		}
		if w.At != nil { // it is widened to when the thing began, and is others' as well
			at := *w.At
			w.At = &at
		}
		v.Whys = append(v.Whys, w)
	}
	slices.SortStableFunc(v.Whys, func(a, b why) int { // what made the verdict comes first
		switch mine, theirs := a.Verdict == v.Verdict, b.Verdict == v.Verdict; {
		case mine == theirs:
			return 0
		case mine:
			return -1
		}
		return 1
	})
	made, skipped, confirmed := 0, "", 0
	for _, c := range v.Checks {
		if c.Verdict == plan.Pass {
			made++
		}
		if c.Verdict == plan.Skipped {
			skipped = " that had something to judge"
		}
	}
	for _, rc := range v.Receipts {
		if rc.State == plan.Confirmed {
			confirmed++
		}
	}
	v.Why = fmt.Sprintf("All %d checks%s hold, %s, and nothing is missing of the evidence.", made, skipped, faultsSeen(confirmed, len(v.Receipts)))
	if v.Verdict == plan.Go {
		return
	}
	v.Why, v.Said = inASentence(strings.Join(v.Reasons[:min(1, len(v.Reasons))], ""))
	for _, w := range v.Whys {
		if w.Verdict == v.Verdict && (len(v.Checks) > 0 || w.Of == plan.CauseEvidence) { // of a run that was cut off that is the reason
			v.Why, v.Said = inASentence(w.Why)
			v.Since, v.WhyAt = cmp.Or(v.ailing(w.At), v.when(w.At)), w.At
			return
		}
	}
}

// inASentence is the begin of a reason that says much, and apart from it what a program wrote. All of it stands further down.
func inASentence(why string) (sentence, said string) {
	const enough = 200
	left := 0
	for i, clause := range strings.Split(why, "; ") {
		switch {
		case strings.Contains(clause, ` said: "`):
			said = shortened(clause, enough)
		case i == 0:
			sentence = shortened(clause, 2*enough)
		case len(sentence)+len(clause) <= enough:
			sentence += "; " + clause
		default:
			left++
		}
	}
	if left > 0 {
		sentence += fmt.Sprintf("; and %d more", left)
	}
	return sentence, said
}

func shortened(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

func faultsSeen(confirmed, all int) string {
	switch all {
	case 0:
		return "no fault was planned"
	case 1:
		return "the fault was seen to take effect and to end"
	}
	return fmt.Sprintf("%d of %d faults were seen to take effect and to end", confirmed, all)
}

// ailing is since when something that a place names had not been well when the run ended, and widens the place to that: what a check finds at the end began
// before it.
func (v *view) ailing(p *plan.Place) string {
	if p == nil || !p.From.Equal(p.To) {
		return ""
	}
	t := v.timeline(p.Cell)
	if t == nil || p.To.Before(t.Ended) {
		return ""
	}
	most, said := 0, ""
	for _, g := range t.Groups {
		for _, l := range g.Lanes {
			named := 0
			for _, w := range l.Of {
				if slices.Contains(p.Of, w) {
					named++
				}
			}
			since, label := unwell(l)
			if named <= most || len(l.Samples) > 0 || l.Level || since.IsZero() {
				continue
			}
			most, p.From = named, since
			said = fmt.Sprintf("%s, %s: %s since %s.", g.Name, l.Name, label, inScenario(t, since))
		}
	}
	return said
}

// when is the time of a place, where it is not all of the scenario.
func (v *view) when(p *plan.Place) string {
	if p == nil {
		return ""
	}
	t := v.timeline(p.Cell)
	switch {
	case t == nil || !p.From.After(t.Began) && !p.To.Before(t.Ended):
		return ""
	case p.From.Equal(p.To):
		return "At " + inScenario(t, p.From) + "."
	}
	return fmt.Sprintf("From %s to %s.", inScenario(t, p.From), inScenario(t, p.To))
}

// unwell is since when a lane has been bad or silent until its end, and what it was first; zero: it was well at its end.
func unwell(l plan.Lane) (since time.Time, label string) {
	for i := len(l.Spans) - 1; i >= 0; i-- {
		switch s := l.Spans[i]; s.Tone {
		case plan.ToneBad, plan.ToneSilent:
			since, label = s.From, s.Label
		case plan.ToneWarn, plan.ToneUnseen:
		default:
			return since, label
		}
	}
	return since, label
}
