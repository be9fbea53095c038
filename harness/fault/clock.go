package fault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// clockSkew sets the clocks of machines ahead or back and does nothing else to them.
type clockSkew struct {
	by time.Duration

	mu      sync.Mutex
	righted map[string]time.Time // when this process put them right
}

const (
	// leastSkew is more than what a heartbeat's own age and drift are together, which would pass for one.
	leastSkew = time.Minute
	// mostSkew is less than anything that kubeadm or a kubelet signs is good for.
	mostSkew = 24 * time.Hour
	// drift is how far apart clocks may be that nobody has set: a virtual one begins at a whole second and may run by a processor that a program imitates.
	drift = 5 * time.Second
)

func validSkew(p Params) error {
	if size := p.By.Abs(); size < leastSkew || size > mostSkew {
		return fmt.Errorf("by is %s; it is %s to %s, ahead or, with a minus, back", p.By, leastSkew, mostSkew)
	}
	return nil
}

// fitsSkew refuses machines whose clock is their host's in a cluster that has others.
func fitsSkew(s Spec, t cluster.Topology) error {
	var own []string
	for _, m := range t.Machines() {
		if m.VM {
			own = append(own, m.Name)
		}
	}
	for _, m := range append(slices.Clone(s.Machines), s.Among...) {
		if len(own) > 0 && !slices.Contains(own, m) {
			return cluster.Usagef("%s: target %s: the clock of %s is its host's; those with one of their own: %s", s.Kind, s.Target, m, strings.Join(own, ", "))
		}
	}
	return nil // where no machine has one the provider says so
}

func (f *clockSkew) Inject(ctx context.Context, e *Env, machines []string) error {
	return capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, c cluster.Clock) error { return c.SkewClock(ctx, f.by) })
}

func (f *clockSkew) Recover(ctx context.Context, e *Env, machines []string) error {
	return capability(ctx, e, machines, func(ctx context.Context, m cluster.Machine, c cluster.Clock) error {
		if err := c.RightClock(ctx); err != nil {
			return err
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.righted == nil {
			f.righted = map[string]time.Time{}
		}
		if f.righted[m.Name()].IsZero() {
			f.righted[m.Name()] = time.Now()
		}
		return nil
	})
}

// ahead is how far a clock is ahead of this host's: no less and no more. A clock that is asked over a network is not told nearer.
type ahead struct{ least, most time.Duration }

// is reports whether it may be ahead by so much.
func (a ahead) is(by time.Duration) bool { return a.least-drift <= by && by <= a.most+drift }

// aheadBy is a clock that showed a time in whole seconds at some instant between two of this host's.
func aheadBy(shows, asked, heard time.Time) ahead {
	return ahead{least: shows.Sub(heard), most: shows.Add(time.Second).Sub(asked)}
}

// clockOf asks the kubelet of a machine for anything at all: every answer of a web server's has the time in it (RFC 9110, 6.6.1).
func clockOf(ctx context.Context, e *Env, machine string) (a ahead, shows time.Time, err error) {
	kubelet, err := findService(observe.Kubelet)
	if err != nil {
		return a, shows, err
	}
	l, err := kubelet.open(ctx, e, machine)
	if err != nil {
		return a, shows, err
	}
	defer l.close()
	asked := time.Now()
	_, said, err := l.fetch(ctx, kubelet.path, pageWithin)
	if err != nil {
		return a, shows, err
	}
	heard := time.Now()
	if shows, err = http.ParseTime(said.Header.Get("Date")); err != nil {
		return a, shows, fmt.Errorf("kubelet on %s: its answer has no time: %w", machine, err)
	}
	return aheadBy(shows, asked, heard), shows, nil
}

// Effective: the machines' kubelets, asked over the network, show a time that is so far from this host's, and the API server has heartbeats of theirs
// that were made at such a time. The kubelets of all other machines show this host's.
func (f *clockSkew) Effective(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	out, err := f.clocks(ctx, e, machines, f.by)
	if err != nil {
		return nil, err
	}
	for _, m := range e.without(e.Cluster.Topology().KubernetesMachines()) {
		if slices.Contains(machines, m) {
			continue
		}
		a, shows, err := clockOf(ctx, e, m)
		if err == nil && !a.is(0) {
			err = fmt.Errorf("the kubelet on %s says that it is %s", m, shows.Format(time.TimeOnly))
		}
		if err != nil {
			return nil, controlError{fmt.Errorf("it should not be affected, and: %w", err)}
		}
		out = append(out, saw("network", "the kubelet on %s, which is not affected, says that it is %s", m, shows.Format(time.TimeOnly)))
	}
	return out, nil
}

// clocks wants the machines' clocks ahead of this host's by so much, by their own word and by that of their heartbeats.
func (*clockSkew) clocks(ctx context.Context, e *Env, machines []string, by time.Duration) ([]plan.Evidence, error) {
	client, err := e.client(ctx)
	if err != nil {
		return nil, err
	}
	var out []plan.Evidence
	for _, m := range machines {
		a, shows, err := clockOf(ctx, e, m)
		if err != nil {
			return nil, err
		}
		if !a.is(by) {
			return nil, fmt.Errorf("the kubelet on %s says that it is %s, %s of this host's clock and not %s", m, shows.Format(time.TimeOnly), apart(a.most), apart(by))
		}
		out = append(out, saw("network", "the kubelet on %s says that it is %s, %s of this host's clock", m, shows.Format(time.DateTime), apart(a.most)))
		renewed, err := heartbeat(ctx, client, m)
		if err != nil {
			return nil, err
		}
		now := time.Now()
		if late := renewed.Sub(now); !beats(late, by, e.Cluster.Topology()) {
			return nil, fmt.Errorf("the last heartbeat of %s is of %s, %s of this host's clock", m, renewed.Format(time.TimeOnly), apart(late))
		}
		out = append(out, saw("API server", "the last heartbeat of %s is of %s, and it is %s", m, renewed.Local().Format(time.DateTime), now.Format(time.DateTime)))
	}
	return out, nil
}

// beats reports whether a heartbeat that is ahead of now by so much was made by a clock that is. Half a lease is twice the time between two.
func beats(late, by time.Duration, t cluster.Topology) bool {
	return late <= by+drift && late >= by-drift-kubeadm.NodeLoss(t.Timing).Lease/2
}

// apart says of how far ahead something is.
func apart(d time.Duration) string {
	if d < 0 {
		return d.Abs().Round(time.Second).String() + " behind"
	}
	return d.Round(time.Second).String() + " ahead"
}

// heartbeat is when a node's lease was renewed last, by its kubelet's clock.
func heartbeat(ctx context.Context, client kubernetes.Interface, node string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, look)
	defer cancel()
	l, err := client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, node, metav1.GetOptions{})
	if err == nil && l.Spec.RenewTime == nil {
		err = errors.New("it was never renewed")
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("lease of %s: %w", node, err)
	}
	return l.Spec.RenewTime.Time, nil
}

// Recovered: the clocks are right again, and the nodes are Ready and will stay so. Of a clock that was put back the node life cycle controller holds
// every new heartbeat for an old one until a status of the node's is reported (tryUpdateNodeHealth in pkg/controller/nodelifecycle of Kubernetes takes a
// lease only if it is renewed later than the one before), and if that comes late the node is Unknown meanwhile: so there must have been a report since.
func (f *clockSkew) Recovered(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	out, err := f.clocks(ctx, e, machines, 0)
	if err != nil {
		return nil, err
	}
	client, err := e.client(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, look)
	defer cancel()
	back, err := nodesBack(ctx, client, machines)
	if err != nil {
		return nil, err
	}
	reported, err := f.reportedSince(ctx, client, machines)
	return slices.Concat(out, back, reported), err
}

// reportedSince wants it of nodes whose clock was put back.
func (f *clockSkew) reportedSince(ctx context.Context, client kubernetes.Interface, machines []string) (out []plan.Evidence, err error) {
	for _, m := range machines {
		f.mu.Lock()
		righted := f.righted[m]
		f.mu.Unlock()
		if f.by < 0 || righted.IsZero() {
			continue
		}
		reported, err := lastReport(ctx, client, m)
		if err != nil {
			return nil, err
		}
		if reported.Before(righted.Add(-drift)) {
			return nil, fmt.Errorf("the kubelet on %s has reported no status since %s, and its heartbeats of before are later than those since", m, reported.Format(time.TimeOnly))
		}
		out = append(out, saw("API server", "the kubelet on %s has reported its node's status since, at %s", m, reported.Local().Format(time.TimeOnly)))
	}
	return out, nil
}

// lastReport is when a kubelet reported last that its node is Ready, by its own clock.
func lastReport(ctx context.Context, client kubernetes.Interface, node string) (time.Time, error) {
	n, err := client.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
	if err != nil {
		return time.Time{}, fmt.Errorf("node %s: %w", node, err)
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.LastHeartbeatTime.Time, nil
		}
	}
	return time.Time{}, fmt.Errorf("node %s has no status", node)
}
