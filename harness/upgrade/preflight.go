package upgrade

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
)

// Severity says what a finding does to an upgrade.
type Severity string

// Blockers stop it, unless forced; warnings are shown; unknown is a look that could not be taken, and blocks: no data is never a pass.
const (
	Blocker Severity = "blocker"
	Warning Severity = "warning"
	Unknown Severity = "unknown"
)

// Finding is one thing preflight found.
type Finding struct {
	Check    string   `json:"check"`
	Severity Severity `json:"severity"`
	What     string   `json:"what"`
	Why      string   `json:"why"` // why it matters
	Fix      string   `json:"fix"`
}

// Blocks reports whether the finding stops an upgrade.
func (f Finding) Blocks() bool { return f.Severity != Warning }

// inventory is what preflight has read of a cluster; the checks look at nothing else.
type inventory struct {
	upgrade     *Upgrade
	observation observe.Observation
	nodes       []corev1.Node
	pods        []corev1.Pod
	unfinished  map[string]string // machine -> version an upgrade was on its way from
	replacing   map[string]string // those of them that are replaced, and may be off or not there
}

// preflightCheck is one look at the cluster.
type preflightCheck struct {
	name string
	look func(ctx context.Context, in *inventory) ([]Finding, error)
}

// preflightChecks is everything preflight looks at.
func preflightChecks() []preflightCheck {
	return []preflightCheck{
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
		{"memory budget", func(_ context.Context, in *inventory) ([]Finding, error) { return memoryBudget(in.nodes, in.pods), nil }},
		{"surge", surgePossible},
		{"known issues", func(_ context.Context, in *inventory) ([]Finding, error) { return Advice(in.upgrade.Path, in.cloud()) }},
	}
}

// Preflight looks at everything and touches nothing. The findings come in the order of the list.
func (u *Upgrade) Preflight(ctx context.Context) ([]Finding, error) {
	in := &inventory{upgrade: u, observation: u.Observer.Observe(ctx)}
	if err := in.read(ctx); err != nil {
		return nil, err
	}
	var out []Finding
	for _, c := range preflightChecks() {
		found, err := c.look(ctx, in)
		if err != nil {
			found = []Finding{{
				Check: c.name, Severity: Unknown, What: "could not be looked at: " + err.Error(),
				Why: "what is not known is not safe", Fix: "make the cluster answer, or --force to go without this check",
			}}
		}
		out = append(out, found...)
	}
	return out, nil
}

// preflight is the step: blockers refuse the upgrade before anything is touched.
func (u *Upgrade) preflight(ctx context.Context) error {
	found, err := u.Preflight(ctx)
	if err != nil {
		return err
	}
	var blocking []string
	for _, f := range found {
		if f.Blocks() {
			blocking = append(blocking, fmt.Sprintf("%s: %s (%s). Why: %s. What to do: %s", f.Check, f.What, f.Severity, f.Why, f.Fix))
		}
	}
	if len(blocking) == 0 || u.Spec.Force {
		return nil
	}
	return &cluster.UsageError{Err: fmt.Errorf("%w: preflight refuses %s:\n  %s", ErrRefused, u.Path, strings.Join(blocking, "\n  "))}
}

// ErrRefused is wrapped by an upgrade that was not begun.
var ErrRefused = errors.New("refused")

// surgePossible: new machines have to come from somewhere.
func surgePossible(_ context.Context, in *inventory) ([]Finding, error) {
	if in.upgrade.Spec.Workers != Surge || in.upgrade.Spec.ControlPlaneOnly {
		return nil, nil
	}
	if _, ok := in.upgrade.Target.Cluster.(cluster.Scaler); !ok {
		return []Finding{{
			Check: "surge", Severity: Blocker, What: "machines cannot be added to this cluster", Why: "workers are to be replaced by new machines",
			Fix: "upgrade workers in place: --workers rolling",
		}}, nil
	}
	return nil, nil
}

// readFor is how long preflight may take to read the cluster at all.
const readFor = 20 * time.Second

func (in *inventory) read(ctx context.Context) error {
	client, u := in.upgrade.Target.Client, in.upgrade
	err := cluster.Await(ctx, "read the cluster", cluster.Wait{For: readFor}, func(ctx context.Context) error {
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
	if err != nil {
		return &cluster.UsageError{Err: fmt.Errorf("%w: the cluster is unhealthy before the upgrade: %w", ErrRefused, err)}
	}
	if in.replacing, err = u.replacing(); err != nil {
		return err
	}
	in.unfinished, err = u.unfinished(ctx)
	return err
}

// unfinished finds machines whose upgrade was begun by Drydock and has not passed its gate.
func (u *Upgrade) unfinished(ctx context.Context) (map[string]string, error) {
	out, err := u.replacing()
	if err != nil {
		return nil, err
	}
	for _, m := range u.Target.Cluster.Machines() {
		if m.Role() == cluster.Etcd || out[m.Name()] != "" { // a machine that is being replaced may be off
			continue
		}
		saved, err := cluster.Glob(ctx, m, SavedDir+"/*")
		if err != nil {
			return nil, err
		}
		for _, dir := range saved {
			out[m.Name()] = strings.TrimSpace(out[m.Name()] + " " + path.Base(dir))
		}
	}
	return out, nil
}

func (in *inventory) cloud() string {
	for i := range in.nodes {
		if provider, _, ok := strings.Cut(in.nodes[i].Spec.ProviderID, "://"); ok {
			return provider
		}
	}
	return ""
}

func skewNow(_ context.Context, in *inventory) ([]Finding, error) {
	var out []Finding
	for _, v := range Skew(in.observation.Components) {
		out = append(out, Finding{
			Check: "version skew", Severity: Blocker, What: v.Message, Why: "an upgrade starts from a supported state or makes things worse",
			Fix: "bring " + v.Offender + " to a supported version first",
		})
	}
	// The oldest supported kubelet moves with the API servers: those that are fine now may be too old for the target.
	// Workers that are upgraded in every hop are never further behind than one.
	for _, hop := range in.upgrade.Path.Hops {
		if !in.upgrade.Spec.ControlPlaneOnly {
			break
		}
		after := slices.Clone(in.observation.Components)
		for i := range after {
			if after[i].Name != observe.Kubelet && after[i].Name != observe.KubeProxy && after[i].Version != "" {
				after[i].Version = hop
			}
		}
		for _, v := range Skew(after) {
			if strings.HasPrefix(v.Offender, observe.Kubelet) {
				out = append(out, Finding{
					Check: "version skew", Severity: Blocker, What: "after the control plane's upgrade " + v.Message, Why: "its node would be unsupported",
					Fix: "upgrade " + v.Offender + " first",
				})
			}
		}
	}
	return out, nil
}

func etcdNow(_ context.Context, in *inventory) ([]Finding, error) {
	var lost []string
	for _, m := range in.observation.Members {
		if !m.Healthy() && in.unfinished[m.Machine] == "" { // a member of a half-upgraded machine is what the upgrade will put right
			lost = append(lost, fmt.Sprintf("%s (%s)", m.Machine, m.Error))
		}
	}
	total := len(in.observation.Members)
	switch {
	case len(lost) > 0:
		return []Finding{{
			Check: "etcd", Severity: Blocker, What: "unhealthy members: " + strings.Join(lost, ", "),
			Why: "each control plane's member restarts during its upgrade, and then two would be missing", Fix: "repair or replace the member first",
		}}, nil
	case cluster.Tolerance(total) < 1:
		return []Finding{{
			Check: "etcd", Severity: Warning, What: fmt.Sprintf("%d member(s) tolerate no loss", total),
			Why: "while the member restarts there is no etcd and no API server", Fix: "three control planes lose one without notice",
		}}, nil
	default:
		return nil, nil
	}
}

func nodesNow(_ context.Context, in *inventory) ([]Finding, error) {
	var out []Finding
	seen := map[string]bool{}
	for _, n := range in.observation.Nodes {
		seen[n.Name] = true
		if !n.Ready && in.unfinished[n.Name] == "" {
			out = append(out, Finding{
				Check: "nodes", Severity: Blocker, What: "node " + n.Name + " is not Ready",
				Why: "its pods have nowhere to go back to, and an upgrade would take one more node away", Fix: "repair it or remove it from the cluster first",
			})
		}
	}
	for _, m := range in.upgrade.Target.Cluster.Machines() {
		if m.Role() != cluster.Etcd && !seen[m.Name()] && in.unfinished[m.Name()] == "" {
			out = append(out, Finding{Check: "nodes", Severity: Blocker, What: m.Name() + " is no node of the cluster", Why: "nobody knows what it runs", Fix: "join it or leave it out"})
		}
	}
	for i := range in.nodes {
		if n := &in.nodes[i]; n.Spec.Unschedulable && n.Annotations[CordonedBy] == "" {
			out = append(out, Finding{Check: "nodes", Severity: Warning, What: "node " + n.Name + " is cordoned, and will stay so", Why: "pods of drained nodes have one place less", Fix: "kubectl uncordon " + n.Name})
		}
	}
	return out, nil
}
