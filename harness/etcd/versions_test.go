package etcd

import (
	"strings"
	"testing"
)

// TestDatabaseDiffers: every way in which a database can tell of other members than the cluster has is told, and that they agree is not.
func TestDatabaseDiffers(t *testing.T) {
	list := []Listed{{ID: 0xa, Machine: "etcd-1"}, {ID: 0xb, Machine: "etcd-2"}, {ID: 0xc, Machine: "etcd-3", Learner: true}}
	for name, c := range map[string]struct {
		holds Holds
		want  string
	}{
		"alike":             {Holds{Members: []uint64{0xa, 0xb, 0xc}, Learners: []uint64{0xc}}, ""},
		"a lost promotion":  {Holds{Members: []uint64{0xa, 0xb, 0xc}, Learners: []uint64{0xb, 0xc}}, "b of etcd-2 is a learner there, and has a vote"},
		"two of them":       {Holds{Members: []uint64{0xa, 0xb, 0xc}, Learners: []uint64{0xa, 0xb, 0xc}}, "a of etcd-1 is a learner there, and has a vote; b of etcd-2 is a learner there, and has a vote"},
		"a vote too many":   {Holds{Members: []uint64{0xa, 0xb, 0xc}}, "c of etcd-3 has a vote there, and is a learner"},
		"one that is gone":  {Holds{Members: []uint64{0xa, 0xb, 0xc, 0xd}, Learners: []uint64{0xc}}, "d was removed and is there"},
		"one that is not":   {Holds{Members: []uint64{0xb, 0xc}, Learners: []uint64{0xc}}, "a of etcd-1 is missing"},
		"nobody is in it":   {Holds{}, "a of etcd-1 is missing; b of etcd-2 is missing; c of etcd-3 is missing"},
		"learner and stray": {Holds{Members: []uint64{0xa, 0xb, 0xd}, Learners: []uint64{0xd}}, "c of etcd-3 is missing; d was removed and is there"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := strings.Join(c.holds.differs(list), "; "); got != c.want {
				t.Errorf("differs %q, want %q", got, c.want)
			}
		})
	}
}

// TestMinors: a release's version and what a member tells are compared by their minors alone, and what is none is neither older nor newer.
func TestMinors(t *testing.T) {
	for _, c := range []struct {
		a, b  string
		older bool
	}{{"v3.5.19", "3.6.0", true}, {"3.6.0", "v3.6.16", false}, {"v3.6.16", "3.6.0", false}, {"v3.7.0", "v3.6.16", false}, {"v3.9.1", "v3.10.0", true}, {"", "v3.6.0", false}, {"not_decided", "v3.6.0", false}} {
		if got := Older(c.a, c.b); got != c.older {
			t.Errorf("%q older than %q: %t", c.a, c.b, got)
		}
	}
	if Minor("v3.6.16") != "3.6" || Minor("3.10.0") != "3.10" || Minor("not_decided") != "" {
		t.Errorf("minors are %q, %q, %q", Minor("v3.6.16"), Minor("3.10.0"), Minor("not_decided"))
	}
}
