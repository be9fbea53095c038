package upgrade

import (
	"context"
	"errors"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
)

func TestWhatAReplacedNodeCarriedComesBack(t *testing.T) {
	noExecute := corev1.Taint{Key: "node.kubernetes.io/unreachable", Effect: corev1.TaintEffectNoExecute}
	mine := corev1.Taint{Key: "example.com/gpu", Value: "yes", Effect: corev1.TaintEffectNoSchedule, TimeAdded: &metav1.Time{}}
	old := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Labels:      map[string]string{"example.com/pool": "a", "kubernetes.io/hostname": "worker-1"},
			Annotations: map[string]string{"example.com/note": "kept", CordonedBy: "upgrade", "volumes.kubernetes.io/controller-managed-attach-detach": "true"},
		},
		Spec: corev1.NodeSpec{Taints: []corev1.Taint{noExecute, mine}},
	}
	k := Carried(old, "v1.35.4")
	fresh := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"kubernetes.io/hostname": "new"}}}
	if !k.onto(fresh) {
		t.Fatal("nothing was put on the new node")
	}
	if fresh.Labels["example.com/pool"] != "a" || fresh.Labels["kubernetes.io/hostname"] != "new" || fresh.Annotations["example.com/note"] != "kept" {
		t.Errorf("the new node has %v and %v", fresh.Labels, fresh.Annotations)
	}
	if len(fresh.Annotations) != 1 || len(fresh.Spec.Taints) != 1 || fresh.Spec.Taints[0].Key != "example.com/gpu" {
		t.Errorf("the new node got what was not the owner's: %v %v", fresh.Annotations, fresh.Spec.Taints)
	}
	if k.onto(fresh) {
		t.Error("a second time something was put on it")
	}
}

func TestReplacementsAreRememberedUntilTheGate(t *testing.T) {
	u := &Upgrade{Dir: t.TempDir(), Topology: cluster.Topology{ControlPlanes: 1, Workers: 2}}
	r := &replacement{&machineUpgrade{Upgrade: u, machine: "worker-1", from: "v1.35.4", version: "v1.36.3"}}
	if r.begun() {
		t.Error("begun before it was")
	}
	if err := r.Keep(r.machine, Kept{From: "v1.35.4"}); err != nil {
		t.Fatal(err)
	}
	if away := u.Wanted("v1.36.3", SurgeMachine).Away; !slices.Equal(away, []string{"worker-1"}) {
		t.Errorf("the gate of another machine lets %v be away", away)
	}
	if away := u.Wanted("v1.36.3", "worker-1").Away; len(away) > 0 {
		t.Errorf("its own gate lets %v be away", away)
	}
	now, err := u.replacing()
	if err != nil || now["worker-1"] != "v1.35.4" || !r.begun() {
		t.Errorf("replacing %v, %v", now, err)
	}
	if err := r.Forget(r.machine); err != nil || r.begun() {
		t.Errorf("not forgotten: %v", err)
	}
}

// A machine is taken away on a no: silence is none.
func TestASilentKubeletIsNotAnOldOne(t *testing.T) {
	for name, c := range map[string]struct {
		components []observe.Component
		want       string
	}{
		"it answers":            {[]observe.Component{at(observe.Kubelet, "w", "v1.35.4")}, "v1.35.4"},
		"it is silent":          {[]observe.Component{at(observe.Kubelet, "w", "")}, ""},
		"another answers":       {[]observe.Component{at(observe.Kubelet, "x", "v1.35.4")}, ""},
		"another component":     {[]observe.Component{at(observe.APIServer, "w", "v1.35.4")}, ""},
		"nothing was looked at": {[]observe.Component{{Error: "no machine"}}, ""},
	} {
		if got, err := kubeletVersion(c.components, "w"); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// inside is a machine of which only the switch and the kubelet's unit are looked at.
type inside struct {
	cluster.Machine
	cluster.Power
	on    bool
	state string
	err   error
}

func (m inside) Powered(context.Context) (bool, error) { return m.on, nil }
func (m inside) Exec(context.Context, cluster.Command) (cluster.Result, error) {
	return cluster.Result{Stdout: m.state + "\n"}, m.err
}

func TestWhetherAKubeletIsDown(t *testing.T) {
	for name, c := range map[string]struct {
		machine inside
		down    bool
	}{
		"off":                 {inside{on: false, err: errors.New("no answer")}, true},
		"never started":       {inside{on: true, state: "inactive"}, true},
		"failed":              {inside{on: true, state: "failed"}, true},
		"runs and is silent":  {inside{on: true, state: "active"}, false},
		"starts":              {inside{on: true, state: "activating"}, false},
		"the machine is mute": {inside{on: true, err: errors.New("time-out")}, false},
	} {
		if err := kubeletDown(context.Background(), c.machine); (err == nil) != c.down {
			t.Errorf("%s: %v", name, err)
		}
	}
}
