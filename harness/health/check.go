package health

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// Window is a fault's time as checks need it.
type Window struct {
	ID        string
	Machines  []string
	Expected  bool      // the loss of quorum is what the scenario wants
	Upgrade   bool      // no fault but a step of an upgrade that restarts what runs on the machines
	Began     time.Time // from here on losses are the fault's
	Effective time.Time // zero when its effect was never seen
	Recover   time.Time // when undoing it began
	Cleared   time.Time // when all was seen to be as before; zero when it was not
}

// Record is everything a run has observed; checks read it and nothing else.
type Record struct {
	Topology     cluster.Topology
	Observations []observe.Observation
	Final        observe.Observation
	FinalError   string // why the cluster was not whole at the end; empty: it was
	Samples      map[string][]load.Sample
	Windows      []Window
	Hashes       map[string]uint32
	HashError    string
	Linearizable map[string]plan.Verdict // per history
	Operations   map[string]int
	Acknowledged int
	Lost         []string
	LostError    string
	Before       *observe.Inventory // nil: not taken
	After        *observe.Inventory
	AfterError   string
}

// Params of a check, from the scenario.
type Params struct {
	MaxGap  time.Duration `yaml:"maxGap"`
	Members int           `yaml:"members"`
	Version string        `yaml:"version"`
	Of      string        `yaml:"of"` // versions: control-plane leaves the workers' kubelets out
}

// CheckKind is a check in the list: how a scenario names it and how it judges. w is nil for always and finally.
type CheckKind struct {
	Name  string
	When  string // always, during or finally
	About string
	// Decide makes the verdict of what was observed, and says why.
	Decide func(r *Record, w *Window, p Params) (plan.Verdict, string)
}

// Checks is every check of a cluster's health; other packages have lists of their own.
func Checks() []CheckKind {
	return []CheckKind{
		{"etcdQuorum", "always", "a quorum of members answers at every observation, but where its loss is expected", etcdQuorum},
		{"onlyPlannedLosses", "always", "no member is lost or restarts but by a fault of the scenario", onlyPlannedLosses},
		{"linearizable", "always", "every answer clients got is explained by some order of their operations", linearizable},
		{"noAcknowledgedWriteLost", "always", "every acknowledged write can be read at the end", noLoss},
		{"apiAvailable", "always", "the API server answers through the balancer with no gap above maxGap", apiAvailable},
		{"oneLeader", "always", "no component's lease changes hands before it has expired", oneLeader},
		{"etcdWritesContinue", "during", "etcd acknowledges writes, with no gap above maxGap", writesContinue},
		{"etcdWritesStop", "during", "etcd acknowledges no write", writesStop},
		{"staleReadsOnly", "during", "linearizable reads fail and serializable ones are answered", staleOnly},
		{"apiRefusesWrites", "during", "the API server acknowledges no write", apiRefuses},
		{"leadersMove", "during", "leases held on the lost machine move within lease + retry", leadersMove},
		{"workloadAvailable", "always", "requests to the workload are answered with no gap above maxGap", workloadAvailable},
		{"pdbRespected", "always", "never fewer replicas ready than the PodDisruptionBudget asks for, but by a fault", pdbRespected},
		{"labelsPreserved", "finally", "nodes have the labels, annotations and taints they had", labelsPreserved},
		{"noResidue", "finally", "no cordon, taint, backup file, stray member, orphaned pod or paused autoscaler is left", noResidue},
		{"etcdHealthy", "finally", "all members answer, vote and follow one leader", etcdHealthy},
		{"hashesEqual", "finally", "all members hold the same data at one revision", hashesEqual},
		{"nodesReady", "finally", "all nodes are Ready and all API servers ready", nodesReady},
		{"versions", "finally", "all components run the version; with of: control-plane, those of the control plane", versionsAre},
	}
}

// Builtin are the checks every scenario makes whether it says so or not.
func Builtin() []string {
	return []string{"onlyPlannedLosses", "linearizable", "noAcknowledgedWriteLost"}
}

// FindCheck returns a check of a list by name; the error lists the known for that place.
func FindCheck(list []CheckKind, name, when string) (CheckKind, error) {
	var known []string
	for _, k := range list {
		if k.When != when {
			continue
		}
		if k.Name == name {
			return k, nil
		}
		known = append(known, k.Name)
	}
	return CheckKind{}, cluster.Usagef("unknown check %q under %q; known: %s", name, when, strings.Join(known, ", "))
}

// Judge makes the check. A check of a fault whose effect was never seen has nothing to judge.
func (k CheckKind) Judge(r *Record, w *Window, p Params) plan.Check {
	c := plan.Check{Name: k.Name, When: k.When}
	if w != nil {
		c.When = "during " + w.ID
		if w.Effective.IsZero() {
			c.Verdict, c.Message = plan.Unknown, "the fault was never seen to be effective"
			return c
		}
	}
	c.Verdict, c.Message = k.Decide(r, w, p)
	return c
}

func etcdQuorum(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	if len(r.Observations) == 0 {
		return plan.Unknown, "nothing was observed"
	}
	for _, o := range r.Observations {
		if o.Margin() < 0 && !r.expected(o.Time) {
			return plan.Fail, fmt.Sprintf("at %s only %d of %d members answered, a quorum is %d", clock(o.Time), o.Reachable(), len(o.Members), cluster.Quorum(len(o.Members)))
		}
	}
	return plan.Pass, fmt.Sprintf("held at %d observations", len(r.Observations))
}

// settle is how long after a fault was seen to be over its late effects are still its own.
const settle = 3 * time.Second

func (r *Record) expected(t time.Time) bool {
	for _, w := range r.Windows {
		if w.Expected && w.covers(t) {
			return true
		}
	}
	return false
}

// replaceWithin is how long after a fault its lost pods may still be missing.
const replaceWithin = 30 * time.Second

func laterThan(t time.Time, d time.Duration) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(d)
}

func (w Window) covers(t time.Time) bool {
	return !w.Began.IsZero() && t.After(w.Began.Add(-observe.For)) && (w.Cleared.IsZero() || t.Before(w.Cleared.Add(settle)))
}

// planned reports whether a fault accounts for the loss of a machine's member at a time: it was the fault's
// own, or the fault took the quorum and so everybody's health.
func (r *Record) planned(machine string, t time.Time) bool {
	for _, w := range r.Windows {
		if w.covers(t) && (w.Expected || slices.Contains(w.Machines, machine)) {
			return true
		}
	}
	return false
}

// onlyPlannedLosses looks for members that did not answer twice running, and for processes that started anew.
func onlyPlannedLosses(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	if len(r.Observations) < 2 {
		return plan.Unknown, fmt.Sprintf("%d observations", len(r.Observations))
	}
	missed, started, known := map[string]int{}, map[string]time.Time{}, map[string]bool{}
	for _, o := range r.Observations {
		for _, m := range o.Members {
			if m.Error != "" {
				missed[m.Machine]++
				if missed[m.Machine] >= 2 && !r.planned(m.Machine, o.Time) {
					return plan.Fail, fmt.Sprintf("the member on %s was lost at %s and no fault of the scenario did it: %s", m.Machine, clock(o.Time), m.Error)
				}
				continue
			}
			missed[m.Machine] = 0
			if m.Started.IsZero() {
				continue
			}
			known[m.Machine] = true
			if before := started[m.Machine]; !before.IsZero() && m.Started.Sub(before) > time.Second && !r.planned(m.Machine, m.Started) {
				return plan.Fail, fmt.Sprintf("the member on %s was restarted at %s and no fault of the scenario did it", m.Machine, clock(m.Started))
			}
			started[m.Machine] = m.Started
		}
	}
	for _, m := range r.Topology.EtcdMachines() {
		if !known[m] {
			return plan.Unknown, fmt.Sprintf("the member on %s never told when it started", m)
		}
	}
	return plan.Pass, fmt.Sprintf("%d observations, every loss accounted for", len(r.Observations))
}

func linearizable(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	if len(r.Linearizable) == 0 {
		return plan.Unknown, "no history was recorded"
	}
	worst, said := plan.Pass, []string{}
	for name, v := range r.Linearizable {
		if r.Operations[name] == 0 {
			return plan.Unknown, name + ": no operation was recorded"
		}
		switch v {
		case plan.Fail:
			return plan.Fail, fmt.Sprintf("%s: no order of the %d operations explains the answers", name, r.Operations[name])
		case plan.Pass:
			said = append(said, fmt.Sprintf("%s: %d operations", name, r.Operations[name]))
		default:
			worst = plan.Unknown
			said = append(said, fmt.Sprintf("%s: the search over %d operations did not end in time", name, r.Operations[name]))
		}
	}
	slices.Sort(said)
	return worst, strings.Join(said, "; ")
}

func noLoss(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	switch {
	case r.LostError != "":
		return plan.Unknown, r.LostError
	case r.Acknowledged == 0:
		return plan.Unknown, "no write was acknowledged at all"
	case len(r.Lost) > 0:
		return plan.Fail, fmt.Sprintf("%d of %d acknowledged writes are gone, %s among them", len(r.Lost), r.Acknowledged, r.Lost[0])
	default:
		return plan.Pass, fmt.Sprintf("all %d acknowledged writes are there", r.Acknowledged)
	}
}

func gapWithin(samples []load.Sample, p Params, what string) (plan.Verdict, string) {
	good := 0
	for _, s := range samples {
		if s.Err == nil {
			good++
		}
	}
	gap := load.LongestGap(samples)
	switch {
	case len(samples) == 0:
		return plan.Unknown, "no sample was taken"
	case p.MaxGap > 0 && gap > p.MaxGap:
		return plan.Fail, fmt.Sprintf("%s had a gap of %s, above %s", what, gap.Round(100*time.Millisecond), p.MaxGap)
	case good == 0:
		return plan.Fail, fmt.Sprintf("%s failed all %d times: %v", what, len(samples), samples[len(samples)-1].Err)
	default:
		return plan.Pass, fmt.Sprintf("%d of %d answered, longest gap %s", good, len(samples), gap.Round(100*time.Millisecond))
	}
}

func apiAvailable(r *Record, _ *Window, p Params) (plan.Verdict, string) {
	return gapWithin(r.Samples[load.ProbeAPIRead], p, "API server read")
}

// inside are the samples that began and ended while the fault was seen to be effective.
func (r *Record) inside(probe string, w *Window, skip time.Duration) []load.Sample {
	var out []load.Sample
	for _, s := range r.Samples[probe] {
		if s.Start.After(w.Effective.Add(skip)) && s.End.Before(w.Recover) {
			out = append(out, s)
		}
	}
	return out
}

func writesContinue(r *Record, w *Window, p Params) (plan.Verdict, string) {
	return gapWithin(r.inside(load.ProbeEtcdWrite, w, 0), p, "etcd write")
}

// none says whether every sample of a probe failed.
func none(samples []load.Sample, what string) (plan.Verdict, string) {
	if len(samples) == 0 {
		return plan.Unknown, "no sample was taken"
	}
	for _, s := range samples {
		if s.Err == nil {
			return plan.Fail, fmt.Sprintf("%s succeeded at %s", what, clock(s.Start))
		}
	}
	return plan.Pass, fmt.Sprintf("%s failed all %d times, the last: %v", what, len(samples), samples[len(samples)-1].Err)
}

func writesStop(r *Record, w *Window, _ Params) (plan.Verdict, string) {
	return none(r.inside(load.ProbeEtcdWrite, w, 0), "etcd write")
}

func staleOnly(r *Record, w *Window, _ Params) (plan.Verdict, string) {
	v, said := none(r.inside(load.ProbeEtcdRead, w, 0), "linearizable read")
	if v != plan.Pass {
		return v, said
	}
	if len(w.Machines) == len(r.Topology.EtcdMachines()) {
		return plan.Pass, said + "; no member is left to read from"
	}
	stale, more := gapWithin(r.inside(load.ProbeEtcdStaleRead, w, 0), Params{}, "serializable read")
	return stale, said + "; serializable: " + more
}

// An API server may answer a write that waited at the moment quorum went; what began a second later may not.
const inFlight = time.Second

func apiRefuses(r *Record, w *Window, _ Params) (plan.Verdict, string) {
	return none(r.inside(load.ProbeAPIWrite, w, inFlight), "API server write")
}

func etcdHealthy(r *Record, _ *Window, p Params) (plan.Verdict, string) {
	if len(r.Final.Members) == 0 {
		return plan.Unknown, "nothing was observed at the end"
	}
	if err := etcd.Agree(r.Final.Members); err != nil {
		return plan.Fail, err.Error()
	}
	want := p.Members
	if want == 0 {
		want = r.Topology.EtcdMembers
	}
	if len(r.Final.Members) != want {
		return plan.Fail, fmt.Sprintf("%d members instead of %d", len(r.Final.Members), want)
	}
	return plan.Pass, fmt.Sprintf("all %d members follow one leader", want)
}

func hashesEqual(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	if r.HashError != "" || len(r.Hashes) == 0 {
		return plan.Unknown, "hashes were not read: " + r.HashError
	}
	values := map[uint32]bool{}
	for _, h := range r.Hashes {
		values[h] = true
	}
	if len(values) > 1 {
		return plan.Fail, fmt.Sprintf("members hold different data: %v", r.Hashes)
	}
	return plan.Pass, fmt.Sprintf("%d members hold the same data", len(r.Hashes))
}

func nodesReady(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	if len(r.Final.Nodes) == 0 {
		return plan.Unknown, "no node was seen at the end"
	}
	if r.FinalError != "" {
		return plan.Fail, r.FinalError
	}
	return plan.Pass, fmt.Sprintf("%d nodes and %d API servers are ready", len(r.Final.Nodes), len(r.Final.APIServers))
}

func clock(t time.Time) string { return t.Format("15:04:05.0") }
