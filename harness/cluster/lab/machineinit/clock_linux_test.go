package machineinit

import (
	"errors"
	"testing"
	"time"
)

// kernel has two clocks, and may refuse to have one set.
type kernel struct {
	now     moment
	refuses error
}

func (k *kernel) clock() *clock {
	return &clock{read: func() (moment, error) { return k.now, nil }, set: func(wall time.Time) error {
		if k.refuses == nil {
			k.now.wall = wall
		}
		return k.refuses
	}}
}

func (k *kernel) passes(d time.Duration) { k.now.wall, k.now.up = k.now.wall.Add(d), k.now.up+d }

// A clock is put right by the time that has passed, whatever was made of it meanwhile and however often.
func TestClockIsPutRightByTheTimeThatPassed(t *testing.T) {
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	k := &kernel{now: moment{wall: begin, up: time.Hour}}
	c := k.clock()
	is := func(when string, want time.Duration) {
		t.Helper()
		if got := k.now.wall.Sub(begin); got != want {
			t.Errorf("%s: the clock has gone %s, want %s", when, got, want)
		}
	}
	if err := c.right(); err != nil {
		t.Fatal(err)
	}
	is("nobody has set it", 0)
	for _, by := range []time.Duration{10 * time.Minute, 10 * time.Minute, -2 * time.Hour} {
		k.passes(time.Minute)
		if err := c.skew(by); err != nil {
			t.Fatal(err)
		}
	}
	is("set three times, each time of what it would be", 3*time.Minute-2*time.Hour)
	k.passes(time.Minute)
	k.refuses = errors.New("no")
	if err := c.right(); !errors.Is(err, k.refuses) {
		t.Errorf("error %v", err)
	}
	k.refuses = nil
	for range 2 {
		if err := c.right(); err != nil {
			t.Fatal(err)
		}
		is("put right", 4*time.Minute)
	}
	k.now.wall = begin // by somebody else, later: that is nobody's skew
	if err := c.right(); err != nil {
		t.Fatal(err)
	}
	is("put right once more", 0)
}
