package azure

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/throttle"
)

// The bounds of the log: the oldest calls go first, and what more kinds of calls are made than anybody counts is counted as other.
const (
	maxCalls  = 200_000
	chunk     = 4_000
	maxCounts = 10_000
	maxText   = 2048 // of a path, say
	other     = "other"
)

// CallLog keeps what clients did, and counts it.
type CallLog struct {
	mu     sync.Mutex
	chunks [][]arm.Call // each but the last is full, and none is ever changed
	first  int          // the number of the first call
	size   int
	counts map[countKey]int
	wanted map[wantKey]int
	least  map[leastKey]Least
}

// leastKey is a budget and whose it is.
type leastKey struct{ budget, principal string }

// Least is how little was ever left of a budget that somebody drew on. What a fault played is not counted.
type Least struct {
	Budget    string `json:"budget"`              // as the header tells it: a provider's policy, or x-ms-ratelimit-remaining-…
	Principal string `json:"principal,omitempty"` // of the gateway's; a provider counts all of a subscription
	Left      int    `json:"left"`
	Of        int    `json:"of"`
}

// leaves notes what a call has left of budgets: with the call, and the least there ever was. What a fault played is neither.
func (l *CallLog) leaves(c *arm.Call, left []throttle.Remaining) {
	if len(left) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range left {
		if b.Played {
			continue
		}
		told := arm.Left{Budget: b.Header, Left: b.Left, Of: b.Of}
		c.Left = append(c.Left, told)
		key := leastKey{b.Header, told.Whose(c.Principal)}
		was, known := l.least[key]
		if known && was.Left <= b.Left || !known && len(l.least) >= maxCounts {
			continue
		}
		l.least[key] = Least{Budget: b.Header, Principal: key.principal, Left: b.Left, Of: b.Of}
	}
}

// Least lists how little was ever left of the budgets, least first.
func (l *CallLog) Least() []Least {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.SortedFunc(maps.Values(l.least), func(a, b Least) int {
		return cmp.Or(cmp.Compare(float64(a.Left)/float64(max(1, a.Of)), float64(b.Left)/float64(max(1, b.Of))), strings.Compare(a.Budget+a.Principal, b.Budget+b.Principal))
	})
}

// wantKey is something of Azure that the twin does not have, and who wanted it.
type wantKey struct{ call, principal string }

type countKey struct {
	operation, principal, budget, outcome string
}

func newCallLog() *CallLog {
	return &CallLog{counts: map[countKey]int{}, wanted: map[wantKey]int{}, least: map[leastKey]Least{}}
}

// Outcomes are what may become of a call.
func Outcomes() []string { return []string{"ok", "throttled", "fault", "4xx", "5xx"} }

// outcome is what became of a call: ok, throttled, fault, or the class of its status.
func outcome(c arm.Call) string {
	switch {
	case c.Fault != "":
		return "fault"
	case c.Throttled != "":
		return "throttled"
	case c.Status < 400:
		return "ok"
	case c.Status < 500:
		return "4xx"
	default:
		return "5xx"
	}
}

func (l *CallLog) add(c arm.Call) {
	for _, s := range []*string{&c.Operation, &c.Principal, &c.Path, &c.APIVersion, &c.Subscription, &c.Location} { // clients choose them
		if len(*s) > maxText {
			*s = strings.Clone((*s)[:maxText])
		}
	}
	c.Operation, c.Principal = strings.ToValidUTF8(c.Operation, "?"), strings.ToValidUTF8(c.Principal, "?") // metrics take nothing else
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size%chunk == 0 {
		l.chunks = append(l.chunks, make([]arm.Call, 0, chunk))
	}
	if l.size == maxCalls {
		l.chunks, l.first, l.size = slices.Delete(l.chunks, 0, 1), l.first+chunk, l.size-chunk
	}
	last := &l.chunks[len(l.chunks)-1]
	*last, l.size = append(*last, c), l.size+1
	key := countKey{c.Operation, c.Principal, throttle.Budget(c.Method), outcome(c)}
	if c.Beside() {
		key.budget = ""
	}
	if _, known := l.counts[key]; !known && len(l.counts) >= maxCounts {
		key.operation, key.principal = other, other
	}
	l.counts[key]++
	if c.Unanswered == "" {
		return
	}
	want := wantKey{strings.ToValidUTF8(c.Unanswered, "?"), c.Principal}
	if _, known := l.wanted[want]; !known && len(l.wanted) >= maxCounts {
		want = wantKey{other, other}
	}
	l.wanted[want]++
}

// Unanswered is how often a principal wanted something of Azure that the twin does not have.
type Unanswered struct {
	Call      string `json:"call"` // VERB and the path without names
	Principal string `json:"principal"`
	Count     int    `json:"count"`
}

// Unanswered lists what clients wanted and the twin does not have, most first.
func (l *CallLog) Unanswered() []Unanswered {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Unanswered, 0, len(l.wanted))
	for w, n := range l.wanted {
		out = append(out, Unanswered{w.call, w.principal, n})
	}
	slices.SortFunc(out, func(a, b Unanswered) int {
		return cmp.Or(b.Count-a.Count, strings.Compare(a.Call, b.Call), strings.Compare(a.Principal, b.Principal))
	})
	return out
}

// Since gives the calls from a number on, and the number to ask from next.
func (l *CallLog) Since(n int) ([]arm.Call, int) {
	l.mu.Lock()
	from, next := min(max(0, n-l.first), l.size), l.first+l.size
	chunks := slices.Clone(l.chunks[from/chunk:])
	l.mu.Unlock()
	out := make([]arm.Call, 0, next-l.first-from) // what is in the chunks stays as it is: nobody waits for the copy
	for i, c := range chunks {
		if i == 0 {
			c = c[from%chunk:]
		}
		out = append(out, c...)
	}
	return out, next
}

// Row is what one principal did of one operation.
type Row struct {
	Operation string `json:"operation"`
	Principal string `json:"principal"`
	Budget    string `json:"budget"` // reads, writes, deletes; empty: it is for no resource, and draws on none
	OK        int    `json:"ok"`
	Throttled int    `json:"throttled"`
	Faults    int    `json:"faults"`
	Failed    int    `json:"failed"` // other answers from 400 on
}

// Amplification is calls made for one that was needed; 0 when none passed.
func (r Row) Amplification() float64 {
	if r.OK == 0 {
		return 0
	}
	return float64(r.OK+r.Throttled+r.Faults) / float64(r.OK)
}

// Summary counts the calls by operation and principal, most first.
func (l *CallLog) Summary() []Row {
	l.mu.Lock()
	defer l.mu.Unlock()
	rows := map[countKey]*Row{}
	for k, n := range l.counts {
		key := countKey{operation: k.operation, principal: k.principal, budget: k.budget}
		r := rows[key]
		if r == nil {
			r = &Row{Operation: k.operation, Principal: k.principal, Budget: k.budget}
			rows[key] = r
		}
		switch k.outcome {
		case "ok":
			r.OK += n
		case "throttled":
			r.Throttled += n
		case "fault":
			r.Faults += n
		default:
			r.Failed += n
		}
	}
	out := make([]Row, 0, len(rows))
	for _, r := range rows {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b Row) int {
		if d := b.OK + b.Throttled + b.Faults - a.OK - a.Throttled - a.Faults; d != 0 {
			return d
		}
		return strings.Compare(a.Operation+a.Principal, b.Operation+b.Principal)
	})
	return out
}

// Reset forgets everything.
func (l *CallLog) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.first += l.size
	l.chunks, l.size, l.counts, l.wanted, l.least = nil, 0, map[countKey]int{}, map[wantKey]int{}, map[leastKey]Least{}
}
