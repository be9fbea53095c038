package preflight

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/upgrade/policy"
)

// TestTheListMatters: a path on which members begin to go by their database is one to be refused when the lists differ, unless it stops where they are mended.
func TestTheListMatters(t *testing.T) {
	for name, c := range map[string]struct {
		from           string
		hops           []string
		matters, mends bool
	}{
		"straight on":                   {"v3.5.19", []string{"v3.6.4"}, true, false},
		"by way of one that mends":      {"v3.5.19", []string{"v3.5.26", "v3.6.4"}, true, true},
		"by way of a later one":         {"v3.5.19", []string{"v3.5.27", "v3.6.4", "v3.7.0"}, true, true},
		"by way of one that does not":   {"v3.5.19", []string{"v3.5.25", "v3.6.4"}, true, false},
		"mended too late":               {"v3.5.19", []string{"v3.6.4", "v3.6.16"}, true, false},
		"it stays":                      {"v3.5.19", []string{"v3.5.20"}, false, false},
		"it has gone by it all the way": {"v3.6.4", []string{"v3.6.8"}, false, false},
		"down":                          {"v3.6.4", []string{"v3.5.27"}, false, true},
	} {
		path := policy.Path{From: c.from, Hops: c.hops}
		if matters, mends := toDatabase(path), mended(path); matters != c.matters || mends != c.mends {
			t.Errorf("%s: matters %t, mends %t", name, matters, mends)
		}
		if severity, _ := listsMatter(path, false); (severity == plan.Blocker) != c.matters {
			t.Errorf("%s: kubeadm looks at no lists on the way, and that they differ now is a %s", name, severity)
		}
		if severity, _ := listsMatter(path, true); (severity == plan.Blocker) != (c.matters && !c.mends) {
			t.Errorf("%s: that lists differ is a %s, and they are looked at again", name, severity)
		}
	}
}

// TestEtcdOnItsWay: members that kubeadm takes along are judged by the oldest of them, and what is not known of them is no pass.
func TestEtcdOnItsWay(t *testing.T) {
	to := func(err error, versions ...string) func(context.Context) ([]string, error) {
		return func(context.Context) ([]string, error) { return versions, err }
	}
	members := func(versions ...string) (out []etcd.Member) {
		for _, v := range versions {
			out = append(out, etcd.Member{Version: v})
		}
		return out
	}
	for name, c := range map[string]struct {
		to      func(context.Context) ([]string, error)
		members []etcd.Member
		fails   string
	}{
		"nobody's":        {nil, nil, ""},
		"within 3.6":      {to(nil, "v3.6.6", "v3.6.8"), members("3.6.5", "3.6.5"), ""},
		"within 3.5":      {to(nil, "v3.5.24"), members("3.5.19"), ""},
		"not known where": {to(errors.New("no kubeadm")), members("3.6.5"), "no kubeadm"},
		"silent":          {to(nil, "v3.6.8"), members("", ""), "no member of etcd has told its version"},
	} {
		found, err := takenAlong(t.Context(), &reading{Input: Input{EtcdTo: c.to, Observation: observe.Observation{Members: c.members}}})
		if len(found) > 0 || (err != nil) != (c.fails != "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
	}
	if oldest, err := oldestMember(members("3.6.4", "", "3.5.19", "3.5.24")); err != nil || oldest != "v3.5.19" {
		t.Errorf("the oldest is %s, %v", oldest, err)
	}
}

// stopped is a cluster of one member that is not running.
type stopped struct{ cluster.Cluster }

func (stopped) Topology() cluster.Topology {
	return cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: 1}
}
func (stopped) Machine(name string) (cluster.Machine, error) {
	return nowhere{machine{name: name}}, nil
}
func (stopped) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, syscall.ECONNREFUSED
}

type nowhere struct{ machine }

func (nowhere) Addr() netip.Addr { return netip.MustParseAddr("127.0.0.1") }

// TestAStoppedMembersDatabaseIsNotWaitedFor: that it does not answer was seen already, and its database is unread, which is no pass.
func TestAStoppedMembersDatabaseIsNotWaitedFor(t *testing.T) {
	for failure, late := range map[cluster.Failure]bool{cluster.Refused: false, cluster.Deadline: true} {
		synctest.Test(t, func(t *testing.T) {
			access, err := etcd.Open(t.Context(), stopped{})
			if err != nil {
				t.Fatal(err)
			}
			in := &reading{Input: Input{
				Target: &observe.Target{Cluster: stopped{}, Etcd: access}, Dir: t.TempDir(),
				Observation: observe.Observation{Members: []etcd.Member{{Machine: "etcd-1", Error: "no answer", Failure: failure}}},
			}}
			begun := time.Now()
			found, err := listsNow(t.Context(), in, policy.Path{From: "v3.5.19", Hops: []string{"v3.6.4"}}, true)
			if took := time.Since(begun); took > time.Second {
				t.Errorf("it took %s", took)
			}
			if err != nil || len(found) != 1 || !found[0].Blocks() || found[0].Severity != plan.Unread || found[0].Late != late || !strings.Contains(found[0].What, "etcd-1, which does not answer: no answer") {
				t.Errorf("%+v, %v", found, err)
			}
		})
	}
}
