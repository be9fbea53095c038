// Package preflight looks whether a cluster may be upgraded, and touches nothing. Each look makes findings; one that could not be taken blocks.
package preflight

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/upgrade/policy"
)

// Input is what is looked at: a cluster, as it was observed, and what is to become of it.
type Input struct {
	Target           *observe.Target
	Observation      observe.Observation
	Upgraded         []observe.Component // what has a version of the path, as observed
	Dir              string              // for what has to be copied here to be looked at
	Path             policy.Path
	Surge            bool // workers are replaced by new machines
	ControlPlaneOnly bool
	Unfinished       map[string]string // machine -> version an upgrade was on its way from
	Replacing        map[string]string // those of them that are replaced, and may be off or not there
	// EtcdTo are the versions of etcd that the path's bring to members that are static pods; nil: there are none, or nobody knows which.
	EtcdTo    func(ctx context.Context) ([]string, error)
	OwnCordon string // the annotation of nodes that the upgrade itself has cordoned
}

// reading is what preflight has read of the cluster; the checks look at nothing else.
type reading struct {
	Input
	nodes []corev1.Node
	pods  []corev1.Pod
}

// check is one look at the cluster.
type check struct {
	name string
	look func(ctx context.Context, in *reading) ([]plan.Finding, error)
}

// checks is everything that is looked at.
func checks() []check {
	return []check{
		{"version skew", skewNow},
		{"etcd", etcdNow},
		{"nodes", nodesNow},
		{"earlier upgrade", earlierUpgrade},
		{"certificates", certificates},
		{"disk space", diskSpace},
		{"disruption budgets", budgets},
		{"single replicas", singles},
		{"webhooks", webhooks},
		{"removed APIs", removedAPIs},
		{"memory", memoryNow},
		{"surge", surgePossible},
		{"known issues", func(_ context.Context, in *reading) ([]plan.Finding, error) {
			return policy.Advice(in.Path, in.cloud())
		}},
		{"etcd on its way", takenAlong},
	}
}

// Look looks at everything. The findings come in the order of the list.
func Look(ctx context.Context, input Input) ([]plan.Finding, error) {
	in, all := &reading{Input: input}, etcdChecks()
	if !in.Path.OfEtcd() {
		all = checks()
		if err := in.read(ctx); err != nil {
			return nil, err
		}
	}
	var out []plan.Finding
	for _, c := range all {
		found, err := c.look(ctx, in)
		if err != nil {
			found = []plan.Finding{unread(c.name, err.Error(), cluster.FailureOf(err))}
		}
		out = append(out, found...)
	}
	return out, nil
}

// unread is a look that could not be taken.
func unread(check, why string, f cluster.Failure) plan.Finding {
	return plan.Finding{
		Check: check, Severity: plan.Unread, What: "could not be looked at: " + why, Late: f == cluster.Deadline,
		Why: "what is not known is not safe", Fix: "make the cluster answer, or --force to go without this check",
	}
}

// surgePossible: new machines have to come from somewhere.
func surgePossible(_ context.Context, in *reading) ([]plan.Finding, error) {
	if !in.Surge || in.ControlPlaneOnly {
		return nil, nil
	}
	if _, ok := in.Target.Cluster.(cluster.Scaler); !ok {
		return []plan.Finding{{
			Check: "surge", Severity: plan.Blocker, What: "machines cannot be added to this cluster", Why: "workers are to be replaced by new machines",
			Fix: "upgrade workers in place: --workers rolling",
		}}, nil
	}
	return nil, nil
}

// ReadFor is how long preflight may take to read the cluster at all.
const ReadFor = 20 * time.Second

func (in *reading) read(ctx context.Context) error {
	client := in.Target.Client
	err := cluster.Await(ctx, "read the cluster", cluster.Wait{For: ReadFor}, func(ctx context.Context) error {
		nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		pods, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		in.nodes, in.pods = nodes.Items, pods.Items
		return nil
	})
	if err == nil {
		return nil
	}
	late := cluster.FailureOf(err) == cluster.Deadline
	if err = fmt.Errorf("%w: the cluster is unhealthy before the upgrade: %w", plan.ErrRefused, err); late {
		err = &plan.LateError{Err: err}
	}
	return &cluster.UsageError{Err: err}
}

func (in *reading) cloud() string {
	for i := range in.nodes {
		if provider, _, ok := strings.Cut(in.nodes[i].Spec.ProviderID, "://"); ok {
			return provider
		}
	}
	return ""
}

func skewNow(_ context.Context, in *reading) ([]plan.Finding, error) {
	var out []plan.Finding
	for _, v := range policy.Skew(in.Observation.Components) {
		out = append(out, plan.Finding{
			Check: "version skew", Severity: plan.Blocker, What: v.Message, Why: "an upgrade starts from a supported state or makes things worse",
			Fix: "bring " + v.Offender + " to a supported version first",
		})
	}
	// The oldest supported kubelet moves with the API servers: those that are fine now may be too old for the target.
	// Workers that are upgraded in every hop are never further behind than one.
	for _, hop := range in.Path.Hops {
		if !in.ControlPlaneOnly {
			break
		}
		after := slices.Clone(in.Observation.Components)
		for i := range after {
			if after[i].Name != observe.Kubelet && after[i].Name != observe.KubeProxy && after[i].Version != "" {
				after[i].Version = hop
			}
		}
		for _, v := range policy.Skew(after) {
			if strings.HasPrefix(v.Offender, observe.Kubelet) {
				out = append(out, plan.Finding{
					Check: "version skew", Severity: plan.Blocker, What: "after the control plane's upgrade " + v.Message, Why: "its node would be unsupported",
					Fix: "upgrade " + v.Offender + " first",
				})
			}
		}
	}
	return out, nil
}

func etcdNow(_ context.Context, in *reading) ([]plan.Finding, error) {
	var lost []string
	late := true
	for _, m := range in.Observation.Members {
		if len(m.Alarms) > 0 {
			return []plan.Finding{{
				Check: "etcd", Severity: plan.Blocker, What: fmt.Sprintf("etcd has raised alarms: %s", strings.Join(m.Alarms, ", ")),
				Why: "with NOSPACE it takes no writes, with CORRUPT its members hold different data; an upgrade needs both", Fix: "compact and defragment, or replace the corrupt member; then etcdctl alarm disarm",
			}}, nil
		}
		if !m.Healthy() && in.Unfinished[m.Machine] == "" { // a member of a half-upgraded machine is what the upgrade will put right
			lost = append(lost, fmt.Sprintf("%s (%s)", m.Machine, m.Error))
			late = late && m.Failure == cluster.Deadline
		}
	}
	total := len(in.Observation.Members)
	switch {
	case len(lost) > 0:
		return []plan.Finding{{
			Check: "etcd", Severity: plan.Blocker, What: "unhealthy members: " + strings.Join(lost, ", "),
			Why: "each member restarts during the upgrade, and then two would be missing", Fix: "repair or replace the member first", Late: late,
		}}, nil
	case cluster.Tolerance(total) < 1:
		return []plan.Finding{{
			Check: "etcd", Severity: plan.Warning, What: fmt.Sprintf("%d member(s) tolerate no loss", total),
			Why: "while the member restarts there is no etcd and no API server", Fix: "three control planes lose one without notice",
		}}, nil
	default:
		return nil, nil
	}
}

// nodesNow goes by the list that was read until an API server answered: that a single look had none says nothing.
func nodesNow(_ context.Context, in *reading) ([]plan.Finding, error) {
	var out []plan.Finding
	seen := map[string]bool{}
	for i := range in.nodes {
		n := &in.nodes[i]
		seen[n.Name] = true
		if kubeadm.NodeReady(n) != nil && in.Unfinished[n.Name] == "" {
			out = append(out, plan.Finding{
				Check: "nodes", Severity: plan.Blocker, What: "node " + n.Name + " is not Ready",
				Why: "its pods have nowhere to go back to, and an upgrade would take one more node away", Fix: "repair it or remove it from the cluster first", Late: kubeadm.NodeSilent(n),
			})
		}
	}
	for _, m := range in.Target.Cluster.Machines() {
		if m.Role() != cluster.Etcd && !seen[m.Name()] && in.Unfinished[m.Name()] == "" {
			out = append(out, plan.Finding{Check: "nodes", Severity: plan.Blocker, What: m.Name() + " is no node of the cluster", Why: "nobody knows what it runs", Fix: "join it or leave it out"})
		}
	}
	for i := range in.nodes {
		if n := &in.nodes[i]; n.Spec.Unschedulable && n.Annotations[in.OwnCordon] == "" {
			out = append(out, plan.Finding{Check: "nodes", Severity: plan.Warning, What: "node " + n.Name + " is cordoned, and will stay so", Why: "pods of drained nodes have one place less", Fix: "kubectl uncordon " + n.Name})
		}
	}
	return out, nil
}
