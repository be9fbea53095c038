package throttle

import (
	"math"
	"time"
)

// Meter is one limit's state for one subject: a token bucket, or a window of time with a count.
type Meter struct {
	limit Limit

	tokens float64   // of a bucket
	filled time.Time // when tokens was right

	begun time.Time // of the window, with its first call; of a bucket, of the stretch that calls are counted in for who is told how many they were
	used  int       // calls in it, rejected ones among them
	past  int       // of a bucket: those of the stretch before
	until time.Time // hostile: no call passes before
}

// NewMeter is full.
func NewMeter(l Limit, now time.Time) *Meter {
	return &Meter{limit: l, tokens: float64(l.Capacity), filled: now}
}

// Settle brings the state up to now.
func (m *Meter) Settle(now time.Time) {
	if m.limit.Window > 0 {
		if now.Sub(m.begun) >= m.limit.Window && !now.Before(m.until) {
			m.begun, m.used = now, 0
		}
		return
	}
	switch span, since := m.limit.span(), now.Sub(m.begun); {
	case since >= 2*span:
		m.begun, m.used, m.past = now, 0, 0
	case since >= span:
		m.begun, m.used, m.past = m.begun.Add(span), 0, m.used
	}
	if since := now.Sub(m.filled); since > 0 {
		m.tokens = math.Min(float64(m.limit.Capacity), m.tokens+since.Seconds()*m.limit.Rate())
		m.filled = now
	}
}

// measured is how many calls there were in the window, or within about as long as the bucket takes to fill, rejected ones among them.
func (m *Meter) measured(now time.Time) int {
	if m.limit.Window > 0 {
		return m.used
	}
	return m.used + int(float64(m.past)*max(0, 1-float64(now.Sub(m.begun))/float64(m.limit.span())))
}

// idle reports whether nothing has been drawn that counts yet. It is settled.
func (m *Meter) idle(now time.Time) bool {
	if now.Before(m.until) {
		return false
	}
	if m.limit.Window > 0 {
		return m.used == 0
	}
	return m.tokens >= float64(m.limit.Capacity)
}

// Left is how many calls would pass now.
func (m *Meter) Left(now time.Time) int {
	if now.Before(m.until) {
		return 0
	}
	if m.limit.Window > 0 {
		return max(0, m.limit.Capacity-m.used)
	}
	return max(0, int(math.Floor(m.tokens+1e-9))) // refills are sums of fractions
}

// wait is how long until a call would pass.
func (m *Meter) wait(now time.Time) time.Duration {
	if m.limit.Window > 0 {
		return max(m.begun.Add(m.limit.Window).Sub(now), m.until.Sub(now))
	}
	short := time.Duration((1 - m.tokens) / m.limit.Rate() * float64(time.Second))
	return max(short, m.until.Sub(now))
}

// Take counts a call that passes.
func (m *Meter) Take() {
	m.used++
	m.tokens--
}

// maxDebt bounds how far below zero a hostile bucket goes: a client that stops is served again after the bucket has filled once.
func (m *Meter) maxDebt() float64 { return float64(m.limit.Capacity) }

// reject counts a call that did not pass. A hostile limit charges it as well, and one that came before it was told to lengthens the block.
func (m *Meter) reject(now time.Time, hostile bool) {
	m.used++
	if !hostile {
		return
	}
	early := now.Before(m.until)
	if m.limit.Window == 0 {
		m.tokens = math.Max(m.tokens-1, -m.maxDebt())
	} else if early {
		m.until = now.Add(m.limit.Window)
	}
	m.until = maxTime(m.until, now.Add(m.wait(now)))
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
