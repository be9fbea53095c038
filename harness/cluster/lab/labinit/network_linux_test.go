package labinit

import "testing"

// A machine that lost its power and came back has the card it had: who spoke with it just before reaches it with the next packet, and not only when what its
// kernel knows of the old card has run out, after up to 45 s.
func TestSameCardAfterPowerCut(t *testing.T) {
	lab := newNetwork(t)
	lab.must(t, buildNetwork)
	a, b := newNode(t, lab, 1), newNode(t, lab, 2)
	reached := func(n *node) {
		t.Helper()
		for from, to := range map[string]string{b.Addr: n.Addr, b.six: n.six} {
			if !n.hears(t, b, from, to, true) {
				t.Errorf("%s does not reach %s within 5 s", from, to)
			}
		}
	}
	reached(a)
	lab.must(t, func() error { return unplug(a.Machine) })
	reached(newNode(t, lab, 1))
}
