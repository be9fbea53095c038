package fault

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

// heading is of a gauge whose looks go there and back, which a link that is bad the wrong way makes as bad. It tells from what a machine is sent which way that
// is: it does not arrive as it should, or it does, and so it is what the machine sends. Who counts what arrives is the machine's own kernel.
type heading interface {
	heading(ctx context.Context, e *Env, near, far string) (plan.Evidence, error)
}

// strays are datagrams that one machine sends to a port of another that nobody has.
type strays struct {
	conn net.Conn
	to   cluster.Machine
}

func sendStrays(ctx context.Context, e *Env, from, to string) (*strays, error) {
	const discard = 9
	ms, err := machinesOf(e, []string{from, to})
	if err != nil {
		return nil, err
	}
	d, err := cluster.As[cluster.Dialer](ms[0])
	if err != nil {
		return nil, err
	}
	conn, err := d.Dial(ctx, "udp", netip.AddrPortFrom(ms[1].Addr(), discard).String())
	if err != nil {
		return nil, fmt.Errorf("%s to %s: %w", from, to, err)
	}
	return &strays{conn: conn, to: ms[1]}, nil
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

func (g lossGauge) heading(ctx context.Context, e *Env, near, far string) (_ plan.Evidence, err error) {
	const apart, within = 2 * time.Millisecond, 200 * time.Millisecond
	s, err := sendStrays(ctx, e, far, near)
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
	said := fmt.Sprintf("of %d datagrams that %s sends %s are lost on their way here", tries, far, Share(lost))
	if in := lost > low; in != (g.way == cluster.Inbound) {
		return plan.Evidence{}, fmt.Errorf("kernel of %s: %s: the link is bad the other way", near, said)
	}
	return saw("kernel of "+near, "%s", said), nil
}

func (g delayGauge) heading(ctx context.Context, e *Env, near, far string) (_ plan.Evidence, err error) {
	const wanted, tries, margin = 3, 9, 20 * time.Millisecond
	s, err := sendStrays(ctx, e, far, near)
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
		return plan.Evidence{}, fmt.Errorf("kernel of %s: which way is late cannot be told: of %d looks only %d took less than %s", near, tries, looks, soonest)
	}
	said := fmt.Sprintf("of %d datagrams that %s sent %d were here within %s", looks, far, came, soonest)
	if in := came <= wanted/2; in != (g.way == cluster.Inbound) {
		return plan.Evidence{}, fmt.Errorf("kernel of %s: %s: the link is late the other way", near, said)
	}
	return saw("kernel of "+near, "%s", said), nil
}
