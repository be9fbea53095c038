package calibrate

import (
	"fmt"
	"math"
	"slices"
	"time"

	"drydock.dev/drydock/harness/azure/throttle"
)

// Measured is what the recording shows of a budget.
type Measured struct {
	Samples  int     `json:"samples"`
	Rejected int     `json:"rejected"`           // of them: 429
	Least    int     `json:"least"`              // calls that were left, at the worst of times
	Most     int     `json:"most"`               // and at the best, before a call: it holds at least so many
	Exact    bool    `json:"exact"`              // it holds no more: it was seen full, or a 429 said so
	Low      float64 `json:"low"`                // refill in a second, at least
	High     float64 `json:"high,omitempty"`     // and at most; 0: nothing is known
	Interval float64 `json:"interval,omitempty"` // seconds after which all is given back, as a 429 or the policy's name says
	Steps    int     `json:"steps,omitempty"`    // how often all was given back at once
	Others   bool    `json:"others,omitempty"`   // it fell by more than the recorded calls: somebody else draws on it
	Hostile  bool    `json:"hostile,omitempty"`  // early calls lengthened the block
	// RetryAfter is the least and the most that was told with a 429, in seconds; Silent is how many were told nothing.
	RetryAfter []float64 `json:"retryAfter,omitempty"`
	Silent     int       `json:"silent,omitempty"`

	window window  // of steps
	lasted float64 // s, from when it was at its best to when a rejection said that it is over
}

// measure looks at the samples of one owner, in the order of their requests; allowed and interval are what its rejections said, 0: nothing.
func measure(samples []sample, allowed int, interval time.Duration) Measured {
	c := newCurve(samples, allowed)
	m := Measured{Samples: len(samples), Least: math.MaxInt, Most: max(c.most, allowed), Hostile: c.hostile, Interval: interval.Seconds()}
	begun := samples[0].begun // of the calls since it was at its best
	for _, s := range samples {
		if s.left != unsaid {
			m.Least = min(m.Least, s.left)
			if s.left+s.draws == c.most {
				begun = s.begun
			}
		}
		if !s.refused {
			continue
		}
		m.Rejected++
		m.Least = 0
		if s.after < 0 {
			m.Silent++
			continue
		}
		after := s.after.Seconds()
		m.lasted = max(m.lasted, s.ended+after-begun)
		if m.RetryAfter == nil {
			m.RetryAfter = []float64{after, after}
		}
		m.RetryAfter = []float64{min(m.RetryAfter[0], after), max(m.RetryAfter[1], after)}
	}
	if m.Least == math.MaxInt {
		m.Least = 0
	}
	low, high, falls := c.slope()
	m.window, m.Steps = c.window()
	if m.Low, m.Others = low, falls; !math.IsInf(high, 1) {
		m.High = high
	}
	m.Exact = allowed >= c.most && allowed > 0 || m.bucket() && c.full(low) || m.Window() && m.Steps > 0
	return m
}

// slack is what the bounds of a refill may be apart the wrong way: the sums are of fractions.
const slack = 1.0001

// bucket reports whether a bucket that fills evenly explains what was seen.
func (m Measured) bucket() bool { return m.High == 0 || m.Low <= m.High*slack }

// Window reports whether it is given back all at once: it was seen to be, or a 429 or its name says so.
func (m Measured) Window() bool {
	return !m.known() && (m.Interval > 0 || !m.bucket() && m.Steps > 0 && m.window.low < m.window.high)
}

// steps is how often a budget that nobody met must have been given back at once to be taken for a window.
const steps = 2

// narrow is how far the bounds of a refill may be apart for it to count as known.
const narrow = 1.25

func (m Measured) known() bool {
	return m.bucket() && m.Low > 0 && m.High > 0 && m.High <= m.Low*narrow
}

// and puts together what two owners show of one limit.
func (m Measured) and(o Measured) Measured {
	a, b := m, o
	if o.Samples > m.Samples {
		a, b = o, m
	}
	a.Samples += b.Samples
	a.Rejected, a.Silent, a.Least, a.Others, a.Hostile = a.Rejected+b.Rejected, a.Silent+b.Silent, min(a.Least, b.Least), a.Others || b.Others, a.Hostile || b.Hostile
	switch {
	case b.Most > a.Most:
		a.Most, a.Exact = b.Most, b.Exact
	case b.Most == a.Most:
		a.Exact = a.Exact || b.Exact
	}
	if b.RetryAfter != nil {
		if a.RetryAfter == nil {
			a.RetryAfter = b.RetryAfter
		}
		a.RetryAfter = []float64{min(a.RetryAfter[0], b.RetryAfter[0]), max(a.RetryAfter[1], b.RetryAfter[1])}
	}
	if a.Interval == 0 {
		a.Interval = b.Interval
	}
	if a.lasted == 0 {
		a.lasted = b.lasted
	}
	if a.Steps == 0 {
		a.Steps, a.window = b.Steps, b.window
	} else if w := (window{max(a.window.low, b.window.low), min(a.window.high, b.window.high)}); b.Steps > 0 && w.low <= w.high {
		a.Steps, a.window = a.Steps+b.Steps, w
	}
	if both := (Measured{Low: max(a.Low, b.Low), High: least(a.High, b.High)}); both.bucket() {
		a.Low, a.High = both.Low, both.High
	}
	return a
}

// least is the smaller one of those that are there.
func least(a, b float64) float64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// limit makes a limit of what is known; nil: too little is. open is what could not be known.
func (m Measured) limit(per time.Duration) (l *throttle.Limit, open []string) {
	l = &throttle.Limit{Capacity: max(1, m.Most)}
	rate := func(low, high float64) { l.Refill, l.Per = roundest(low*per.Seconds(), high*per.Seconds()), per }
	switch {
	case m.Most == 0:
		return nil, []string{"how much it holds: no header counts it, and its 429 say no number"}
	case m.Rejected == 0 && !m.Exact: // it would be stricter than what nobody has met
		return nil, []string{m.little()}
	case m.known():
		rate(m.Low, m.High)
	case m.Interval > 0:
		l.Window = seconds(m.Interval)
	case m.Window() && m.Rejected == 0 && m.Steps < steps:
		return nil, []string{fmt.Sprintf("whether it is given back at once: there was no 429, and what was left rose to %d only once, as it also does when another instance of the service answers", m.Most)}
	case m.Window():
		l.Window = roundestSpan(m.window.low, m.window.high)
	case !m.bucket():
		return nil, []string{fmt.Sprintf("what was left fits neither a bucket nor a window: it rose by %.3g a second and more, and by %.3g and less; others draw on it, or there are several of it", m.Low, m.High)}
	case m.Rejected == 0:
		return nil, []string{m.little()}
	case m.Low > 0 && m.High > 0:
		middle := (m.Low + m.High) / 2
		rate(middle*0.95, middle*1.05)
		open = append(open, fmt.Sprintf("its refill is between %.3g and %.3g a second: too few samples after a wait; the middle is written", m.Low, m.High))
	case m.Low > 0: // others draw as well, or it was full whenever nobody had called for a while
		rate(m.Low, m.Low*narrow)
		open = append(open, fmt.Sprintf("its refill: at least %.3g a second; nearly that is written", m.Low))
	case m.lasted > 0:
		l.Window = roundestSpan(m.lasted*0.95, m.lasted)
		open = append(open, "whether it is given back at once or bit by bit: nobody called after the wait that a 429 told; a window as long as until then is written")
	default:
		return nil, []string{"how it is given back: a 429 was seen, without Retry-After and with no call after it"}
	}
	return l, append(open, m.rest(l)...)
}

// little says how far from a limit the knowledge is.
func (m Measured) little() string {
	out := fmt.Sprintf("its limit: there was no 429, and never fewer than %d left; it holds at least %d", m.Least, m.Most)
	if m.Exact {
		out = fmt.Sprintf("its refill: there was no 429, and never fewer than %d left of %d", m.Least, m.Most)
	}
	switch {
	case m.High > 0:
		return out + fmt.Sprintf(", and refills between %.3g and %.3g a second", m.Low, m.High)
	case m.Low > 0:
		return out + fmt.Sprintf(", and refills at least %.3g a second", m.Low)
	}
	return out
}

// rest is what is not known beside the limit that is written, and what clients were told with a 429.
func (m Measured) rest(l *throttle.Limit) (open []string) {
	add := func(format string, args ...any) { open = append(open, fmt.Sprintf(format, args...)) }
	if !m.Exact {
		add("how much it holds: at least %d, which is written; it was not seen full with time left to fill", m.Most)
	}
	if m.Others {
		add("how much others draw: it fell by more than the recorded calls, so that its refill is a lower bound")
	}
	if m.Samples < few {
		add("more than %d samples show", m.Samples)
	}
	switch {
	case m.Rejected == 0:
		add("Retry-After: there was no 429, and never fewer than %d left", m.Least)
	case m.RetryAfter == nil:
		add("Retry-After: none of %d answers 429 had one; the twin tells one", m.Rejected)
	case m.Silent > 0:
		add("why %d of %d answers 429 had no Retry-After; the twin tells one always", m.Silent, m.Rejected)
	}
	if l.Window == 0 && m.RetryAfter != nil && !m.Hostile {
		if model := math.Ceil(1 / l.Rate()); m.RetryAfter[0] > model+1 { // it is told to wait longer than until the next call would pass
			l.RetryAfter = seconds(m.RetryAfter[0])
		}
	}
	return open
}

// few is below how many samples numbers are told to rest on little.
const few = 10

func seconds(s float64) time.Duration { return time.Duration(math.Round(s*1e3)) * time.Millisecond }

// roundest is the number between two that is the easiest to say: limits are round.
func roundest(low, high float64) float64 {
	low /= slack
	if low <= 0 || high <= 0 {
		return max(low, high)
	}
	for e := math.Pow(10, math.Floor(math.Log10(high))); e > high/1e6; e /= 10 {
		for _, step := range []float64{e, e / 2, e / 5} {
			if v := math.Ceil(low/step) * step; v <= high*slack {
				return math.Round(v*1e6) / 1e6
			}
		}
	}
	return (low + high) / 2
}

// roundestSpan is the same of durations.
func roundestSpan(low, high float64) time.Duration {
	units := []time.Duration{time.Hour, 30 * time.Minute, 10 * time.Minute, 5 * time.Minute, time.Minute, 30 * time.Second, 10 * time.Second, 5 * time.Second, time.Second, 100 * time.Millisecond}
	at := slices.IndexFunc(units, func(u time.Duration) bool {
		return math.Ceil(low/u.Seconds())*u.Seconds() <= high+1e-6 && u.Seconds() <= high
	})
	if at < 0 {
		return seconds((low + high) / 2)
	}
	u := units[at]
	return time.Duration(math.Max(1, math.Ceil(low/u.Seconds()))) * u
}
