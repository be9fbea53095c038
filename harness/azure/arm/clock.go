package arm

import (
	"strconv"
	"sync"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

// Clock is the twin's time: buckets fill and operations end by it. Tokens do not: they live by the wall's, as their clients do.
type Clock interface {
	Now() time.Time
	// Wall turns a time of the twin into one a client has to wait by its own clock.
	Wall(d time.Duration) time.Duration
}

// VirtualClock stands still until it is advanced.
type VirtualClock struct {
	mu  sync.Mutex
	now time.Time
}

// NewVirtualClock starts at a time.
func NewVirtualClock(at time.Time) *VirtualClock { return &VirtualClock{now: at} }

// Now is the time it was advanced to.
func (c *VirtualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Wall is d: a client that waits on a clock that stands still is the test's business.
func (*VirtualClock) Wall(d time.Duration) time.Duration { return d }

// Advance moves it forward.
func (c *VirtualClock) Advance(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}

// scaledClock runs factor times as fast as the wall's; 1 is the wall's own.
type scaledClock struct {
	begun  time.Time
	factor float64
}

func (c scaledClock) Now() time.Time {
	if c.factor == 1 {
		return time.Now()
	}
	return c.begun.Add(time.Duration(float64(time.Since(c.begun)) * c.factor))
}

func (c scaledClock) Wall(d time.Duration) time.Duration {
	return time.Duration(float64(d) / c.factor)
}

// ParseClock reads wall, virtual, or how many times as fast as the wall's clock the twin's runs ("60").
func ParseClock(s string) (Clock, error) {
	switch s {
	case "wall", "":
		return scaledClock{time.Now(), 1}, nil
	case "virtual":
		return NewVirtualClock(time.Now()), nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f <= 0 {
		return nil, cluster.Usagef("clock is %q; known: wall, virtual, or a factor above 0 (60: a minute passes in a second)", s)
	}
	return scaledClock{time.Now(), f}, nil
}

// Seconds is a duration as Retry-After says it: whole seconds of the client's clock, at least one.
func Seconds(c Clock, d time.Duration) int {
	wall := c.Wall(d)
	return max(1, int((wall+time.Second-1)/time.Second))
}

// Told is the time of the twin that passes while a client waits so many seconds by its own clock.
func Told(c Clock, seconds int) time.Duration {
	const long = 1000 * time.Hour // so that the factor is exact
	return time.Duration(float64(seconds) * float64(time.Second) * (float64(long) / float64(max(1, c.Wall(long)))))
}

// Timestamp is a time as Azure Resource Manager writes it.
func Timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0000000-07:00") }

// RoutingStamp is the time within x-ms-routing-request-id.
func RoutingStamp(t time.Time) string { return t.UTC().Format("20060102T150405Z") }
