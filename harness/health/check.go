package health

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

// Params of a check, from the scenario.
type Params struct {
	MaxGap    time.Duration `yaml:"maxGap"`
	MaxErrors float64       `yaml:"maxErrors"` // per cent: of the tries, or of the time beside the longest gap
	Members   int           `yaml:"members"`
	Version   string        `yaml:"version"`
	Of        string        `yaml:"of"`        // versions: control-plane leaves the workers' kubelets out
	Principal string        `yaml:"principal"` // of calls to Azure Resource Manager, as a pattern of path.Match; empty: everybody
	Max       float64       `yaml:"max"`       // calls sent for one that passed; of restarts, how often a container may start anew for reasons of its own
	Window    time.Duration `yaml:"window"`    // the last part of the run; 0: all of it
}

// versionForm is a minor or a release, as cluster.IsVersion wants them.
var versionForm = regexp.MustCompile(`^v\d+\.\d+(\.\d+(-[\w.-]+)?)?$`)

// Fits refuses, with a UsageError, what a check cannot be made by: bounds that nothing or everything keeps, and parameters it has no use for, which
// whoever wrote them takes for bounds.
func (p Params) Fits(check string) error {
	switch {
	case p.MaxGap < 0:
		return cluster.Usagef("%s: maxGap is %s; it cannot be negative", check, p.MaxGap)
	case p.MaxErrors < 0 || p.MaxErrors >= 100:
		return cluster.Usagef("%s: maxErrors is %g; it is per cent, and less than 100 of them can be allowed", check, p.MaxErrors)
	case p.Members < 0:
		return cluster.Usagef("%s: members is %d; it cannot be negative", check, p.Members)
	case p.Version != "" && !versionForm.MatchString(p.Version):
		return cluster.Usagef("%s: version is %q; want vX.Y or vX.Y.Z", check, p.Version)
	case p.Of != "" && p.Of != "control-plane":
		return cluster.Usagef("%s: of is %q; known: control-plane", check, p.Of)
	case p.Max < 0 || p.Max > 0 && p.Max < 1:
		return cluster.Usagef("%s: max is %g; one call is the least that can be sent for one that passes", check, p.Max)
	case p.Window < 0:
		return cluster.Usagef("%s: window is %s; it cannot be negative", check, p.Window)
	}
	if _, err := path.Match(p.Principal, ""); err != nil {
		return cluster.Usagef("%s: principal is %q; want a name, or a pattern such as cloud-provider-*: %w", check, p.Principal, err)
	}
	gaps := []string{"etcdQuorum", "requests", "apiAvailable", "workloadAvailable", "etcdWritesContinue", "leadersMove", "etcdLeaderMoves"}
	errors := []string{"requests", "apiAvailable", "workloadAvailable", "etcdWritesContinue"}
	for _, f := range []struct {
		name   string
		given  bool
		checks []string
	}{
		{"maxGap", p.MaxGap != 0, gaps}, {"maxErrors", p.MaxErrors != 0, errors}, {"members", p.Members != 0, []string{"etcdHealthy"}},
		{"version", p.Version != "", []string{"versions", "etcdHealthy"}}, {"of", p.Of != "", []string{"versions"}},
		{"principal", p.Principal != "", []string{"armAmplification", "armThrottled", "armUnthrottled", "armRemedied"}}, {"max", p.Max != 0, []string{"armAmplification", "restarts"}}, {"window", p.Window != 0, []string{"armUnthrottled"}},
	} {
		if f.given && !slices.Contains(f.checks, check) {
			return cluster.Usagef("%s takes no %s; the checks that do: %s", check, f.name, strings.Join(f.checks, ", "))
		}
	}
	return nil
}

// CheckKind is a check in the list: how a scenario names it and how it judges. w is nil for always and finally.
type CheckKind struct {
	Name  string
	When  string // always, during or finally
	About string
	// Decide makes the verdict of what was observed, and says why.
	Decide func(r *Record, w *Window, p Params) (plan.Verdict, string)
	// Lasting: it judges what is there, not what was in time. A starved host changes no object and loses no write.
	Lasting bool
}

// Checks is every check of a cluster's health; other packages have lists of their own.
func Checks() []CheckKind {
	return []CheckKind{
		{"whole", "finally", "the cluster is whole at the end and stays so: quorum, members, data, components, leases, nodes, pods", wholeAtEnd, false},
		{"etcdQuorum", "always", "a quorum confirms linearizable reads with no gap above maxGap (5s), but where its loss is expected", etcdQuorum, false},
		{"onlyPlannedLosses", "always", "no member is lost or restarts but by a fault of the scenario", onlyPlannedLosses, false},
		{"noUnplannedRestart", "always", "no component or kubelet starts anew or is away, no node is not Ready, no machine boots, but by a fault or a step on it", noUnplannedRestart, false},
		{"linearizable", "always", "every answer clients got is explained by some order of their operations", linearizable, true},
		{"noAcknowledgedWriteLost", "always", "every acknowledged write can be read at the end", noLoss, true},
		{"leaseKept", "always", "no lease ends sooner than its time to live after a renewal that was acknowledged", leaseKept, true},
		{"watchOrdered", "always", "no watcher of etcd goes back in time, or is sent what was before it, or a revision in parts", watchOrdered, true},
		{"watchUnique", "always", "no watcher of etcd is sent a change twice", watchUnique, true},
		{"watchComplete", "always", "every watcher of etcd is sent every change that is known to have been made", watchComplete, false},
		{"watchBookmarks", "always", "no watcher of etcd is told that it has all before it does", watchBookmarks, true},
		{"revisionMonotonic", "always", "the revision that a quorum answers at never goes back", revisionMonotonic, true},
		{"requests", "always", "clients of the API are served, through the balancer and past it: reads, writes, new connections; of etcd where it stands alone", requests, false},
		{"apiAvailable", "always", "the API server answers through the balancer with no gap above maxGap", apiAvailable, false},
		{"oneLeader", "always", "no component's lease changes hands before it has expired, and nobody takes himself for its leader beside the holder", oneLeader, true},
		{"etcdWritesContinue", "during", "etcd acknowledges writes, with no gap above maxGap", writesContinue, false},
		{"etcdWritesStop", "during", "etcd acknowledges no write", writesStop, false},
		{MinorityStepsDown, "during", "members that are cut off from a quorum lead nobody and follow nobody, 5s after the cut", minorityStepsDown, false},
		{"etcdLeaderMoves", "during", "a member that the fault is not on leads in the place of the one it is on, within maxGap (10s), and no process need die", etcdLeaderMoves, false},
		{"etcdLeaderStays", "during", "all members follow the leader they followed before the fault, and nobody elects", etcdLeaderStays, false},
		{"staleReadsOnly", "during", "linearizable reads fail and serializable ones are answered", staleOnly, false},
		{"apiRefusesWrites", "during", "the API server acknowledges no write", apiRefuses, false},
		{"leadersMove", "during", "leases held on the lost machine move within lease + retry", leadersMove, false},
		{"nodeUnreachable", "during", "a lost machine's node is Unknown after the grace period, no sooner and no later, and then tainted unreachable:NoExecute", nodeUnreachable, false},
		{"noEarlyEviction", "during", "no pod of a lost machine is deleted before its toleration of that taint has ended", noEarlyEviction, false},
		{"podsEvicted", "during", "then they are deleted, whatever their PodDisruptionBudget says, and stay Terminating while the machine is off; not a DaemonSet's", podsEvicted, false},
		{"podsReplaced", "during", "evicted pods of Deployments are replaced on other machines within 30 s, to full strength", podsReplaced, false},
		{"noTwins", "during", "evicted pods of StatefulSets and of nobody's are not made anew while their machine may live", noTwins, false},
		{"nodeReturns", "during", "after the fault the node is Ready, untainted and empty of what was evicted, and what was not runs on", nodeReturns, false},
		{"nothingEvicted", "during", "no pod of a lost machine is evicted: it was away for less than their tolerations, or all workers were lost at once", nothingEvicted, false},
		{"nodeStaysReady", "during", "the nodes of the fault's machines are Ready and untainted all through it and after it", nodeStaysReady, false},
		{"podsRunOn", "during", "the pods of the fault's machines are the same after it, and none of their containers was started anew", podsRunOn, false},
		{"podsKept", "always", "every pod but kube-system's is the same one to the end, unless a fault or a step was on its machine", podsKept, true},
		{"readyKept", "always", "a pod that is ready stays so, unless its probe failed, its container ended, or a fault or a step was on its machine; that its kubelet started anew is no reason", readyKept, false},
		{"restarts", "always", "no container is started anew but by a fault or a step on its machine, and then once; or for reasons of its own, no more than max times (0)", restartsPlanned, false},
		{"workloadAvailable", "always", "requests to the workload are answered with no gap above maxGap", workloadAvailable, false},
		{"pdbRespected", "always", "never fewer replicas ready than the PodDisruptionBudget asks for, but by a fault", pdbRespected, false},
		{Remedied, "finally", "every runbook has mended what it was called for, as those see it who see the end of any fault", remedied, true},
		{"labelsPreserved", "finally", "nodes have the labels, annotations and taints they had", labelsPreserved, true},
		{"noResidue", "finally", "no cordon, taint, file, stray member, orphaned or stray pod, webhook, lease or paused autoscaler is left", noResidue, true},
		{"objectsPreserved", "finally", "all API objects are as they were, or as a clean upgrade between the same versions makes them", objectsPreserved, true},
		{"knownState", "finally", "every machine runs the programs it ran, has the mounts it had and the same pods ready: whatever was ended was started again", knownState, false},
		{"etcdHealthy", "finally", "all members answer, vote, follow one leader and run one version, or the one that is asked for", etcdHealthy, false},
		{"hashesEqual", "finally", "all members hold the same data at one revision", hashesEqual, true},
		{"nodesReady", "finally", "all nodes are Ready and all API servers ready", nodesReady, false},
		{"armAmplification", "finally", "no client of Azure Resource Manager sends more than max (1.1) calls for one that passes, those answered 429 or lost to a fault included", armAmplification, true},
		{"armThrottled", "finally", "some of a client's calls were answered 429", armThrottled, true},
		{"armRemedied", "finally", "calls were answered 429 before a runbook, and of all who called then each has had a call that passed since it began to start things again, and none was answered 429", armRemedied, true},
		{"armUnthrottled", "finally", "no call was answered 429, in the last window of the run or all through it, and some were made", armUnthrottled, true},
		{ARMResidue, "finally", "each virtual machine of the twin has its machine and each machine its own, and no interface or disk belongs to nobody", armResidue, true},
		{DriverReportedSuccess, "finally", "when a command of a tool's has ended 0, the cluster is whole then and of the version it says", driverReportedSuccess, false},
		{"versions", "finally", "all components run the version; with of: control-plane, those of the control plane", versionsAre, true},
	}
}

// OfKubernetes are the checks of what etcd alone does not have: API servers, leases, nodes, pods. Without them they would have no data, and the run no verdict.
func OfKubernetes() []string {
	return []string{
		"noUnplannedRestart", "apiAvailable", "oneLeader", "apiRefusesWrites", "leadersMove", "nodeUnreachable", "noEarlyEviction", "podsEvicted", "podsReplaced", "noTwins", "nodeReturns",
		"nothingEvicted", "nodeStaysReady", "podsRunOn", "podsKept", "readyKept", "restarts", "workloadAvailable", "pdbRespected", "labelsPreserved", "objectsPreserved", "nodesReady",
	}
}

// Builtin are the checks every scenario on a cluster of the topology makes whether it says so or not.
func Builtin(t cluster.Topology) []string {
	out := []string{"whole", "etcdQuorum", "onlyPlannedLosses", "linearizable", "noAcknowledgedWriteLost", "requests"}
	if t.Kubernetes() {
		out = append(out, "noUnplannedRestart", "oneLeader", "objectsPreserved", "noResidue")
	}
	return out
}

// Quiet are those of them that can be judged where nobody but a scenario's traffic writes.
func Quiet(r *Record) []string {
	out := []string{"whole", "etcdQuorum", "onlyPlannedLosses"}
	if len(r.Ledgers) > 0 {
		out = append(out, "noAcknowledgedWriteLost")
	}
	return out
}

// Looking are those of them that need nobody who writes, of a cluster that others use meanwhile: what they change there is their business.
func Looking(t cluster.Topology) []string {
	out := []string{"whole", "etcdQuorum", "onlyPlannedLosses", "etcdHealthy", "hashesEqual"}
	if t.Kubernetes() {
		out = append(out, "noUnplannedRestart", "oneLeader", "apiAvailable", "nodesReady")
	}
	return out
}

// WhenOf is when a check of the list is made.
func WhenOf(name string) string {
	for _, k := range Checks() {
		if k.Name == name {
			return k.When
		}
	}
	return "always"
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
	r = r.narrowed()
	c.Verdict, c.Message = k.Decide(r, w, p)
	c.Place = r.place(c, w)
	if c.Verdict == plan.Fail {
		c.Message += r.words(c.Message) + r.starved()
		if why := r.overloaded(); why != "" && !k.Lasting && !r.crashed(c.Message) {
			c.Verdict, c.Message = plan.Unknown, why+": "+c.Message
		}
	}
	return c
}

func clock(t time.Time) string { return t.Format("15:04:05.0") }
