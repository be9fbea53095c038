package calibrate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
)

// Lasted is how long the operations of a type took, of one verb, in seconds.
type Lasted struct {
	Type    string  `json:"type"`
	Verb    string  `json:"verb"` // create, update, delete, action
	Samples int     `json:"samples"`
	Min     float64 `json:"min"`
	Median  float64 `json:"median"`
	Max     float64 `json:"max"`
	Off     float64 `json:"off,omitempty"` // by how much each may be wrong, at most: of those of which only polls tell
	// Unfinished were not over within the recording, or nobody asked; Failed are those that failed or were canceled. Neither counts.
	Unfinished int `json:"unfinished,omitempty"`
	Failed     int `json:"failed,omitempty"`

	span state.Span
}

// Told is what clients of a type's operations were told.
type Told struct {
	Type  string  `json:"type"`
	What  string  `json:"what"` // write, delete or poll
	After float64 `json:"after"`
	// Samples were told After; Silent nothing, and Otherwise something else.
	Samples   int `json:"samples"`
	Silent    int `json:"silent,omitempty"`
	Otherwise int `json:"otherwise,omitempty"`
}

// timer makes timings of operations.
type timer struct {
	types []string // that the twin has
	gaps  []Gap
	took  []Lasted
	told  []Told
}

func (t *timer) gap(about, format string, args ...any) {
	t.gaps = append(t.gaps, Gap{ofTimings, about, fmt.Sprintf(format, args...)})
}

// deployment is the type whose operations take as long as what they deploy.
const deployment = "Microsoft.Resources/deployments"

// timings are how the operations of each type ran.
func (t *timer) timings(tracked *tracker) *state.Timings {
	out := &state.Timings{Types: map[string]state.Timing{}}
	byType := map[string][]*run{}
	for _, r := range tracked.runs {
		byType[t.name(r.typ)] = append(byType[t.name(r.typ)], r)
	}
	for _, typ := range slices.Sorted(maps.Keys(byType)) {
		timing := t.of(typ, byType[typ])
		if !slices.Contains(t.types, typ) {
			t.gap(typ, "what to do with it: the twin has no such type; %d operations are left out", len(byType[typ]))
			continue
		}
		if timing != (state.Timing{}) {
			out.Types[typ] = timing
		}
	}
	for _, typ := range slices.Sorted(maps.Keys(tracked.bodies)) {
		t.gap(typ, "how long %d writes took: only the resource's provisioningState told, and no operation", tracked.bodies[typ])
	}
	return out
}

// name is a type as the twin spells it.
func (t *timer) name(typ string) string {
	for _, known := range t.types {
		if strings.EqualFold(known, typ) {
			return known
		}
	}
	return typ
}

// of is how one type's operations ran.
func (t *timer) of(typ string, runs []*run) state.Timing {
	out := state.Timing{Form: t.form(typ, runs), At: t.at(typ, runs)}
	for _, v := range []struct {
		verb string
		into *state.Span
	}{{"create", &out.Create}, {"update", &out.Update}, {"delete", &out.Delete}, {"action", &out.Action}} {
		own := slices.DeleteFunc(slices.Clone(runs), func(r *run) bool { return r.verb != v.verb })
		if len(own) == 0 {
			continue
		}
		l := t.lasted(typ, v.verb, own)
		if *v.into = l.span; typ == deployment {
			*v.into = state.Span{} // it would change nothing
		}
	}
	var write, remove, poll []wait
	for _, r := range runs {
		if r.verb == "delete" {
			remove = append(remove, r.told)
		} else {
			write = append(write, r.told)
		}
		poll = append(poll, r.polls...)
	}
	out.RetryAfter = state.Retry{Write: t.retry(typ, "write", write), Delete: t.retry(typ, "delete", remove), Poll: t.retry(typ, "poll", poll)}
	return out
}

// lasted is how long the operations of one verb took.
func (t *timer) lasted(typ, verb string, runs []*run) Lasted {
	l := Lasted{Type: typ, Verb: verb}
	about := typ + " " + verb
	var took []float64
	guessed, elsewhere := 0, 0
	for _, r := range runs {
		switch {
		case r.over == 0:
			l.Unfinished++
			continue
		case !strings.EqualFold(r.status, arm.Succeeded):
			l.Failed++
			continue
		}
		lasted, off, told := r.took()
		if took = append(took, lasted); !told {
			guessed++
			if l.Off = max(l.Off, off); r.lasted >= 0 {
				elsewhere++
			}
		}
	}
	if l.Unfinished > 0 {
		t.gap(about, "how long %d of %d operations took: they were not heard to end within the recording", l.Unfinished, len(runs))
	}
	if l.Failed > 0 {
		t.gap(about, "how long %d of %d operations would have taken: they failed or were canceled", l.Failed, len(runs))
	}
	if l.Samples = len(took); l.Samples == 0 {
		t.took = append(t.took, l)
		return l
	}
	slices.Sort(took)
	l.Min, l.Median, l.Max = took[0], took[len(took)/2], took[len(took)-1]
	l.span = state.Span{Min: rounded(l.Min), Max: rounded(l.Max)}
	t.took = append(t.took, l)
	switch {
	case elsewhere > 0:
		t.gap(about, "how long %d of %d operations took by the service's clock, which runs otherwise than the recorder's; by the polls it is, to %.3g s", elsewhere, l.Samples, l.Off)
	case guessed > 0:
		t.gap(about, "how long %d of %d operations took exactly: no times were told, and polls show it to %.3g s", guessed, l.Samples, l.Off)
	}
	switch {
	case typ == deployment:
		t.gap(about, "how long it takes beside what it deploys: %d took %.3g to %.3g s, all in all; the twin's take as long as their resources", l.Samples, l.Min, l.Max)
	case l.Samples == 1:
		t.gap(about, "how its durations differ: there is one sample")
	case l.Samples < few:
		t.gap(about, "the shortest and the longest: there are %d samples", l.Samples)
	case (l.Min+l.Max)/2 > skewed*l.Median: // a few took very long: even between the two would be far more than most
		l.span.Max = rounded(2*l.Median - l.Min)
		t.gap(about, "how to say that few take very long: up to %.3g s were seen; written is what keeps the median of %.3g s", l.Max, l.Median)
	}
	return l
}

// skewed is how far the middle of a range may be above the median.
const skewed = 1.5

// rounded is a duration that is not zero, which would say nothing.
func rounded(s float64) time.Duration {
	return max(time.Millisecond, time.Duration(s*float64(time.Second)).Round(10*time.Millisecond))
}

// form is how most were told of.
func (t *timer) form(typ string, runs []*run) string {
	forms := map[string]int{}
	for _, r := range runs {
		forms[r.form]++
	}
	best := most(forms)
	if n := len(runs) - forms[best]; n > 0 {
		t.gap(typ, "how to say two forms of its operations: %d of %d were told otherwise than by %s", n, len(runs), best)
	}
	return best
}

// at is where they are asked after.
func (t *timer) at(typ string, runs []*run) string {
	places := map[string]int{}
	for _, r := range runs {
		if r.at != "" && !strings.HasPrefix(typ, "Microsoft.Network/") { // whose operations are in one place, and their results in another
			places[r.at]++
		}
	}
	best := most(places)
	for _, known := range state.Places() {
		if strings.EqualFold(known, best) {
			return known
		}
	}
	if best != "" {
		t.gap(typ, "how to ask after its operations at %q: the twin tells of %s", best, strings.Join(state.Places(), " and "))
	}
	return ""
}

// retry is what most were told; below 0: nothing.
func (t *timer) retry(typ, what string, all []wait) time.Duration {
	if len(all) == 0 {
		if what == "poll" {
			t.gap(typ, "Retry-After of a poll: none was answered while an operation ran")
		}
		return 0
	}
	values, silent := map[time.Duration]int{}, 0
	for _, w := range all {
		if w.told && w.after > 0 {
			values[w.after]++
		} else {
			silent++
		}
	}
	best := most(values)
	told := Told{Type: typ, What: what, After: best.Seconds(), Samples: values[best], Silent: silent, Otherwise: len(all) - silent - values[best]}
	t.told = append(t.told, told)
	if told.Otherwise > 0 || silent > 0 && best > 0 {
		t.gap(typ, "how to say that Retry-After with a %s differs: %d of %d were told %g s, %d nothing", what, told.Samples, len(all), told.After, silent)
	}
	if silent > told.Samples {
		return -time.Second
	}
	return best
}

// most is the value that was there most often, the smallest of those; the zero value if there is none.
func most[T cmp.Ordered](counts map[T]int) (best T) {
	for _, v := range slices.Sorted(maps.Keys(counts)) {
		if counts[v] > counts[best] {
			best = v
		}
	}
	return best
}
