package etcd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

// gone is a cluster whose machines are all away.
type gone struct{ cluster.Cluster }

func (gone) Topology() cluster.Topology {
	return cluster.Topology{Name: "gone", Etcd: cluster.EtcdOnly, EtcdMembers: 1}
}

func (gone) Machine(name string) (cluster.Machine, error) {
	return nil, fmt.Errorf("no machine %q", name)
}

// A machine that is being replaced is away for a while: whoever begins to look then sees its member as gone, and is not turned away. What it holds nobody
// knows, so that nothing that compares members passes without it.
func TestWhoWatchesSeesTheMemberOfAMachineThatIsAwayAsGone(t *testing.T) {
	_, w, err := Watch(t.Context(), gone{})
	if err != nil {
		t.Fatalf("watch: %v", err)
	}
	defer func() { _ = w.Close() }()
	m := w.Members(t.Context(), time.Second)
	if len(m) != 1 || !strings.Contains(m[0].Error, "no machine") || m[0].Healthy() {
		t.Errorf("members: %+v", m)
	}
	if l := w.Membership(t.Context(), time.Second); l.Error == "" {
		t.Errorf("a list of nobody: %+v", l)
	}
	if err := w.sync(context.WithoutCancel(t.Context()), &Synced{}, nil); err == nil {
		t.Error("members that nobody has asked hold the same")
	}
}

// A process that was killed while it copied a member's database leaves the copy, which nobody else looks for: the next that copies it takes that away.
func TestTheCopyOfADatabaseThatWasLeftIsTakenAway(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, "members-etcd-1.db")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	a, w, err := Watch(t.Context(), gone{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	if err := a.Stored(t.Context(), w, "etcd-1", dir); err == nil {
		t.Error("the members in a database that nobody gave were compared")
	}
	if found, err := os.ReadDir(dir); err != nil || len(found) > 0 {
		t.Errorf("left there: %v, %v", found, err)
	}
}
