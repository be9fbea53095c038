package fault

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

// heading is of a gauge whose looks go there and back, which a link that is bad the wrong way, or both ways, makes as bad, or too little worse to tell. It sees
// of what one machine sends to another whether it arrives as by a link that is bad, or as by a good one. Who counts what arrives is the kernel of the other.
type heading interface {
	heading(ctx context.Context, e *Env, from, to string, bad bool) (plan.Evidence, error)
}

// headed sees that a machine's link is bad the way that it should be, and good the other.
func headed(ctx context.Context, e *Env, h heading, way cluster.Way, near, far string) ([]plan.Evidence, error) {
	in, err := h.heading(ctx, e, far, near, way == cluster.Inbound)
	if err != nil {
		return nil, err
	}
	out, err := h.heading(ctx, e, near, far, way == cluster.Outbound)
	return []plan.Evidence{in, out}, err
}

// not is the word for what should not be.
func not(should bool) string {
	if should {
		return "should"
	}
	return "should not"
}

// strays are datagrams that one machine sends to a port of another that nobody has.
type strays struct {
	conn net.Conn
	to   cluster.Machine
}

func sendStrays(ctx context.Context, e *Env, from, to string) (*strays, error) {
	dial, other, err := unserved(e, from, to)
	if err != nil {
		return nil, err
	}
	conn, err := dial(ctx, "udp")
	if err != nil {
		return nil, fmt.Errorf("%s to %s: %w", from, to, err)
	}
	return &strays{conn: conn, to: other}, nil
}

// send sends one. A socket first tells that one before it was refused, and sends nothing.
func (s *strays) send() error {
	_, err := s.conn.Write([]byte{0})
	for errors.Is(err, syscall.ECONNREFUSED) {
		_, err = s.conn.Write([]byte{0})
	}
	return err
}

// arrived is how many have come to the machine for ports that nobody has (NoPorts of RFC 1213, in /proc/net/snmp).
func (s *strays) arrived(ctx context.Context) (int, error) {
	raw, err := s.to.ReadFile(ctx, "/proc/net/snmp")
	if err != nil {
		return 0, err
	}
	var names []string
	for line := range strings.Lines(string(raw)) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] != "Udp:":
		case names == nil:
			names = words
		default:
			if i := slices.Index(names, "NoPorts"); i > 0 && i < len(words) {
				return strconv.Atoi(words[i])
			}
		}
	}
	return 0, fmt.Errorf("%s: no count of NoPorts in /proc/net/snmp", s.to.Name())
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

func (g lossGauge) heading(ctx context.Context, e *Env, from, to string, bad bool) (_ plan.Evidence, err error) {
	const apart, within = 2 * time.Millisecond, 200 * time.Millisecond
	s, err := sendStrays(ctx, e, from, to)
	if err != nil {
		return plan.Evidence{}, err
	}
	defer func() { err = errors.Join(err, s.conn.Close()) }()
	tries, low, _ := g.bounds() // of one way: half of what is lost
	before, err := s.arrived(ctx)
	if err != nil {
		return plan.Evidence{}, err
	}
	for range tries {
		if err := errors.Join(s.send(), pause(ctx, apart)); err != nil {
			return plan.Evidence{}, err
		}
	}
	if err := pause(ctx, within); err != nil {
		return plan.Evidence{}, err
	}
	after, err := s.arrived(ctx)
	if err != nil {
		return plan.Evidence{}, err
	}
	lost := max(0, 1-float64(after-before)/float64(tries))
	said := fmt.Sprintf("of %d datagrams that %s sends %s are lost on their way here", tries, from, Share(lost))
	if (lost > low) != bad {
		return plan.Evidence{}, fmt.Errorf("kernel of %s: %s: what %s sends to %s %s get lost", to, said, from, to, not(bad))
	}
	return saw("kernel of "+to, "%s", said), nil
}

func (g delayGauge) heading(ctx context.Context, e *Env, from, to string, bad bool) (_ plan.Evidence, err error) {
	const wanted, tries, margin = 3, 9, 20 * time.Millisecond
	s, err := sendStrays(ctx, e, from, to)
	if err != nil {
		return plan.Evidence{}, err
	}
	defer func() { err = errors.Join(err, s.conn.Close()) }()
	soonest, came, looks := g.delay-g.jitter, 0, 0 // that one arrives which is late
	for i := 0; i < tries && looks < wanted; i++ {
		before, err := s.arrived(ctx)
		if err != nil {
			return plan.Evidence{}, err
		}
		sent := time.Now()
		if err := errors.Join(s.send(), pause(ctx, soonest/2)); err != nil {
			return plan.Evidence{}, err
		}
		after, err := s.arrived(ctx)
		if err != nil {
			return plan.Evidence{}, err
		}
		if time.Since(sent) < soonest { // else it may have come late and all the same be here
			looks++
			came += min(1, after-before)
		}
		if err := pause(ctx, time.Until(sent.Add(g.delay+g.jitter+margin))); err != nil {
			return plan.Evidence{}, err
		}
	}
	if looks < wanted {
		return plan.Evidence{}, fmt.Errorf("kernel of %s: which way is late cannot be told: of %d looks only %d took less than %s", to, tries, looks, soonest)
	}
	said := fmt.Sprintf("of %d datagrams that %s sent %d were here within %s", looks, from, came, soonest)
	if (came <= wanted/2) != bad {
		return plan.Evidence{}, fmt.Errorf("kernel of %s: %s: what %s sends to %s %s be late", to, said, from, to, not(bad))
	}
	return saw("kernel of "+to, "%s", said), nil
}
