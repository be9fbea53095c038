package experiment

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/subject/aksengine"
	"drydock.dev/drydock/harness/upgrade"
	"drydock.dev/drydock/harness/upgrade/policy"
	"drydock.dev/drydock/harness/upgrade/replace"
	"drydock.dev/drydock/harness/upgrade/replace/manager"
)

// byReplacement lays the strategy replace beside AKS Engine in the cells of a story.
type byReplacement struct{}

// Upgrader is what upgrades the cluster of a cell.
func (byReplacement) Upgrader(p aksengine.Place) (aksengine.Upgrader, error) {
	raw, err := clientcmd.BuildConfigFromFlags("", p.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("strategy %s: %w", upgrade.Replace, err)
	}
	raw.ContentType = "application/json" // a stand-in speaks no other
	client, err := kubernetes.NewForConfig(raw)
	if err != nil {
		return nil, fmt.Errorf("strategy %s: %w", upgrade.Replace, err)
	}
	return &replacer{place: p, client: client}, nil
}

// replacer upgrades the cluster of one cell by the strategy replace, from the claim on the cluster to its release: what comes before and after them in
// `drydock upgrade`, preflight, the snapshot of etcd and the last look, is of real machines.
type replacer struct {
	place    aksengine.Place
	client   kubernetes.Interface
	manager  *manager.Client // nil: the one that Ready leads to
	commands int
}

// toolsGroup is the resource group, which the strategy takes for the cluster's name.
const toolsGroup = aksengine.Group

// topology is the cluster as AKS Engine deployed it.
func (r *replacer) topology() cluster.Topology {
	m := r.place.Model
	t := cluster.Topology{
		Name: toolsGroup, ControlPlanes: m.Masters, Workers: m.Agents, Etcd: cluster.EtcdStacked, EtcdMembers: m.Masters, Version: "v" + m.Version,
		Timing: cluster.TimingFast, Called: aksengine.Names(m.Pool),
	}
	if m.Pool == aksengine.PoolScaleSet {
		t.Workers = 0
	}
	return t
}

// asked are the words of AKS Engine's users for what the strategy knows by its own, as `drydock upgrade` takes them.
func (r *replacer) asked(version string, flags []string) (upgrade.Spec, error) {
	spec := upgrade.Spec{To: "v" + version, Strategy: upgrade.Replace, DrainTimeout: time.Minute}
	known := flag.NewFlagSet(upgrade.Replace, flag.ContinueOnError)
	known.BoolVar(&spec.Force, "force", false, "")
	known.BoolVar(&spec.ControlPlaneOnly, "control-plane-only", false, "")
	minutes := known.Int("vm-timeout", 0, "")
	if err := known.Parse(flags); err != nil {
		return spec, cluster.Usagef("strategy %s: %w", upgrade.Replace, err)
	}
	spec.MachineTimeout = time.Duration(*minutes) * time.Minute
	if r.place.Model.Pool == aksengine.PoolScaleSet && !spec.ControlPlaneOnly {
		spec.ScaleSets = []string{aksengine.ScaleSet}
	}
	return spec.Complete()
}

// Upgrade is one command of a user's: it goes on with the one before where that has not ended well.
func (r *replacer) Upgrade(ctx context.Context, _, version string, flags ...string) (e aksengine.Ended, err error) {
	r.commands++
	e = aksengine.Ended{Command: strings.Join(append([]string{"drydock upgrade --strategy replace --to", version}, flags...), " "), Log: fmt.Sprintf("%02d-upgrade.log", r.commands), Begun: time.Now()}
	spec, err := r.asked(version, flags)
	if err != nil {
		return e, err
	}
	t := r.topology()
	u := &upgrade.Upgrade{
		Spec: spec, Path: policy.Path{From: t.Version, Hops: []string{spec.To}}, Topology: t, Cloud: r.place.Ready,
		Target: &observe.Target{Client: r.client}, Dir: filepath.Join(r.place.Dir, "upgrade", plan.SnapshotsDir),
	}
	by, err := replace.New(u)
	if err != nil {
		return e, err
	}
	by.Manager, by.Look = r.manager, (&standInObserver{cluster: r.place.Cluster, client: r.client, topology: t}).look
	claim, err := plan.TakeClaim(filepath.Join(r.place.Dir, "upgrade"), upgrade.Ended)
	if err != nil {
		return e, err
	}
	defer func() { err = errors.Join(err, claim.Close()) }()
	p := &plan.Plan{Steps: by.Hop(t.Version, spec.To)}
	p.Number()
	runner := &plan.Runner{Journal: claim.Journal}
	ended := runner.Run(ctx, p)
	e.Took = time.Since(e.Begun)
	if ctx.Err() != nil {
		return e, fmt.Errorf("%s: %w", e.Command, context.Cause(ctx))
	}
	e.Code, e.Said = toldBy(ended, spec.To)
	if ended == nil {
		err = claim.Finish()
	}
	return e, errors.Join(err, r.log(e, runner.Done()))
}

// toldBy is how `drydock upgrade` ends: its exit code, and what it says.
func toldBy(err error, to string) (code int, said string) {
	switch {
	case err == nil:
		return 0, "it runs " + to
	case errors.Is(err, plan.ErrRefused):
		return 2, err.Error()
	default:
		return 1, err.Error()
	}
}

// log keeps what became of its steps.
func (r *replacer) log(e aksengine.Ended, done []plan.StepDone) error {
	var out strings.Builder
	for _, d := range done {
		fmt.Fprintf(&out, "%s %-8s %-28s %5.1fs %s\n", d.Started.UTC().Format("15:04:05"), d.Status, d.Name, d.DurationSeconds, d.Error)
	}
	fmt.Fprintf(&out, "exit code %d: %s\n", e.Code, e.Said)
	return os.WriteFile(filepath.Join(r.place.Dir, e.Log), []byte(out.String()), 0o600)
}
