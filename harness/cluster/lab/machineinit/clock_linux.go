package machineinit

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// clock is that of a machine with a kernel of its own. What it was is known here and not on disk: a boot takes both away, as a kernel begins with the
// time of the host.
type clock struct {
	read func() (moment, error)
	set  func(wall time.Time) error

	mu  sync.Mutex
	was *moment // before anybody set it; nil: nobody has
}

// moment is one instant by two clocks.
type moment struct {
	wall time.Time     // CLOCK_REALTIME, which can be set
	up   time.Duration // CLOCK_BOOTTIME, which cannot
}

func (c *clock) skew(by time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, err := c.read()
	if err != nil {
		return err
	}
	if c.was == nil {
		c.was = &now
	}
	return c.set(c.was.after(now.up).Add(by))
}

func (c *clock) right() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.was == nil {
		return nil
	}
	now, err := c.read()
	if err == nil {
		err = c.set(c.was.after(now.up))
	}
	if err == nil {
		c.was = nil
	}
	return err
}

// after is what the clock would be at a later time, had nobody set it.
func (m moment) after(up time.Duration) time.Time { return m.wall.Add(up - m.up) }

func readClocks() (m moment, err error) {
	var wall, up unix.Timespec
	if err = unix.ClockGettime(unix.CLOCK_REALTIME, &wall); err == nil {
		err = unix.ClockGettime(unix.CLOCK_BOOTTIME, &up)
	}
	if err != nil {
		return m, fmt.Errorf("read the clock: %w", err)
	}
	return moment{wall: time.Unix(wall.Unix()), up: time.Duration(up.Nano())}, nil
}

func setClock(wall time.Time) error {
	to, err := unix.TimeToTimespec(wall)
	if err == nil {
		err = unix.ClockSettime(unix.CLOCK_REALTIME, &to)
	}
	if err != nil {
		return fmt.Errorf("set the clock to %s: %w", wall.Format(time.RFC3339), err)
	}
	return nil
}
