package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// Shaping is one thing that can be wrong with a link that is there.
type Shaping string

// What can be wrong with a link.
const (
	Loses  Shaping = "loss"
	Delays Shaping = "delay"
	Limits Shaping = "rate"
)

// Shapings lists them all.
func Shapings() []Shaping { return []Shaping{Loses, Delays, Limits} }

// Shape is one thing that is wrong with a machine's links.
type Shape struct {
	What Shaping `json:"what"`
	Way  Way     `json:"way"`
	// Peers are those a loss is between, none: everybody. A machine is slow to all: what makes it so is its own cable.
	Peers []netip.Addr `json:"peers,omitempty"`
	// Share of the packets is lost, each by chance. A packet is as the machine's kernel sends it: of a stream that may be more than one of the network's.
	Share float64 `json:"share,omitempty"`
	// Delay±Jitter is how much longer a packet is on its way; none overtakes another.
	Delay  time.Duration `json:"delay,omitempty"`
	Jitter time.Duration `json:"jitter,omitempty"`
	// Rate is how many bits get through a second; what comes faster waits, and is lost when too much does.
	Rate int64 `json:"rate,omitempty"`
	// Seed is of the jitter.
	Seed uint64 `json:"seed,omitempty"`
}

// Check refuses a shape that says nothing, or more than one thing.
func (s Shape) Check() error {
	loss, delay, rate := s.Share > 0 && s.Share < 1, s.Delay > 0 && s.Jitter >= 0 && s.Jitter <= s.Delay, s.Rate > 0
	switch {
	case s.Way != BothWays && s.Way != Outbound && s.Way != Inbound:
		return fmt.Errorf("there is no way %q", s.Way)
	case s.What == Loses && loss && s.Delay == 0 && s.Jitter == 0 && s.Rate == 0:
		return nil
	case s.What == Delays && delay && s.Share == 0 && s.Rate == 0 && len(s.Peers) == 0:
		return nil
	case s.What == Limits && rate && s.Share == 0 && s.Delay == 0 && s.Jitter == 0 && len(s.Peers) == 0:
		return nil
	}
	return fmt.Errorf("no such %s of links: %+v", s.What, s)
}

// Shaped counts the packets of a shaped link since it is so.
type Shaped struct {
	Held uint64 `json:"held"` // on their way longer
	Lost uint64 `json:"lost"`
}

// Shaper is a machine whose links can be made worse than they are.
type Shaper interface {
	// Shape does; one thing once, two things at the same time.
	Shape(ctx context.Context, s Shape) error
	// Unshape undoes one thing; idempotent. What is on its way is lost.
	Unshape(ctx context.Context, what Shaping) error
	// Shaped counts the packets of one thing; none when it is not there.
	Shaped(ctx context.Context, what Shaping) (Shaped, error)
}
