package fault

import (
	"fmt"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/cluster"
)

// CutsMinority says why the members that the fault is on are not cut off from a quorum by it, whoever its target turns out to be; empty: they are.
func (s Spec) CutsMinority(t cluster.Topology) string {
	members, mine := t.EtcdMachines(), s.Machines
	if s.Late() {
		mine = s.Among[:1] // one of them, whichever
		if i := slices.IndexFunc(s.Among, func(m string) bool { return slices.Contains(members, m) }); i >= 0 {
			mine = s.Among[i : i+1]
		}
	}
	quorum := cluster.Quorum(len(members))
	switch n := within(mine, members); {
	case s.Target == Minority && len(mine) == 0: // the plan leaves it out
		return ""
	case !s.silent():
		return fmt.Sprintf("%s cuts nobody off", s.Kind)
	case s.Ring:
		return fmt.Sprintf("in a ring each of %d members reaches %d others, which is a majority", len(members), 2*besideOne(len(members)))
	case n == 0 || n >= quorum:
		return fmt.Sprintf("it is of %d of %d members, which is no minority", n, len(members))
	}
	if len(s.From) == 0 {
		return ""
	}
	reached := slices.DeleteFunc(members, func(m string) bool { return slices.Contains(s.From, m) })
	if len(reached) >= quorum {
		return fmt.Sprintf("its members still reach %s, which is a majority", strings.Join(reached, ", "))
	}
	return ""
}

// silent reports whether what is sent while it holds is lost.
func (s Spec) silent() bool {
	k, err := Find(s.Kind)
	return err == nil && k.Silent
}
