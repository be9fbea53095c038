package remedy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// nodeLook is all that can be read of a machine that should be a node.
type nodeLook struct {
	machine string
	worker  bool
	node    *corev1.Node // nil: none is registered
	unread  string       // why that is not known
	there   bool         // the cluster has a machine of that name
	off     bool         // its power is
	silent  string       // why it does not answer, with its power on or nobody knowing
	blank   bool         // it answers, and has nothing of a kubelet on its disk
	joining bool         // it has what a kubelet joins with, which a join that has ended leaves on none
	unit    string       // what its systemd says of the kubelet
	unwell  string       // what the kubelet says that is not well, or why it says nothing
	expired time.Time    // when its client certificate ran out; zero: it has not
	renewed bool         // that was being renewed, and the renewal was interrupted
	room    int64        // bytes free where the kubelet keeps its own; -1: not known
	ahead   time.Duration
	swap    bool
	words   string // the last errors of its kubelet's log
}

// What a node may be lacking that nobody but its owner can give it.
const (
	roomLeast  = 64 << 20         // a kubelet that cannot write its own files does not start
	aheadMost  = 30 * time.Second // of heartbeats and certificates, those that are later count
	readLooked = 2 * looked       // a look is several questions
)

// lookAt reads all of it; what cannot be read is said.
func lookAt(ctx context.Context, r *Remedy, machine string) nodeLook {
	ctx, cancel := context.WithTimeout(ctx, readLooked)
	defer cancel()
	l := nodeLook{machine: machine, room: -1, worker: slices.Contains(r.Topology.WorkerMachines(), machine)}
	nodes, err := r.Target.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + machine})
	switch {
	case err != nil:
		l.unread = err.Error()
	case len(nodes.Items) > 0:
		l.node = &nodes.Items[0]
	}
	m, err := r.Target.Cluster.Machine(machine)
	if err != nil {
		return l
	}
	l.there = true
	if p, err := cluster.As[cluster.Power](m); err == nil {
		if on, err := p.Powered(ctx); err == nil && !on {
			l.off = true
			return l
		}
	}
	if err := l.read(ctx, m); err != nil {
		l.silent = err.Error()
		return l
	}
	for late := true; late && ctx.Err() == nil; { // who gives no answer in time on a busy host may give one
		l.unwell, late = kubeletOf(r.Observer.Components(ctx), machine)
	}
	if l.unwell != "" {
		l.words = lastWords(ctx, r.Target.Cluster, machine)
	}
	return l
}

// kubeletOf is what a machine's kubelet says that is not well, or why it says nothing, and whether that is for want of time.
func kubeletOf(components []observe.Component, machine string) (unwell string, late bool) {
	for _, c := range components {
		switch {
		case c.Machine != machine || c.Name != observe.Kubelet:
		case c.Failure == cluster.Answered, c.Failure == cluster.Unasked: // it is there, or nobody can ask it; its node tells
			return "", false
		default:
			return c.Error + c.Unhealthy, c.Failure == cluster.Deadline
		}
	}
	return "nobody knows of it", false
}

// read asks the machine itself.
func (l *nodeLook) read(ctx context.Context, m cluster.Machine) error {
	const script = `echo "unit $(systemctl is-active kubelet 2>/dev/null || true)"
echo "clock $(date +%s)"
echo "room $(df -P -B1 /var/lib/kubelet /var/log 2>/dev/null | awk 'NR>1 && (least=="" || $4<least) {least=$4} END {print least}')"
echo "swap $(awk 'NR>1' /proc/swaps 2>/dev/null | wc -l)"
for f in /etc/kubernetes/kubelet.conf /etc/kubernetes/bootstrap-kubelet.conf; do [ ! -e $f ] || echo "config $f"; done`
	asked := time.Now()
	out, err := cluster.Shell(ctx, m, script)
	if err != nil {
		return err
	}
	l.blank = true
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, numeric := strconv.ParseInt(value, 10, 64)
		switch {
		case name == "unit":
			l.unit = value
		case name == "config":
			l.blank, l.joining = false, l.joining || strings.Contains(value, "bootstrap")
		case numeric != nil: // what was not told is not known
		case name == "clock":
			if l.ahead = time.Unix(n, 0).Sub(asked).Truncate(time.Second); l.ahead.Abs() < aheadMost {
				l.ahead = 0
			}
		case name == "room":
			l.room = n
		case name == "swap":
			l.swap = n > 0
		}
	}
	until, err := kubeadm.KubeletUntil(ctx, m)
	if err == nil && time.Now().After(until) {
		l.expired = until
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l.renewed, err = kubeadm.IsRenewing(ctx, m)
	return err
}

// lastWords are the last errors in the log of a machine's kubelet, as a clause; empty where there are none or the log cannot be read.
func lastWords(ctx context.Context, c cluster.Cluster, machine string) string {
	lines, _, err := observe.LogLines(ctx, c, machine, observe.Kubelet, `(^| )[EF][0-9]{4} [0-9:.]+ |^(panic|fatal error|Error): `)
	if err != nil || len(lines) == 0 {
		return ""
	}
	const most = 300
	last := lines[len(lines)-1]
	return fmt.Sprintf("; the kubelet's last error: %.*s", most, last)
}

// notReady says what its Node tells that is not well; empty: nothing.
func (l nodeLook) notReady() string {
	if l.node == nil {
		return "it has no Node"
	}
	if err := kubeadm.NodeReady(l.node); err != nil {
		return err.Error()
	}
	for _, t := range l.node.Spec.Taints {
		if t.Effect == corev1.TaintEffectNoExecute && strings.HasPrefix(t.Key, "node.kubernetes.io/") {
			return fmt.Sprintf("node %s is tainted %s", l.machine, t.Key)
		}
	}
	return ""
}

// pressed says which of a node's conditions tell that it is short of something.
func (l nodeLook) pressed() string {
	if l.node == nil {
		return ""
	}
	for _, c := range l.node.Status.Conditions {
		short := c.Type == corev1.NodeDiskPressure || c.Type == corev1.NodeMemoryPressure || c.Type == corev1.NodePIDPressure
		if short && c.Status == corev1.ConditionTrue {
			return fmt.Sprintf("%s: %s", c.Type, c.Message)
		}
	}
	return ""
}

// ill says what is wrong with the node, the cause before what comes of it; empty: nothing.
func (l nodeLook) ill() string {
	said := l.notReady()
	also := func(cause string) string {
		if said == "" {
			return cause
		}
		return cause + "; " + said
	}
	switch {
	case !l.there:
		return also("there is no machine of that name")
	case l.off:
		return also("its machine is off")
	case l.silent != "":
		return also("its machine does not answer: " + l.silent)
	case l.blank:
		return also("its disk has nothing of a kubelet")
	case l.pressed() != "":
		return also(l.pressed())
	case !l.expired.IsZero():
		return also("its kubelet's certificate ran out at " + l.expired.UTC().Format(time.DateTime) + l.words)
	case l.renewed:
		return also("a renewal of its kubelet's certificate was interrupted")
	case l.unwell != "":
		return also(fmt.Sprintf("its kubelet does not serve (%s): %s%s", l.unit, l.unwell, l.words))
	case said == "" && l.node != nil && l.node.Spec.Unschedulable && l.node.Annotations[cordonedBy] == byRecovery:
		return "this runbook has cordoned it, and has not let it work again"
	}
	return said
}

// diagnoseNode finds the one node that is not well, or looks at the one that was named.
func diagnoseNode(ctx context.Context, r *Remedy) (Diagnosis, []plan.Finding, error) {
	d := Diagnosis{Machine: r.Spec.Machine}
	looks := map[string]nodeLook{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, m := range r.Topology.KubernetesMachines() {
		wg.Go(func() {
			l := lookAt(ctx, r, m)
			mu.Lock()
			defer mu.Unlock()
			looks[m] = l
		})
	}
	wg.Wait()
	var ill []string
	for _, m := range r.Topology.KubernetesMachines() {
		l := looks[m]
		if l.unread != "" {
			return d, []plan.Finding{{
				Check: "API server", Severity: plan.Unread, What: "no API server tells of the nodes: " + l.unread, Why: "a node is kept from taking work through it",
				Fix: "switch the control planes on; where their certificates have run out the runbook expired-certificates, where etcd has no quorum the runbook restore-quorum",
			}}, nil
		}
		if why := l.ill(); why != "" {
			ill = append(ill, m+": "+why)
		}
	}
	switch {
	case d.Machine != "":
	case len(ill) == 0:
		d.Nothing = "every node is Ready, its machine is on and its kubelet serves"
		d.Says = d.Nothing
		return d, nil, nil
	case len(ill) > 1:
		return d, []plan.Finding{{
			Check: "symptom", Severity: plan.Blocker, What: "several nodes are not well: " + strings.Join(ill, "; "),
			Why: "one is recovered at a time", Fix: "name it: --machine MACHINE, control planes first",
		}}, nil
	default:
		d.Machine, _, _ = strings.Cut(ill[0], ":")
	}
	l := looks[d.Machine]
	if l.node != nil {
		d.Was = kubeadm.IdentityOf(l.node)
	}
	d.Says = d.Machine + ": " + l.ill()
	switch {
	case l.ill() == "" && !r.Spec.Replace:
		d.Nothing = d.Machine + " is Ready, its machine is on and its kubelet serves"
		d.Says = d.Nothing
		return d, nil, nil
	case l.ill() == "":
		d.Says = d.Machine + " is well, and is replaced all the same"
	}
	stands, err := costs(ctx, r, l)
	return d, append(l.beyond(ctx, r), stands...), err
}

// beyond says what no runbook can do about the machine, or not on this cluster.
func (l nodeLook) beyond(ctx context.Context, r *Remedy) []plan.Finding {
	stands := func(check, what, why, fix string) []plan.Finding {
		return []plan.Finding{{Check: check, Severity: plan.Blocker, What: what, Why: why, Fix: fix}}
	}
	needsNew := !l.there || r.Spec.Replace
	_, scales := r.Target.Cluster.(cluster.Scaler)
	why := r.Target.Cluster.Lacks().Why(cluster.CanScale)
	switch {
	case needsNew && !l.worker:
		return stands("control plane", fmt.Sprintf("%s is a control plane, whose replacement is one of its member of etcd too%s", l.machine, memberSum(ctx, r, l.machine)),
			"a new machine joins as a worker only", "make the machine by hand, replace the member by the runbook replace-etcd-member, and join it with kubeadm join --control-plane")
	case needsNew && (!scales || why != ""):
		return stands("machine", strings.TrimSuffix("machines cannot be added to this cluster: "+why, ": "), "the node needs a new one", "make one of the name "+l.machine+", and kubeadm join")
	case needsNew:
		return nil
	case l.blank:
		return stands("disk", l.machine+" has nothing of a kubelet on its disk", "a new machine in its place would take with it what is there besides", "bring "+kubeadm.KubeletConfig+" back, or give the machine up: --machine "+l.machine+" --replace")
	case l.off, l.silent != "":
		m, err := r.Target.Cluster.Machine(l.machine)
		if err == nil {
			_, err = cluster.As[cluster.Power](m)
		}
		if err != nil {
			return stands("power", fmt.Sprintf("%s does not answer (%s), and its power is not ours: %v", l.machine, l.silent, err), "nothing can be done on it", "switch it on, then run the same again; or give it up: --replace")
		}
	case l.pressed() != "":
		return stands("pressure", l.machine+": "+l.pressed(), "what is kept there is its owner's, and nobody else can say what may go", "make room there, or move work away, and look again")
	case l.room >= 0 && l.room < roomLeast:
		return stands("disk", fmt.Sprintf("%s has %s left where the kubelet keeps its own, and needs %s", l.machine, cluster.Size(l.room), cluster.Size(roomLeast)),
			"a kubelet that cannot write does not start, and what is kept there is its owner's", "make room in /var/lib/kubelet and /var/log, and look again")
	case l.ahead != 0:
		return stands("clock", fmt.Sprintf("the clock of %s is %s ahead of this host's (behind with a minus)", l.machine, l.ahead),
			"certificates and heartbeats are judged by it", "set it, or start what keeps it in step (chronyd, systemd-timesyncd), and look again")
	}
	return nil
}
