package remedy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/remedy/quota"
)

// throttledControlPlane is what operators of clusters on Azure do when a cloud provider of before Kubernetes 1.18 has exhausted its budgets: it asks again
// whatever it is told, and so never comes out of it (kubernetes#86282, Azure/AKS#1413). Stopped with their kubelets, which would start them again, its
// components are given a version that minds, and begin when there is something to spend.
func throttledControlPlane() Runbook {
	return Runbook{
		Name: "throttled-control-plane", Symptom: "the cloud answers a cluster's components 429, and they do not come out of it by themselves",
		Does: "stop the control planes' kubelets and what calls the cloud, change image versions, wait until the budgets have refilled, start one control plane after another, " +
			"prove the versions, and watch the budgets",
		Kubernetes: true, Images: true, Needs: []cluster.Capability{cluster.CanKill, cluster.CanDial},
		diagnose: diagnoseThrottled,
		steps:    func(r *Remedy) []*plan.Step { return throttled{r}.steps() },
	}
}

// throttled has the steps. Where they are is seen on the machines; that the budgets have refilled is kept, as it cannot be seen once they are drawn on again.
type throttled struct{ *Remedy }

func (t throttled) steps() []*plan.Step {
	planes := t.Topology.ControlPlaneMachines()
	stopped := plan.Disruption{Machines: planes, Components: []string{observe.Kubelet, observe.CloudControllerManager}}
	if _, named := t.Spec.Images[observe.ControllerManager]; named {
		stopped.Components = append(stopped.Components, observe.ControllerManager)
	}
	var steps []*plan.Step
	add := func(name, about string, lingers bool, run func(ctx context.Context) error) {
		steps = append(steps, &plan.Step{Name: name, About: about, Run: run, Disrupts: []plan.Disruption{stopped}, Lingers: lingers})
	}
	each := func(name, about string, run func(ctx context.Context, machine string) error) {
		for _, m := range planes {
			add(name+"-"+m, about, true, func(ctx context.Context) error { return run(ctx, m) })
		}
	}
	each("stop-kubelet", "so that nothing starts again what is stopped there, once etcd can spare a member", t.unlessRefilled(t.stopKubelet))
	add("scale-down", "the cluster-autoscaler and the addons with one of the images to 0, while there is who carries it out", true, func(ctx context.Context) error {
		return t.unlessRefilled(func(ctx context.Context, _ string) error { return t.scaleDown(ctx) })(ctx, "")
	})
	each("stop-components", "what calls the cloud", t.unlessRefilled(t.stopComponents))
	each("edit", "the versions of images in manifests and addons; what was is kept in "+keptDir, t.unlessRefilled(t.edit))
	add("await-budget", fmt.Sprintf("one cheap call every %s, later where it is told so; %s where nothing can be read", t.Spec.Budget.Every, t.Spec.Budget.Unread), true, t.awaitBudget)
	for _, m := range planes {
		add("start-"+m, "the kubelet, and with it what was stopped", true, func(ctx context.Context) error { return t.start(ctx, m) })
		add("verify-"+m, "the running version, by its own metrics and log", m != planes[len(planes)-1], func(ctx context.Context) error { return t.verify(ctx, m) })
	}
	add("reload-addons", "those whose images were changed, and what was scaled down as it was", false, t.reloadAddons)
	add("verify-addons", "the running version, by their pods' own logs", false, t.verifyAddons)
	add("watch-budget", fmt.Sprintf("no call is answered 429 for %s, and no component tells of one", t.Spec.Budget.Window), false, t.watchBudget)
	for _, s := range steps[len(steps)-3:] {
		s.Disrupts = nil
	}
	for _, s := range steps {
		s.Looks = strings.HasPrefix(s.Name, "verify-") || s.Name == "await-budget" || s.Name == "watch-budget"
	}
	return steps
}

// controlPlane is what is found on one.
type controlPlane struct {
	machine       cluster.Machine
	manifests     []file
	addons        []file
	components    []cloudComponent
	addonManagers []string // processes that would put the addons back
}

type file struct {
	path string
	raw  []byte
}

// Where kubeadm and AKS Engine keep what kubelets and addon managers read, and where the files of before are kept: elsewhere, for a kubelet takes every file
// among its manifests for one that is not hidden.
const (
	manifestFiles = "/etc/kubernetes/manifests/*.yaml"
	addonFiles    = "/etc/kubernetes/addons/*.yaml"
	keptDir       = "/var/lib/drydock/manifests"
	addonManager  = "kube-addon-manager"
)

func (t throttled) look(ctx context.Context, machine string) (p controlPlane, err error) {
	if p.machine, err = t.Target.Cluster.Machine(machine); err != nil {
		return p, err
	}
	ctx, cancel := context.WithTimeout(ctx, looked)
	defer cancel()
	if p.manifests, err = readFiles(ctx, p.machine, manifestFiles); err != nil {
		return p, err
	}
	if p.addons, err = readFiles(ctx, p.machine, addonFiles); err != nil {
		return p, err
	}
	for _, f := range p.manifests {
		found, err := cloudComponents(f.raw)
		if err != nil {
			return p, fmt.Errorf("%s: %s: %w", machine, f.path, err)
		}
		p.components = append(p.components, found...)
		p.addonManagers = append(p.addonManagers, programsOf(f.raw, addonManager)...)
	}
	return p, nil
}

func readFiles(ctx context.Context, m cluster.Machine, pattern string) (out []file, err error) {
	paths, err := cluster.Glob(ctx, m, pattern)
	for _, p := range paths {
		raw, readErr := m.ReadFile(ctx, p)
		err = errors.Join(err, readErr)
		out = append(out, file{p, raw})
	}
	return out, err
}

// kubeletRuns reports whether a machine's runs.
func kubeletRuns(ctx context.Context, m cluster.Machine) (bool, error) {
	out, err := cluster.Shell(ctx, m, "systemctl is-active kubelet || true")
	return strings.TrimSpace(out) == "active", err
}

// diagnoseThrottled looks for the symptom in the components' own logs and by one call to the cloud, and at what stands against it.
func diagnoseThrottled(ctx context.Context, r *Remedy) (d Diagnosis, stands []plan.Finding, _ error) {
	t := throttled{r}
	var planes []controlPlane
	for _, name := range r.Topology.ControlPlaneMachines() {
		p, err := t.look(ctx, name)
		if err != nil {
			stands = append(stands, plan.Finding{Check: "machine", Severity: plan.Blocker, What: err.Error(), Why: "the runbook has to work on it", Fix: "bring the machine back first"})
			continue
		}
		planes = append(planes, p)
	}
	unseen := len(stands) > 0
	more, shows := t.projectEdits(planes)
	stands, d.Shows = append(stands, more...), shows
	tells, unheard := t.throttledLines(ctx, planes, time.Now().Add(-recently))
	ask, unread := t.asker(ctx, planes)
	reading := quota.Reading{Error: unread}
	if ask != nil {
		reading = ask(ctx)
	}
	if !unseen && !slices.ContainsFunc(planes, func(p controlPlane) bool { return len(p.components) > 0 }) { // what image was named for nobody is no matter then
		d.Nothing = "no component of a control plane calls a cloud (none is told of one by --cloud-config or --cloud-provider)"
	} else if none, blind := judgeThrottled(tells, unheard, reading); blind != nil {
		stands = append(stands, *blind)
	} else if len(stands) == 0 {
		d.Nothing = none
	}
	if d.Nothing != "" {
		d.Says, d.Shows = d.Nothing, nil
		return d, nil, nil
	}
	if len(tells) == 0 {
		tells = []string{"no component tells of it"}
	}
	d.Says = strings.Join(slices.Concat(tells, unheard), "; ") + "; the cloud says: " + reading.String()
	d.Calls = callsOf(planes)
	return d, append(stands, t.projectQuorum(ctx), t.evictions(ctx)), nil
}

// judgeThrottled says why there is nothing to do, or that nobody knows. Either source shows the symptom. That there is none is told by the logs: that one call
// of this host's passes says nothing of who waits, and a cloud that cannot be asked does not stand against logs that all could be heard.
func judgeThrottled(tells, unheard []string, reading quota.Reading) (nothing string, blind *plan.Finding) {
	short := reading.Error == ""
	if low, err := quota.Short(reading, quota.Reading{}); err == nil && reading.Status == http.StatusOK && low == "" {
		short = false
	}
	switch {
	case len(tells) > 0 || short:
		return "", nil
	case len(unheard) > 0:
		return "", &plan.Finding{
			Check: "symptom", Severity: plan.Unread, What: fmt.Sprintf("whether calls do not pass is not known: %s; the cloud says: %s", strings.Join(unheard, "; "), reading),
			Why: "no data is not that all is well", Fix: "see why the logs do not tell, and diagnose again",
		}
	}
	return fmt.Sprintf("no component tells of a call that did not pass, for %s, and the cloud says: %s", recently, reading), nil
}

// callsOf are the components that call the cloud, by machine.
func callsOf(planes []controlPlane) map[string][]string {
	out := map[string][]string{}
	for _, p := range planes {
		for _, c := range p.components {
			out[p.machine.Name()] = append(out[p.machine.Name()], c.Name)
		}
	}
	return out
}

// projectEdits says what of the files cannot be changed, or would be left as it is, and shows what will be.
func (t throttled) projectEdits(planes []controlPlane) (stands []plan.Finding, shows []string) {
	found := map[string]bool{}
	blocks := func(what, why, fix string) {
		stands = append(stands, plan.Finding{Check: "images", Severity: plan.Blocker, What: what, Why: why, Fix: fix})
	}
	for _, p := range planes {
		for _, c := range p.components {
			if _, named := t.Spec.Images[imageName(c.Image)]; !named {
				blocks(fmt.Sprintf("%s on %s runs %s, and for that no version is named", c.Name, p.machine.Name(), c.Image), "it calls the cloud as well, and would begin again as it is", "name it: --image "+imageName(c.Image)+"=VERSION")
			}
		}
		for _, f := range slices.Concat(p.manifests, p.addons) {
			all, err := images(f.raw)
			for _, i := range all {
				found[imageName(i)] = true
			}
			_, edits, editErr := editImages(f.raw, t.Spec.Images)
			if err = errors.Join(err, editErr); err != nil {
				blocks(fmt.Sprintf("%s on %s: %v", f.path, p.machine.Name(), err), "it cannot be given another version", "set that right by hand first")
			}
			if len(edits) > 0 {
				shows = append(shows, diff(p.machine.Name()+":"+f.path, f.raw, edits))
			}
		}
		for _, f := range p.addons {
			for _, image := range unproven(f.raw, t.Spec.Images) {
				blocks(fmt.Sprintf("%s on %s has %s for a container that is no Deployment's", f.path, p.machine.Name(), image), "the file would say another version, and nobody would reload what runs, or see which it is",
					"give it that version by hand first, in the file and in the cluster (a DaemonSet: kubectl apply, kubectl rollout status)")
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Spec.Images)) {
		if len(planes) > 0 && !found[name] {
			blocks("no file has an image that is called "+name, "nothing would be changed by it", fmt.Sprintf("leave it out, or name one of: %s", strings.Join(slices.Sorted(maps.Keys(found)), ", ")))
		}
	}
	return stands, shows
}

// projectQuorum is what stopping kubelets does to the quorum: to etcd itself nothing, as its containers go on; but nobody starts one again that ends.
func (t throttled) projectQuorum(ctx context.Context) plan.Finding {
	return spare(t.Target.Members.Membership(ctx, looked), t.Target.Members.Members(ctx, looked))
}

// spare says whether one more member may be lost, by etcd's own list: who is on it counts in the quorum, whether a machine has it or not, and who answers by
// another id than the list's is nobody's vote.
func spare(list etcd.Membership, members []etcd.Member) plan.Finding {
	const why = "without a quorum no API server writes, and nothing that was stopped can be started by it"
	if len(list.Members) == 0 {
		return plan.Finding{
			Check: "quorum", Severity: plan.Unread, What: "nobody tells who is a member of etcd: " + cmp.Or(list.Error, "their list is given, and it is empty"),
			Why: why, Fix: "bring a quorum back first",
		}
	}
	voters, well := 0, 0
	var ill []string
	for _, l := range list.Members {
		if l.Learner { // it has no vote
			continue
		}
		voters++
		if l.Well(members) {
			well++
		} else {
			ill = append(ill, fmt.Sprintf("%s (member %x)", cmp.Or(l.Machine, l.Name, l.Peer), l.ID))
		}
	}
	need := cluster.Quorum(voters)
	f := plan.Finding{
		Check: "quorum", Severity: plan.Blocker,
		What: fmt.Sprintf("%d of %d members of etcd are well, a quorum is %d, and while the kubelets are stopped nobody starts one again that ends: one that does leaves %d", well, voters, need, max(0, well-1)),
		Why:  why, Fix: "bring the others back first, and remove from the list who never comes back",
	}
	switch {
	case len(ill) > 0 && well-1 < need:
		f.What += "; not well: " + strings.Join(ill, ", ")
	case well-1 < need:
		f.Severity, f.Fix = plan.Warning, "expect that; more members would bear it"
	default:
		f.Severity, f.Fix = plan.Warning, "nothing: that is borne"
	}
	return f
}

// evictions warns of pods that control planes lose while their kubelets are silent.
func (t throttled) evictions(ctx context.Context) plan.Finding {
	f := plan.Finding{Check: "pods", Severity: plan.Warning, Why: "their nodes are not Ready while the kubelets are stopped, and who tolerates that for a time only is evicted (300 s by default)", Fix: "expect them elsewhere"}
	ctx, cancel := context.WithTimeout(ctx, looked)
	defer cancel()
	pods, err := t.Target.Client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		f.What = "which pods may be evicted from control planes is not known: " + err.Error()
		return f
	}
	planes, n := t.Topology.ControlPlaneMachines(), 0
	for i := range pods.Items {
		p := &pods.Items[i]
		_, static := p.Annotations[corev1.MirrorPodAnnotationKey]
		daemon := metav1.GetControllerOf(p) != nil && metav1.GetControllerOf(p).Kind == "DaemonSet"
		if slices.Contains(planes, p.Spec.NodeName) && !static && !daemon {
			n++
		}
	}
	f.What = fmt.Sprintf("%d pods on control planes may be evicted", n)
	return f
}

// asker is who can ask the cloud as the components do; nil, with the reason, where nobody can from here.
func (t throttled) asker(ctx context.Context, planes []controlPlane) (quota.Asker, string) {
	why := "no component has a --cloud-config that says who it is to the cloud"
	for _, p := range planes {
		for _, c := range p.components {
			if c.config == "" {
				continue
			}
			account, err := t.account(ctx, p.machine, c)
			if err == nil {
				var reader *quota.Reader
				if reader, err = quota.Open(account); err == nil {
					return reader.Ask, ""
				}
			}
			why = fmt.Sprintf("%s: %s: %v", p.machine.Name(), c.config, err)
		}
	}
	return nil, why
}

// account reads who a component is, and where its cloud.
func (t throttled) account(ctx context.Context, m cluster.Machine, c cloudComponent) (quota.Account, error) {
	config, err := m.ReadFile(ctx, c.config)
	if err != nil {
		return quota.Account{}, err
	}
	var environment, ca []byte
	if c.environment != "" {
		if environment, err = m.ReadFile(ctx, c.environment); err != nil {
			return quota.Account{}, err
		}
	}
	if c.ca != "" {
		if ca, err = m.ReadFile(ctx, c.ca); err != nil {
			return quota.Account{}, err
		}
	}
	a, err := quota.ReadAccount(config, environment)
	a.CA = ca
	if err == nil && t.Cloud != "" {
		return a.Via(t.Cloud)
	}
	return a, err
}
