package upgrade

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
)

// TestWhoAnswersLateIsAskedAgain: a look at a busy host says nothing of a member; one that stays silent, or says no, is told of as it was seen.
func TestWhoAnswersLateIsAskedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		failure cluster.Failure
		bad     int // looks until it answers
		want    bool
		within  time.Duration
	}{
		"it answers":           {cluster.Deadline, 0, true, 0},
		"it is late, and then": {cluster.Deadline, 4, true, 2 * time.Second},
		"it stays silent":      {cluster.Deadline, 1000, false, lateFor},
		"it refuses":           {cluster.Refused, 1000, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun, looks := time.Now(), 0
				ob := answered(t.Context(), func(context.Context) observe.Observation {
					m := etcd.Member{Machine: "control-plane-1"}
					if looks++; looks <= c.bad {
						m.Error, m.Failure = "no", c.failure
					}
					return observe.Observation{Time: time.Now(), Members: []etcd.Member{m}}
				})
				if got := ob.Members[0].Error == ""; got != c.want || time.Since(begun) > c.within {
					t.Errorf("answered: %t after %s and %d looks", got, time.Since(begun), looks)
				}
			})
		})
	}
}

// TestMembersThatKubeadmWouldLeaveAlone: it ends well without a word where etcd is to go to an older version than runs, and the upgrade would have tested another.
func TestMembersThatKubeadmWouldLeaveAlone(t *testing.T) {
	members := []etcd.Member{{Machine: "cp-1", Version: "3.6.4"}, {Machine: "cp-2", Version: "3.6.6"}, {Machine: "cp-3", Error: "no answer"}}
	for to, what := range map[string]string{"": "", "v3.6.6": "", "v3.6.8": "", "v3.6.4": "etcd on cp-2 runs v3.6.6, and is to go to v3.6.4"} {
		found := (&Upgrade{Spec: Spec{EtcdVersion: to}}).leftAlone(members)
		switch {
		case what == "" && len(found) == 0:
		case len(found) != 1 || found[0].What != what || !found[0].Blocks():
			t.Errorf("to %q: %+v, want %q", to, found, what)
		}
	}
}
