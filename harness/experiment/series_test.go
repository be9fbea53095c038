package experiment

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/plan"
)

const five = `apiVersion: drydock.dev/v1alpha1
kind: Scenario
metadata: {name: x}
spec:
  cluster: {etcd: only, etcdMembers: 5}
  steps:
    - STEP
`

// planned is the text of the plan of one step on five members, or the refusal.
func planned(step string) (string, error) {
	s, err := Parse("x.yaml", []byte(strings.Replace(five, "STEP", step, 1)))
	if err != nil {
		return "", err
	}
	p, err := s.Plan(1)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = p.Print(&b)
	return b.String(), err
}

func TestFaultsOfAStep(t *testing.T) {
	crash := func(target, more string) string {
		return fmt.Sprintf("{%setcdMemberCrash: {target: %s, for: 5s}}", more, target)
	}
	both := func(a, b string) string { return "faults: [" + a + ", " + b + "]" }
	for name, c := range map[string]struct {
		step string
		want string // in the plan, or, with a !, in the refusal
	}{
		"as many as are tolerated":      {both(crash("leader", ""), crash("follower", "")), "2 faults at the same time (3)"},
		"one later":                     {both(crash("leader", ""), crash("follower", "after: 2s, ")), "wait 2s (3.1.2.1)"},
		"one too many":                  {both(crash("minority", ""), crash("leader", "")), "!etcdMemberCrash of leader for 5s, beside etcdMemberCrash of minority (etcd-1, etcd-4) for 5s, leaves 2 of 5 members, a quorum is 3; say `expect: quorumLost`"},
		"one too many, wanted":          {both(crash("minority", ""), crash("leader", "expect: quorumLost, ")), "2 faults at the same time"},
		"wanted of none that costs it":  {"fault: {etcdMemberCrash: {target: leader, for: 5s}}\n      expect: quorumLost", "!leaves 4 of 5 members, which is a quorum"},
		"wanted of too few":             {both(crash("leader", ""), crash("follower", "expect: quorumLost, ")), "!leaves 3 of 5 members, which is a quorum"},
		"wanted of the wrong one":       {both(crash("minority", "expect: quorumLost, "), crash("leader", "")), "!leaves 3 of 5 members, which is a quorum"},
		"on one machine":                {both(crash("etcd-1", ""), "{etcdMemberFreeze: {target: etcd-1}}"), "!cannot overlap on etcd-1: both are on etcd"},
		"while a member is replaced":    {both(crash("etcd-1", ""), "{etcdMemberDataLoss: {target: etcd-2}}"), "!while a member is replaced"},
		"chance takes two":              {both(crash("any", ""), crash("any", "")), "2 faults at the same time"},
		"three times":                   {"fault: {etcdMemberCrash: {target: leader, for: 5s}}\n      times: 3\n      calm: 2s", "calm for 2s (3.4)"},
		"upon a line":                   {"fault: {etcdMemberCrash: {target: leader, for: 5s}}\n      when: {log: 'became leader', of: etcd, on: etcd-2}", `wait for a line "became leader" in the log of etcd on etcd-2, within 1m0s (3.1)`},
		"upon writes":                   {both(crash("leader", "when: {ack: 5, within: 3s}, "), crash("follower", "")), "wait for 5 writes acknowledged by etcd, within 3s (3.1.1.1)"},
		"upon a metric":                 {"fault: {etcdMemberCrash: {target: leader, for: 5s}}\n      when: {metric: etcd_server_leader_changes_seen_total, above: 1.5, on: etcd-1}", "wait for etcd_server_leader_changes_seen_total of etcd on etcd-1 above 1.5, within 1m0s (3.1)"},
		"a metric of a kubelet":         {"fault: {etcdMemberCrash: {}}\n      when: {metric: x, of: kubelet}", "!metrics are read of etcd alone"},
		"above of nothing":              {"fault: {etcdMemberCrash: {}}\n      when: {ack: 1, above: 2}", "!above is of a metric"},
		"of a role that is not":         {"fault: {machinePowerOff: {target: apiServerBehindBalancer}}", "!target apiServerBehindBalancer: the cluster has none"},
		"a line of nobody":              {"fault: {etcdMemberCrash: {}}\n      when: {log: x}", "!log needs of"},
		"a line of who is not there":    {"fault: {etcdMemberCrash: {}}\n      when: {log: x, of: kubelet}", "!kubelet runs on no machine"},
		"a line of an unknown":          {"fault: {etcdMemberCrash: {}}\n      when: {log: x, of: sshd}", `!of is "sshd"; known: etcd, kube-apiserver`},
		"a line elsewhere":              {"fault: {etcdMemberCrash: {}}\n      when: {log: x, of: etcd, on: etcd-6}", `!etcd does not run on "etcd-6"; it does on etcd-1`},
		"no expression":                 {"fault: {etcdMemberCrash: {}}\n      when: {log: '(', of: etcd}", "!log: error parsing regexp"},
		"both events":                   {"fault: {etcdMemberCrash: {}}\n      when: {log: x, of: etcd, ack: 3}", "!want one of log, ack, traffic and metric"},
		"an event in no time":           {"fault: {etcdMemberCrash: {}}\n      when: {ack: 3, within: -5s}", "!within is -5s; it cannot be negative"},
		"no event":                      {"fault: {etcdMemberCrash: {}}\n      when: {within: 3s}", "!want one of log, ack, traffic and metric"},
		"writes on a machine":           {"fault: {etcdMemberCrash: {}}\n      when: {ack: 3, on: etcd-1}", "!ack takes no on"},
		"writes of a kubelet":           {"fault: {etcdMemberCrash: {}}\n      when: {ack: 3, of: kubelet}", "!writes are acknowledged by etcd or kube-apiserver"},
		"an unknown field of an event":  {"fault: {etcdMemberCrash: {}}\n      when: {ack: 3, until: 3s}", "!known: log, ack, traffic, calledFor, metric, above, of, on, within"},
		"an event of several":           {both(crash("leader", ""), crash("follower", "")) + "\n      when: {ack: 3}", "!say it of each"},
		"a ring":                        {"fault: {partition: {target: members, ring: true, for: 5s}}\n      during: [etcdWritesContinue]", "partition of members (etcd-1, etcd-2, etcd-3, etcd-4, etcd-5), each from all but its neighbours, for 5s"},
		"a ring beside a crash":         {both("{partition: {target: members, ring: true}}", crash("leader", "")), "!leaves 2 of 5 members, a quorum is 3"},
		"a ring that steps down":        {"fault: {partition: {target: members, ring: true}}\n      during: [minorityStepsDown]", "!in a ring each of 5 members reaches 2 others, which is a majority"},
		"a majority that steps down":    {"fault: {machineIsolate: {target: majority}}\n      during: [minorityStepsDown]\n      expect: quorumLost", "!it is of 3 of 5 members, which is no minority"},
		"a bridge that steps down":      {"fault: {partition: {target: etcd-1, from: [etcd-5]}}\n      during: [minorityStepsDown]", "!its members still reach etcd-1, etcd-2, etcd-3, etcd-4, which is a majority"},
		"a crash that steps down":       {"fault: {etcdMemberCrash: {}}\n      during: [minorityStepsDown]", "!minorityStepsDown: etcdMemberCrash of any"},
		"one of several steps down":     {both("{during: [minorityStepsDown], etcdMemberCrash: {target: etcd-1}}", crash("etcd-2", "")), "!etcdMemberCrash cuts nobody off"},
		"a check of several":            {both(crash("leader", ""), crash("follower", "")) + "\n      during: [etcdWritesContinue]", "!said of each"},
		"a place without an upgrade":    {both(crash("leader", "at: worker/1/gate, "), crash("follower", "")), "!at and every name steps of an upgrade"},
		"calm once":                     {"fault: {etcdMemberCrash: {}}\n      calm: 2s", "!say how many times"},
		"times of nothing":              {"observe: 2s\n      times: 3", "!times and calm belong to faults"},
		"negative times":                {"fault: {etcdMemberCrash: {}}\n      times: -1", "!neither can be negative"},
		"a fault of an upgrade":         {both("{apiServerCrashLoop: {version: v1.36}}", crash("leader", "")), "!runs on no machine|does not run on|shows only in what an upgrade does"},
		"a check of a storm":            {"storm: {for: 1m}\n      during: [etcdWritesContinue]", "!during belongs to a fault"},
		"a check of time":               {"observe: 2s\n      during: [etcdWritesContinue]", "!during belongs to a fault"},
		"an event of a storm":           {"storm: {for: 1m}\n      when: {ack: 3}", "!when belongs to a fault"},
		"a storm three times":           {"storm: {for: 1m}\n      times: 3", "!times and calm belong to faults"},
		"a storm that costs the quorum": {"storm: {for: 1m}\n      expect: quorumLost", "!expect belongs to a fault"},
		"a storm of nothing":            {"storm: {faults: [etcdMemberCrash]}", "!for is 0s"},
		"a storm of the unknown":        {"storm: {for: 1m, faults: [meteor]}", "!unknown fault \"meteor\""},
		"a storm of what is not there":  {"storm: {for: 1m, faults: [apiServerCrashLoop]}", "!shows only in what an upgrade does"},
		"a storm of a cluster's":        {"storm: {for: 1m, faults: [webhookDead]}", "!storm: webhookDead is done to the cluster as a whole, and a storm is of what is done to machines"},
		"a storm with an unknown field": {"storm: {for: 1m, calms: 2s}", "!known: for, faults, hold, calm"},
		"a storm that holds too short":  {"storm: {for: 1m, hold: 1s}", "!hold is at least 3s"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := planned(c.step)
			want, refused := strings.CutPrefix(c.want, "!")
			var usage *cluster.UsageError
			switch {
			case !refused && (err != nil || !strings.Contains(got, want)):
				t.Errorf("%v\n%s\nwant %q", err, got, want)
			case refused && (!errors.As(err, &usage) || !slices.ContainsFunc(strings.Split(want, "|"), func(w string) bool { return strings.Contains(err.Error(), w) })):
				t.Errorf("%v, want %q", err, want)
			}
		})
	}
}

// stormOf is the storm's series with a seed.
func stormOf(t *testing.T, topology cluster.Topology, seed int64, lacks cluster.Lacks, kinds ...string) *series {
	t.Helper()
	s := Scenario{Spec: Spec{Steps: []Step{{Storm: &Storm{For: 10 * time.Minute, Faults: kinds}}}}}
	o, err := s.choose(Cell{Topology: topology.Complete(), Lacks: lacks}, seed)
	if err != nil {
		t.Fatal(err)
	}
	return o.items[0].faults
}

// TestStormsAreAllowed: of ten seeds no wave ever takes more than a minority of the members, of the control planes or of the workers, whoever the roles turn out to be, and
// no two faults that cannot overlap; and there is a pair, and every kind there is.
func TestStormsAreAllowed(t *testing.T) {
	for name, asked := range map[string]cluster.Topology{
		"three members": {Name: "a", Etcd: cluster.EtcdOnly, EtcdMembers: 3}, "five members": {Name: "b", Etcd: cluster.EtcdOnly, EtcdMembers: 5},
		"stacked": {Name: "c", ControlPlanes: 3, Workers: 3}, "external": {Name: "d", ControlPlanes: 2, Workers: 2, Etcd: cluster.EtcdExternal, EtcdMembers: 5},
	} {
		t.Run(name, func(t *testing.T) {
			c, pairs, seen := asked.Complete(), 0, map[string]bool{}
			for seed := range int64(10) {
				var whole time.Duration
				for _, w := range stormOf(t, c, seed, nil).waves {
					specs := done(w)
					if err := errors.Join(allowance(c, specs...), fault.Together(specs...)); err != nil {
						t.Fatalf("seed %d: %s: %v", seed, describeAll(specs), err)
					}
					if len(specs) > 1 && fault.Collide(specs[0], specs[1]) {
						t.Fatalf("seed %d: %s may be on one machine", seed, describeAll(specs))
					}
					if len(w) > 1 {
						pairs++
					}
					for _, s := range specs {
						seen[s.Kind], whole = true, whole+s.For
						if s.For < stormLeast || s.For > stormHold || s.Latent() {
							t.Errorf("seed %d: %s", seed, s.Describe())
						}
					}
				}
				if whole < 2*time.Minute {
					t.Errorf("seed %d: something holds for %s of 10 minutes", seed, whole)
				}
			}
			if pairs == 0 && c.EtcdMembers > 3 {
				t.Error("no two faults ever overlap")
			}
			for _, k := range []string{"etcdMemberCrash", "etcdMemberFreeze", "etcdMemberDataLoss", "machinePowerOff", "partition"} {
				if !seen[k] {
					t.Errorf("%s was never drawn", k)
				}
			}
		})
	}
}

func TestSameSeedSameStorm(t *testing.T) {
	first := printed(t, "storm", 7)
	for range 10 {
		if printed(t, "storm", 7) != first {
			t.Fatal("the same seed made another storm")
		}
	}
	if printed(t, "storm", 8) == strings.Replace(first, "seed 7", "seed 8", 1) {
		t.Error("another seed made the same storm")
	}
}

// TestStormOfNoProvider: a storm draws nothing that its provider lacks, so that the same seed can be another storm there. A plan of no provider says so.
func TestStormOfNoProvider(t *testing.T) {
	const says = "--provider NAME"
	if got := printed(t, "storm", 7); !strings.Contains(got, says) {
		t.Errorf("the plan of a storm does not say whose it is:\n%.400s", got)
	}
	if got := printed(t, "overlapping-faults", 7); strings.Contains(got, says) {
		t.Error("a plan without a storm is the same everywhere")
	}
}

// TestStormsLeaveOutWhatCannotBeDone: what a scenario asks for by name and cannot have is planned and left out, which is INCONCLUSIVE; what it did not ask for is not missed.
func TestStormsLeaveOutWhatCannotBeDone(t *testing.T) {
	c := cluster.Topology{Name: "a", Etcd: cluster.EtcdOnly, EtcdMembers: 3}
	lacks := cluster.Lacks{cluster.CanFreeze: "no cgroup"}
	for _, ch := range stormOf(t, c, 1, lacks).faults() {
		if ch.lacks != "" || ch.spec.Lacking(lacks) != "" {
			t.Errorf("%s: %s", ch.spec.Describe(), ch.lacks)
		}
	}
	named := stormOf(t, c, 1, lacks, "etcdMemberFreeze", "etcdMemberCrash").faults()
	if named[0].lacks == "" || named[0].spec.Kind != "etcdMemberFreeze" {
		t.Errorf("what was asked for is missed by nobody: %+v", named[0])
	}
	for _, ch := range named[1:] {
		if ch.spec.Kind != "etcdMemberCrash" {
			t.Errorf("%s was not asked for", ch.spec.Describe())
		}
	}
	if _, err := (&Storm{For: time.Minute}).choose(Cell{Topology: cluster.Topology{Name: "a", Etcd: cluster.EtcdOnly, EtcdMembers: 2}.Complete()}, rand.New(rand.NewPCG(1, 1))); err == nil {
		t.Error("a storm on two members, which tolerate no loss")
	}
}

// TestWhatNeverCameIsNotInjected: and says so in its receipt; nothing else of the fault is tried.
func TestWhatNeverCameIsNotInjected(t *testing.T) {
	j, err := plan.CreateJournal(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &cellRun{outline: &outline{}, journal: j, guards: map[*choice]*fault.Guard{}}
	ch := &choice{spec: fault.Spec{Kind: "etcdMemberCrash", Target: "m", Machines: []string{"m"}, For: time.Hour}, when: &Event{Ack: 1, Within: time.Millisecond}, step: &plan.Step{ID: "3"}}
	g, err := c.newGuard(ch)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Missed("it never came"); err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func(context.Context, *choice) error{
		"inject": c.inject, "effective": c.effective, "hold": c.hold, "recover": c.recover, "recovered": c.recovered, "seeRecovered": c.seeRecovered,
	} {
		if err := do(t.Context(), ch); !errors.Is(err, plan.ErrSkip) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if r := g.Receipt(); r.State != plan.NotInjected || r.Error != "it never came" || !r.Armed.IsZero() {
		t.Errorf("receipt %+v", r)
	}
	if w := c.window(ch); !w.Began.IsZero() || !w.Cleared.IsZero() {
		t.Errorf("it excuses: %+v", w)
	}
}

// TestStepEndsBeforeTheEvent: a fault during a step that waits for something is not injected once the step has ended, whenever that comes.
func TestStepEndsBeforeTheEvent(t *testing.T) {
	j, err := plan.CreateJournal(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	came := func(context.Context) (plan.Evidence, error) { return plan.Evidence{Saw: "it"}, nil }
	atOnce := func(ctx context.Context) (plan.Evidence, error) { // it comes when the step ends, and no sooner
		<-ctx.Done()
		return came(ctx)
	}
	for name, do := range map[string]func(c *cellRun, ch *choice) error{
		"while it waits": func(c *cellRun, ch *choice) error {
			waits := make(chan error, 1)
			go func() { waits <- c.awaitEvent(t.Context(), ch, atOnce) }()
			if err := cluster.Await(t.Context(), "guard", cluster.Wait{For: time.Second, Every: time.Millisecond}, func(context.Context) error {
				if c.guard(ch) == nil {
					return errors.New("none")
				}
				return nil
			}); err != nil {
				return err
			}
			if err := c.stepEnded(t.Context(), ch); err != nil {
				return err
			}
			return <-waits
		},
		"before it waits": func(c *cellRun, ch *choice) error {
			return errors.Join(c.stepEnded(t.Context(), ch), c.awaitEvent(t.Context(), ch, came))
		},
		"before it is injected": func(c *cellRun, ch *choice) error {
			if err := c.awaitEvent(t.Context(), ch, came); err != nil {
				return err
			}
			if err := c.stepEnded(t.Context(), ch); err != nil {
				return err
			}
			return c.guard(ch).Due()
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := &cellRun{outline: &outline{}, journal: j, guards: map[*choice]*fault.Guard{}}
			ch := &choice{spec: fault.Spec{Kind: "etcdMemberCrash", Target: "m", Machines: []string{"m"}}, when: &Event{Ack: 1, Within: time.Hour}, step: &plan.Step{ID: "3"}, over: make(chan struct{})}
			if err := do(c, ch); err == nil || !strings.Contains(err.Error(), "the step that it was to be injected during has ended") {
				t.Errorf("error %v", err)
			}
			if name != "before it is injected" && !c.guard(ch).IsMissed() {
				t.Error("it was not missed")
			}
		})
	}
}

// TestStepThatAFaultWaitsIn: its end is a step of the plan, also where it fails.
func TestStepThatAFaultWaitsIn(t *testing.T) {
	s, a := &plan.Step{Name: "drain", Run: func(context.Context) error { return errors.New("no") }}, &endings{}
	c := &choice{spec: fault.Spec{Kind: "etcdMemberCrash", Target: "m", For: time.Second}, when: &Event{Ack: 1}}
	p := &plan.Plan{Steps: weave([]*plan.Step{s}, placement{choice: c, phase: during, at: s}, a)}
	p.Number()
	j, err := plan.CreateJournal(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := (&plan.Runner{Journal: j}).Run(t.Context(), p); err == nil || a.ended != 1 {
		t.Errorf("%v, told %d times that it has ended", err, a.ended)
	}
}

// endings counts the steps that have ended.
type endings struct {
	inert
	ended int
}

func (e *endings) stepEnded(context.Context, *choice) error { e.ended++; return nil }

func TestALineThatWasNotThere(t *testing.T) {
	for _, c := range []struct {
		before, now []string
		want        string
	}{
		{nil, nil, ""}, {[]string{"a"}, []string{"a"}, ""}, {[]string{"a", "b"}, []string{"b", "c"}, "c"},
		{[]string{"a"}, []string{"a", "a"}, "a"}, {nil, []string{"a"}, "a"}, {[]string{"a", "b"}, []string{"b"}, ""},
	} {
		if got := another(c.before, c.now, time.Now()); got != c.want {
			t.Errorf("%q after %q: %q, want %q", c.now, c.before, got, c.want)
		}
	}
	// The first look found nothing, and the second lines from before it, as of a log that could not be read at first.
	since := time.Date(2026, 3, 2, 10, 0, 0, 0, time.FixedZone("", 3600))
	for was, is := range map[string]string{
		`{"level":"info","ts":"2026-03-02T08:59:59.999Z","msg":"became leader"}`: `{"level":"info","ts":"2026-03-02T09:00:00.001Z","msg":"became leader"}`,
		`2026-03-02T08:59:59.9Z stderr F I0302 11:11:11.1 1 x.go:1] ready`:       `2026-03-02T09:00:00.1Z stderr F I0302 01:01:01.1 1 x.go:1] ready`,
		`I0302 09:59:59.900000 7 kubelet.go:1] started`:                          `I0302 10:00:00.100000 7 kubelet.go:1] started`,
		`W1231 23:59:59.000000 7 kubelet.go:1] started`:                          `started`,
	} {
		if got := another(nil, []string{was, is}, since); got != is {
			t.Errorf("%q, want %q", got, is)
		}
	}
	// Kubernetes' lines have no year, and one may end meanwhile.
	was, is := `I1231 23:59:58.000000 7 kubelet.go:1] started`, `I0101 00:00:01.000000 7 kubelet.go:1] started`
	if got := another(nil, []string{was, is}, time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC)); got != is {
		t.Errorf("%q, want %q", got, is)
	}
}
