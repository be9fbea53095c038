package fault

import (
	"slices"

	"drydock.dev/drydock/harness/cluster"
)

// leastRing is how many machines a ring takes: of three each is the neighbour of both others.
const leastRing = 4

// fitsRing refuses a ring in which nobody is parted, and one of a part of the members: who is none of it would reach all of them.
func fitsRing(s Spec) error {
	switch {
	case s.Target != Members && s.Target != Workers:
		return cluster.Usagef("%s: a ring is of all that are of a kind: target %s or %s, and not %s", s.Kind, Members, Workers, s.Target)
	case len(s.From) > 0 || s.Way != "":
		return cluster.Usagef("%s: a ring has no sides: it takes neither from nor way", s.Kind)
	case len(s.Machines) < leastRing:
		return cluster.Usagef("%s: in a ring of %d machines all are neighbours; it takes %d", s.Kind, len(s.Machines), leastRing)
	}
	return nil
}

// besideOne are how many machines of a ring of n each still reaches on either side: as few as make a majority with it, and no two have the same one.
// Of 4 and 5 it is one.
func besideOne(n int) int { return cluster.Quorum(n) / 2 }

// acrossRing are the machines of a ring that one of them is parted from.
func acrossRing(ring []string, of string) []string {
	var out []string
	n, at := len(ring), slices.Index(ring, of)
	for step := besideOne(n) + 1; at >= 0 && step < n-besideOne(n); step++ {
		out = append(out, ring[(at+step)%n])
	}
	return out
}

// ring are the machines of one, where the fault is that.
func (s Spec) ring() []string {
	if !s.Ring {
		return nil
	}
	return s.Machines
}

// AtMost is how many of its machines are away at any instant, where it is not all of them; 0: it is. In a ring whoever leads reaches a majority, and those
// that he does not reach find nobody else to follow.
func (s Spec) AtMost() int {
	if !s.Ring {
		return 0
	}
	return len(s.Machines) - 1 - 2*besideOne(len(s.Machines))
}
