package calibrate

import (
	"math"
	"slices"
	"time"
)

// sample is what one call shows of one meter.
type sample struct {
	begun, ended float64       // s; it was counted in between
	left         int           // what the answer says is left; unsaid: nothing
	draws        int           // 0: the call was rejected, by this or by another
	refused      bool          // by this one
	after        time.Duration // Retry-After of one that was refused; below 0: it had none
}

// unsaid is what is left where no header says it.
const unsaid = -1

// point is a sample on the curve of supply: what is left and what was drawn until then, together. It rises as the budget is filled, is flat while that is
// full, and never falls, unless somebody draws who is not in the recording.
type point struct {
	begun, ended float64
	low, high    float64 // the curve is from low to below high
	capped       bool    // the budget may have been full just before
	rejected     bool
	after        time.Duration // that was told with the rejection
}

// curve is the supply of one meter, of calls that may overlap: which of two that did was counted first is not known, and the bounds are as wide as that.
type curve struct {
	points  []point
	most    int   // calls that would have passed, at the best of times
	capped  []int // how many points before one, it included, may be capped
	refused []int // and how many are rejections
	hostile bool  // rejections draw as well: nothing is known of what was left at them
}

type moment struct {
	at    float64
	order int
	draws int
}

// newCurve makes it of samples in the order of their requests. allowed is what the budget holds, of one that no header counts: it cannot have been full
// between two rejections with fewer calls in between; 0: not known.
func newCurve(samples []sample, allowed int) *curve {
	c := &curve{}
	begins, ends := make([]moment, 0, len(samples)), make([]moment, 0, len(samples))
	for i, s := range samples {
		begins, ends = append(begins, moment{s.begun, i, s.draws}), append(ends, moment{s.ended, i, s.draws})
		if s.left != unsaid {
			c.most = max(c.most, s.left+s.draws)
		}
	}
	drawnBegun, drawnEnded := summed(begins), summed(ends)
	unseen := 0 // calls since the last point that say nothing
	for i, s := range samples {
		left := s.left
		if left == unsaid {
			if unseen += s.draws; !s.refused {
				continue
			}
			left = 0
		}
		certain := drawnEnded(s.begun, i) + s.draws  // have been counted by then: those that had ended, and itself
		possible := drawnBegun(s.ended, i) + s.draws // may have been
		p := point{begun: s.begun, ended: s.ended, low: float64(left + certain), high: float64(left + 1 + possible), rejected: s.refused, after: s.after}
		if p.capped = left+s.draws+possible-certain >= c.most; s.left == unsaid {
			p.capped = unseen >= allowed
			unseen = 0
		}
		c.points = append(c.points, p)
	}
	c.hostile = grows(samples)
	for i, p := range c.points {
		c.capped, c.refused = append(c.capped, btoi(p.capped)), append(c.refused, btoi(p.rejected))
		if i > 0 {
			c.capped[i] += c.capped[i-1]
			c.refused[i] += c.refused[i-1]
		}
	}
	return c
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// summed tells how much was drawn by others before a moment. Of the same moment it is those before it in order: a clock that stands still shows no other.
func summed(all []moment) func(at float64, order int) int {
	own := make([]int, len(all))
	for _, m := range all {
		own[m.order] = m.draws
	}
	at := make([]float64, len(all))
	for _, m := range all {
		at[m.order] = m.at
	}
	before := func(a, b moment) int {
		switch {
		case a.at != b.at:
			return btoi(a.at > b.at) - btoi(a.at < b.at)
		default:
			return a.order - b.order
		}
	}
	slices.SortFunc(all, before)
	sum := make([]int, len(all)+1)
	for i, m := range all {
		sum[i+1] = sum[i] + m.draws
	}
	return func(t float64, order int) int {
		n, _ := slices.BinarySearchFunc(all, moment{at: t, order: order}, before)
		total := sum[n]
		if m := (moment{at: at[order], order: order}); before(m, moment{at: t, order: order}) < 0 {
			total -= own[order]
		}
		return total
	}
}

// grows reports whether early calls were told to wait longer and longer, time after time: that lengthens the block. One that does not is told a shorter
// time by and by, but for calls that others made meanwhile.
func grows(samples []sample) bool {
	longer := 0
	for i := 1; i < len(samples); i++ {
		a, b := samples[i-1], samples[i]
		switch {
		case !a.refused || !b.refused || a.after < 0 || b.after < a.after || b.begun < a.ended || b.begun-a.begun > a.after.Seconds():
			longer = 0
		case b.after > a.after:
			longer++
		}
		if longer == growing {
			return true
		}
	}
	return false
}

// growing is how often in a row.
const growing = 3

// allPairs is up to how many points every pair of them is looked at; of more, those that are a power of two apart.
const allPairs = 600

func (c *curve) pairs(do func(i, j int)) {
	n := len(c.points)
	for gap := 1; gap < n; {
		for i := 0; i+gap < n; i++ {
			do(i, i+gap)
		}
		if n <= allPairs {
			gap++
		} else {
			gap *= 2
		}
	}
}

// apart reports whether the bounds of two points say something of each other.
func (c *curve) apart(i, j int) bool {
	return !c.hostile || c.refused[j]-c.refused[i]+btoi(c.points[i].rejected) == 0
}

// slope bounds the refill, in calls a second: the curve rises nowhere faster, and as fast where the budget cannot have been full. falls says that the
// count fell by more than the recorded calls: then there is no upper bound.
func (c *curve) slope() (low, high float64, falls bool) {
	high = math.Inf(1)
	c.pairs(func(i, j int) {
		a, b := c.points[i], c.points[j]
		if !c.apart(i, j) {
			return
		}
		if b.high <= a.low {
			falls = true
		}
		if span := b.ended - a.begun; span > 0 {
			low = max(low, (b.low-a.high)/span)
		}
		if span := b.begun - a.ended; span > 0 && c.capped[j] == c.capped[i] {
			high = min(high, (b.high-a.low)/span)
		}
	})
	if falls {
		high = math.Inf(1)
	}
	return low, high, falls
}

// full reports whether the budget holds no more than the most that was seen: between two calls that nobody came between it would have filled further,
// with the least refill there is.
func (c *curve) full(low float64) bool {
	for j := 1; j < len(c.points); j++ {
		a, b := c.points[j-1], c.points[j]
		if b.capped && c.apart(j-1, j) && a.certain() && b.certain() && a.low+low*(b.begun-a.ended) >= b.high {
			return true
		}
	}
	return false
}

// certain reports whether nobody else's call was under way.
func (p point) certain() bool { return p.high-p.low <= 1 }

// window is a budget that is given back all at once: its length is within the bounds, in seconds.
type window struct{ low, high float64 }

// window finds it: the curve is flat but for steps that all end where the budget is full. seen is how many steps there were; 0: it is none.
func (c *curve) window() (w window, seen int) {
	w.high = math.Inf(1)
	start := -1
	for j, p := range c.points {
		if j > 0 && p.low < c.points[j-1].high { // no more than before
			if start >= 0 {
				w.low = max(w.low, p.begun-c.points[start].ended)
			}
		} else if !p.capped {
			if j > 0 {
				return window{}, 0
			}
		} else {
			if j > 0 {
				seen++
			}
			if start >= 0 {
				w.high = min(w.high, p.ended-c.points[start].begun)
			}
			start = j
		}
		if start >= 0 && p.rejected && p.after > 0 { // it is told when the window ends, in whole seconds
			from, to := p.begun+p.after.Seconds()-1-c.points[start].ended, p.ended+p.after.Seconds()-c.points[start].begun
			if from <= w.high && to >= w.low {
				w.low, w.high = max(w.low, from), min(w.high, to)
			}
		}
	}
	return w, seen
}
