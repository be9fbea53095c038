package health

import (
	"fmt"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

// versionsAre believes the components themselves, and the observe.Node objects besides: a kubelet that was swapped and does not report is not done.
func versionsAre(r *Record, _ *Window, p Params) (plan.Verdict, string) {
	want := p.Version
	if want == "" {
		want = r.Topology.Version
	}
	workers := map[string]bool{}
	for _, m := range r.Topology.Machines() {
		workers[m.Name] = m.Role == cluster.Worker && p.Of == "control-plane"
	}
	seen := map[string]bool{}
	var wrong, silent []string
	for _, c := range r.Final.Components {
		if workers[c.Machine] {
			continue
		}
		switch {
		case c.Version == "":
			silent = append(silent, fmt.Sprintf("%s did not tell its version: %s", c, c.Error))
		case !cluster.IsVersion(c.Version, want):
			wrong = append(wrong, fmt.Sprintf("%s is %s instead of %s", c, c.Version, want))
		}
		seen[c.Machine] = true
	}
	for _, n := range r.Final.Nodes {
		if !workers[n.Name] && !cluster.IsVersion(n.Version, want) {
			wrong = append(wrong, fmt.Sprintf("node %s reports a kubelet %s instead of %s", n.Name, n.Version, want))
		}
	}
	switch {
	case len(wrong) > 0:
		return plan.Fail, some(wrong)
	case len(silent) > 0:
		return plan.Unknown, some(silent)
	}
	for _, m := range r.Topology.Machines() {
		if m.Role != cluster.Etcd && !workers[m.Name] && !seen[m.Name] {
			return plan.Unknown, "no component of " + m.Name + " was seen at the end"
		}
	}
	if len(seen) == 0 {
		return plan.Unknown, "no component was seen at the end"
	}
	return plan.Pass, fmt.Sprintf("the components on %d machines run %s", len(seen), want)
}
