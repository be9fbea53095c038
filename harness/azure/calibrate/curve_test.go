package calibrate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/throttle"
)

// drawn calls a meter as a client would that makes bursts, waits, and may have many calls under way; it gives what a recording shows of that.
func drawn(t *testing.T, l throttle.Limit, r *rand.Rand, bursts, atOnce int, mostWait time.Duration, hostile bool) []sample {
	t.Helper()
	type begun struct {
		sample
		counted float64
	}
	var calls []begun
	at := 0.0
	for range bursts {
		for range 1 + r.IntN(2*l.Capacity) {
			at += r.Float64() * 0.2
			took := r.Float64() * 0.3 * float64(atOnce)
			calls = append(calls, begun{sample{begun: at, ended: at + took}, at + took*r.Float64()})
			if atOnce <= 1 {
				at += took
			}
		}
		at += r.Float64() * mostWait.Seconds()
	}
	order := make([]int, len(calls))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return int((calls[a].counted - calls[b].counted) * 1e9) })
	p := &throttle.Policy{Hostile: hostile, Providers: []throttle.ProviderPolicy{{Policy: "a/b", Operations: []string{"GET x"}, Subscription: &l}}}
	clock := arm.NewVirtualClock(time.Unix(0, 0))
	meters := throttle.New(clock, p, false)
	for _, i := range order {
		clock.Advance(time.Unix(0, 0).Add(time.Duration(calls[i].counted * 1e9)).Sub(clock.Now()))
		left, rejected := meters.Provider(throttle.Subject{}, "GET x", "")
		if calls[i].left, calls[i].draws = left[0].Left, 1; rejected != nil {
			calls[i].draws, calls[i].refused, calls[i].after = 0, true, time.Duration(arm.Seconds(clock, rejected.Wait))*time.Second
		}
	}
	var out []sample
	for _, c := range calls {
		out = append(out, c.sample)
	}
	return out
}

func TestTheTruthIsWithinTheBoundsWhateverIsUnderWayAtOnce(t *testing.T) {
	known, exact := 0, 0
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 1))
		l := throttle.Limit{Capacity: 5 + r.IntN(60), Refill: float64(1 + r.IntN(50)), Per: time.Duration(1+r.IntN(60)) * time.Second}
		atOnce := 1 + int(seed%4)*3
		samples := drawn(t, l, r, 5, atOnce, 2*time.Minute, false)
		m := measure(samples, 0, 0)
		about := fmt.Sprintf("seed %d: %d and %g each %s, %d at once, %d samples: %s", seed, l.Capacity, l.Refill, l.Per, atOnce, len(samples), m.Basis())
		rate := l.Rate()
		if m.Low > rate*1.001 || m.High > 0 && m.High < rate*0.999 {
			t.Errorf("%s: %g is not between %g and %g", about, rate, m.Low, m.High)
		}
		if m.Most > l.Capacity || m.Exact && m.Most != l.Capacity {
			t.Errorf("%s: it holds %d, exactly %v", about, m.Most, m.Exact)
		}
		if !m.bucket() || m.Others || m.Hostile {
			t.Errorf("%s: %+v", about, m)
		}
		known, exact = known+btoi(m.known()), exact+btoi(m.Exact)
	}
	if known < 70 || exact < 20 {
		t.Errorf("of 150 refills %d are known, and of %d it is known that they hold no more: bounds that say nothing are no bounds", known, exact)
	}
	t.Logf("of 150 refills %d are known, and of %d it is known that they hold no more", known, exact)
}

func TestAWindowIsToldFromABucket(t *testing.T) {
	found := 0
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 2))
		l := throttle.Limit{Capacity: 10 + r.IntN(60), Window: time.Duration(1+r.IntN(10)) * time.Minute}
		samples := drawn(t, l, r, 12, 1, l.Window, false)
		m := measure(samples, 0, 0)
		got, open := m.limit(time.Minute)
		about := fmt.Sprintf("seed %d: %d in %s, %d samples: %s %v", seed, l.Capacity, l.Window, len(samples), m.Basis(), open)
		if m.Most > l.Capacity || m.Exact && m.Most != l.Capacity {
			t.Errorf("%s: it holds %d, exactly %v", about, m.Most, m.Exact)
		}
		if m.Steps > 0 && !m.bucket() && (m.window.low >= l.Window.Seconds() || m.window.high < l.Window.Seconds()) {
			t.Errorf("%s: %s is not between %g s and %g s", about, l.Window, m.window.low, m.window.high)
		}
		if got != nil && got.Window == l.Window && got.Capacity == l.Capacity {
			found++
		}
	}
	if found < 40 {
		t.Errorf("of 60 windows %d were found", found)
	}
	t.Logf("of 60 windows %d were found", found)
}

func TestWhatOthersDrawAndWhatIsHostileIsSeen(t *testing.T) {
	l := throttle.Limit{Capacity: 50, Refill: 1, Per: time.Second}
	samples := drawn(t, l, rand.New(rand.NewPCG(7, 3)), 6, 1, time.Minute, true)
	if m := measure(samples, 0, 0); !m.Hostile || m.Low > 1.001 || m.High > 0 && m.High < 0.999 {
		t.Errorf("hostile: %+v", m)
	}
	samples = drawn(t, l, rand.New(rand.NewPCG(7, 3)), 6, 1, time.Minute, false)
	samples = slices.DeleteFunc(samples, func(s sample) bool { return int(s.begun*100)%3 == 0 && s.draws > 0 }) // those were another's
	if m := measure(samples, 0, 0); !m.Others || m.High != 0 || m.Low > 1.001 {
		t.Errorf("others: %+v", m)
	}
}

func TestWhatNobodyMetIsNoLimitUnlessItWasSeenFull(t *testing.T) {
	var samples []sample
	add := func(at float64, left int) {
		samples = append(samples, sample{begun: at, ended: at, left: left, draws: 1})
	}
	for i := range 40 { // others had drawn before: it refills one a second, is drawn on twice as fast, and fills no further than 50
		add(float64(i)/2, 50-i/2)
	}
	if m := measure(samples, 0, 0); m.Exact || !m.known() {
		t.Errorf("%+v", m)
	} else if l, open := m.limit(time.Second); l != nil || len(open) != 1 {
		t.Errorf("a limit was invented: %s, %q", l, open)
	}
	samples = nil
	for i := range 40 { // and after 20 calls another instance answers
		add(float64(i)*3, 11999-i%20)
	}
	if l, open := measure(samples, 0, 0).limit(time.Second); l != nil || len(open) != 1 {
		t.Errorf("a limit was invented: %s, %q", l, open)
	}
}

func TestALimitIsARoundNumber(t *testing.T) {
	for want, in := range map[float64][2]float64{25: {24.2, 25.9}, 10: {9.6, 10.4}, 1500: {1452, 1554}, 4: {3.7, 4.3}, 0.5: {0.48, 0.52}, 300: {299.99, 300.01}, 333: {332.7, 333.3}} {
		if got := roundest(in[0], in[1]); got != want {
			t.Errorf("between %g and %g: %g", in[0], in[1], got)
		}
	}
	for want, in := range map[time.Duration][2]float64{5 * time.Minute: {298.9, 300}, time.Hour: {3000, 3600}, 7 * time.Second: {6.2, 7.1}, 3 * time.Minute: {170, 185}} {
		if got := roundestSpan(in[0], in[1]); got != want {
			t.Errorf("between %g s and %g s: %s", in[0], in[1], got)
		}
	}
}
