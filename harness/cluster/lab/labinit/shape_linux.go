package labinit

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"drydock.dev/drydock/harness/cluster"
)

// shaping is what is wrong with a machine's cable, in time: its wire, and why it is there.
type shaping struct {
	*wire

	shapes map[cluster.Shaping]cluster.Shape
}

func (s *switchboard) shape(p ShapeParams) error {
	if err := p.Check(); err != nil {
		return fmt.Errorf("shape the links of %s: %w", p.Name, err)
	}
	m, _, err := s.machine(p.Name)
	if err != nil {
		return err
	}
	if p.What == cluster.Loses {
		peers, err := s.machinesAt(p.Peers)
		if err != nil {
			return fmt.Errorf("shape the links of %s: %w", p.Name, err)
		}
		return lossy(m, p.Way, peers, p.Share)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	had := s.shaped[m.Name]
	if _, there := had.shapes[p.What]; there {
		return fmt.Errorf("shape the links of %s: it has a %s already: undo that first", m.Name, p.What)
	}
	shapes := map[cluster.Shaping]cluster.Shape{p.What: p.Shape}
	for what, shape := range had.shapes {
		shapes[what] = shape
	}
	return s.rewire(m, shapes)
}

func (s *switchboard) unshape(p UnshapeParams) error {
	m, _, err := s.machine(p.Name)
	if err != nil {
		return err
	}
	if p.What == cluster.Loses {
		if err := drop(lossTable(m)); err != nil {
			return fmt.Errorf("heal: nftables: %w", err)
		}
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	shapes := map[cluster.Shaping]cluster.Shape{}
	for what, shape := range s.shaped[m.Name].shapes {
		if what != p.What {
			shapes[what] = shape
		}
	}
	return s.rewire(m, shapes)
}

// reshape gives a machine's new cable the wire that its old one had.
func (s *switchboard) reshape(m Machine) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	had, shaped := s.shaped[m.Name]
	if !shaped {
		return nil
	}
	return s.rewire(m, had.shapes)
}

// unshapeAll is for a machine that goes.
func (s *switchboard) unshapeAll(m Machine) error {
	var errs []error
	for _, what := range cluster.Shapings() {
		errs = append(errs, s.unshape(UnshapeParams{Name: m.Name, What: what}))
	}
	return errors.Join(errs...)
}

func (s *switchboard) shapedPackets(p UnshapeParams) (out cluster.Shaped, err error) {
	m, _, err := s.machine(p.Name)
	if err != nil {
		return out, err
	}
	if p.What == cluster.Loses {
		if out.Lost, err = counted(lossTable(m)); err != nil {
			return out, fmt.Errorf("shaped: nftables: %w", err)
		}
		return out, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.shaped[m.Name]; now.wire != nil && now.shapes[p.What].What == p.What {
		out.Held, out.Lost = now.held.Load(), now.lost.Load()
	}
	return out, nil
}

// rewire gives a machine's cable the wire for its shapes, in place of that which is there; none when nothing is wrong with it. It is called with the
// lock, so that nobody else does.
func (s *switchboard) rewire(m Machine, shapes map[cluster.Shaping]cluster.Shape) error {
	if old := s.shaped[m.Name].wire; old != nil {
		if err := old.Close(); err != nil {
			return err
		}
	}
	delete(s.shaped, m.Name)
	if len(shapes) == 0 {
		return nil
	}
	next := shaping{shapes: shapes}
	if s.on[m.Name] != nil { // else when it has a cable again
		var err error
		if next.wire, err = newWire(m, paceOf(cluster.Outbound, shapes), paceOf(cluster.Inbound, shapes)); err != nil {
			return err
		}
	}
	s.shaped[m.Name] = next
	return nil
}

// paceOf is how a wire with those shapes lets packets of one way pass.
func paceOf(way cluster.Way, shapes map[cluster.Shaping]cluster.Shape) (p pace) {
	for _, s := range shapes {
		if s.Way != cluster.BothWays && s.Way != way {
			continue
		}
		switch s.What {
		case cluster.Delays:
			p.delay, p.jitter = s.Delay, s.Jitter
			p.chance = rand.New(rand.NewPCG(s.Seed, uint64(len(way)))) //nolint:gosec // no secret
		case cluster.Limits:
			p.rate = s.Rate
		case cluster.Loses:
		}
	}
	return p
}

func lossTable(m Machine) *nftables.Table {
	return &nftables.Table{Family: nftables.TableFamilyBridge, Name: "drydock-loss-" + m.Link}
}

// lossy loses a share of the packets between a machine and its peers, each by chance.
func lossy(m Machine, way cluster.Way, peers []Machine, share float64) error {
	switch there, err := exists(lossTable(m)); {
	case err != nil:
		return fmt.Errorf("shape: nftables: %w", err)
	case there:
		return fmt.Errorf("shape the links of %s: it has a %s already: undo that first", m.Name, cluster.Loses)
	}
	const whole = 1 << 16
	lose := []expr.Any{
		&expr.Numgen{Register: 1, Modulus: whole, Type: unix.NFT_NG_RANDOM},
		&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 4, Size: 4}, // numbers are compared from their first byte on
		&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: binaryutil.BigEndian.PutUint32(uint32(math.Round(share * whole)))},
		&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop},
	}
	if err := between(lossTable(m), m, way, peers, lose); err != nil {
		return fmt.Errorf("shape: nftables: %w", err)
	}
	return nil
}
