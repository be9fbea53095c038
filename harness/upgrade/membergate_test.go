package upgrade

import (
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

func threeMembers() cluster.Topology {
	return cluster.Topology{Name: "x", Etcd: cluster.EtcdOnly, EtcdMembers: 3}
}

// upgraded is a look at three members, the first of which has come to a version.
func upgraded() observe.Observation {
	o := observe.Observation{Synced: &etcd.Synced{Revision: 20, Applied: map[string]int64{}, Hashes: map[string]uint32{}}}
	for i, name := range threeMembers().EtcdMachines() {
		id := uint64(i + 1)
		o.Members = append(o.Members, etcd.Member{Machine: name, ID: id, Leader: 2, Term: 4, Version: "3.5.19", Applied: 30 + id})
		o.Quorum.Members = append(o.Quorum.Members, etcd.Listed{ID: id, Machine: name})
		o.Synced.Applied[name], o.Synced.Hashes[name] = 20, 7
	}
	o.Members[0].Version = "3.6.4"
	return o
}

// TestGateOfAMember: it opens on a member that is one of a whole cluster at its version, and on nothing less.
func TestGateOfAMember(t *testing.T) {
	before := progress{Revision: 19, Applied: 31}
	wanted := health.Wanted{Topology: threeMembers()}
	now, err := before.judge(upgraded(), "etcd-1", "v3.6.4", wanted)
	if want := (progress{Revision: 20, Applied: 33}); err != nil || now != want {
		t.Fatalf("%+v, %v; want %+v", now, err, want)
	}
	for name, c := range map[string]struct {
		change func(o *observe.Observation)
		says   string
	}{
		"it is silent":              {func(o *observe.Observation) { o.Members[0].Error = "connection refused" }, "the member on etcd-1 does not answer: connection refused"},
		"it runs the old":           {func(o *observe.Observation) { o.Members[0].Version = "3.5.19" }, "the member on etcd-1 runs v3.5.19 instead of v3.6.4"},
		"it lost its vote":          {func(o *observe.Observation) { o.Members[0].Learner, o.Quorum.Members[0].Learner = true, true }, "learner"},
		"another lost its vote":     {func(o *observe.Observation) { o.Quorum.Members[2].Learner = true }, "the member on etcd-3 is a learner"},
		"a removed one is back":     {func(o *observe.Observation) { o.Quorum.Members = append(o.Quorum.Members, etcd.Listed{ID: 9}) }, "belongs to no machine"},
		"it holds something else":   {func(o *observe.Observation) { o.Synced.Hashes["etcd-1"] = 8 }, "holds other data"},
		"it was not compared":       {func(o *observe.Observation) { delete(o.Synced.Hashes, "etcd-1") }, "was not compared"},
		"nothing was written":       {func(o *observe.Observation) { o.Synced = nil }, "no last write"},
		"it follows another leader": {func(o *observe.Observation) { o.Members[0].Leader = 1 }, "different leaders"},
		"it is behind":              {func(o *observe.Observation) { o.Members[0].Applied = 12 }, "the member on etcd-1 has applied entry 12, and 31 was applied before"},
		"the revision stands":       {func(o *observe.Observation) { o.Synced.Revision = 19 }, "at revision 19, and was at 19 before"},
		"an alarm":                  {func(o *observe.Observation) { o.Members[1].Alarms = []string{"CORRUPT"} }, "CORRUPT"},
	} {
		t.Run(name, func(t *testing.T) {
			o := upgraded()
			c.change(&o)
			if now, err := before.judge(o, "etcd-1", "v3.6.4", wanted); err == nil || !strings.Contains(err.Error(), c.says) || now != before {
				t.Errorf("%+v, %v; want %q and no progress", now, err, c.says)
			}
		})
	}
}

// TestPlanOfMembers: one member after another, each with its gate; where the minor version falls the cluster goes down first, and up again when nobody has gone.
func TestPlanOfMembers(t *testing.T) {
	for name, c := range map[string]struct {
		from, to string
		via      []string
		inOrder  string
		lacks    string
	}{
		"up":              {"v3.5.19", "v3.6.16", nil, "preflight snapshot member/1 member/1/hand-over member/1/swap member/1/gate member/1/rollback member/2 member/3/rollback verify", "downgrade"},
		"a patch down":    {"v3.6.16", "v3.6.4", nil, "preflight snapshot member/1 member/3 verify", "downgrade"},
		"down":            {"v3.6.16", "v3.5.19", nil, "preflight snapshot downgrade downgrade/enable member/1 member/3/gate downgrade/cancel verify", "autoscaler"},
		"by way of a 3.5": {"v3.5.19", "v3.6.16", []string{"v3.5.22"}, "preflight v3.5.22 v3.5.22/snapshot v3.5.22/member/1/gate v3.5.22/verify v3.6.16 v3.6.16/member/1/swap v3.6.16/verify", "autoscaler"},
	} {
		t.Run(name, func(t *testing.T) {
			spec, err := Spec{Strategy: Etcd, To: c.to, Via: c.via, Force: true}.Complete()
			if err != nil {
				t.Fatal(err)
			}
			if again, err := spec.Complete(); err != nil || again.MachineTimeout != spec.MachineTimeout { // as whoever resumes does
				t.Fatalf("%+v, %v", again, err)
			}
			u, err := New(spec, c.from, threeMembers())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			(&plan.Plan{Steps: u.Steps()}).Walk(func(s *plan.Step) { got = append(got, s.Name) })
			rest := " " + strings.Join(got, " ") + " "
			if strings.Contains(rest, c.lacks) {
				t.Errorf("%q has %s", rest, c.lacks)
			}
			for _, w := range strings.Fields(c.inOrder) {
				i := strings.Index(rest, " "+w+" ")
				if i < 0 {
					t.Fatalf("%q lacks %s, or has it elsewhere", got, w)
				}
				rest = rest[i+len(w)+1:]
			}
		})
	}
}

// TestEtcdStrategyFits: what is of machines with a kubelet is refused, and so is a cluster whose members kubeadm has made, or one that has no Kubernetes to upgrade.
func TestEtcdStrategyFits(t *testing.T) {
	for want, s := range map[string]Spec{
		"are of Kubernetes":     {Strategy: Etcd, To: "v3.6.16", ControlPlaneOnly: true},
		"takes members one at ": {Strategy: Etcd, To: "v3.6.16", Workers: Surge},
		`"v3.1" is unknown`:     {Strategy: Etcd, To: "v3.6.16", Via: []string{"v3.1"}},
	} {
		if _, err := s.Complete(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	stacked := cluster.Topology{Name: "x", Etcd: cluster.EtcdStacked, ControlPlanes: 3, EtcdMembers: 3}
	for want, c := range map[string]struct {
		spec Spec
		t    cluster.Topology
	}{"static pods": {Spec{Strategy: Etcd, To: "v3.6.16"}, stacked}, "there is no Kubernetes": {Spec{To: "v1.36"}, threeMembers()}} {
		spec, err := c.spec.Complete()
		if err == nil {
			_, err = New(spec, "v3.5.19", c.t)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
