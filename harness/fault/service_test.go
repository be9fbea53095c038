package fault

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
)

// What is another fault by another name, is done where it is not, or is done to what nobody can do it to, is refused while it is planned.
func TestServicesThatDoNotFit(t *testing.T) {
	stacked := cluster.Topology{Name: "a", ControlPlanes: 1, Workers: 1, Version: "v1.36.3"}.Complete()
	only := cluster.Topology{Name: "b", Etcd: cluster.EtcdOnly, EtcdMembers: 3}.Complete()
	for _, c := range []struct {
		kind, service, target string
		hold                  time.Duration
		on                    cluster.Topology
		want                  string // of the error; empty: it fits
	}{
		{"serviceStop", "kubelet", "worker-1", time.Second, stacked, ""},
		{"serviceRestart", "kubelet", "worker-1", time.Second, stacked, ""},
		{"serviceStop", "kube-apiserver", "control-plane-1", time.Second, stacked, ""},
		{"serviceKill", "etcd", "leader", time.Second, stacked, ""},
		{"serviceStop", "etcd", "leader", time.Second, only, ""},
		{"serviceStop", "", "worker-1", time.Second, stacked, "known: kubelet"},
		{"serviceStop", "containerd", "worker-1", time.Second, stacked, "part of its machine's init"},
		{"serviceStop", "kube-scheduler", "worker-1", time.Second, stacked, "does not run on worker-1"},
		{"serviceStop", "kubelet", "leader", time.Second, only, "does not run on etcd-1"},
		{"serviceFreeze", "etcd", "leader", time.Second, only, "etcdMemberFreeze"},
		{"serviceStop", "etcd", "leader", time.Second, stacked, "etcdMemberCrash"},
		{"serviceRestart", "kube-scheduler", "control-plane-1", time.Second, stacked, "no word for a restart"},
		{"serviceFreeze", "kube-apiserver", "control-plane-1", 2 * time.Minute, stacked, "ends a static pod that is silent"},
		{"serviceFreeze", "kubelet", "worker-1", 2 * time.Minute, stacked, ""},
	} {
		_, err := NewSpec(c.kind, c.target, c.hold, Params{Service: c.service}, c.on, rand.New(rand.NewPCG(1, 1)))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s of %q on %s of %s: %v, want %q", c.kind, c.service, c.target, c.on, err, c.want)
		}
	}
}

// The excuse is as narrow as the fault, and who leaves the members alone takes none away.
func TestServicesTouchNoMoreThanTheyMust(t *testing.T) {
	stacked := cluster.Topology{Name: "a", ControlPlanes: 3, Workers: 1, Version: "v1.36.3"}.Complete()
	for service, want := range map[string]struct {
		touches []string
		members int
	}{
		observe.Kubelet:           {[]string{observe.Kubelet}, 0},
		observe.Scheduler:         {[]string{observe.Scheduler}, 0},
		observe.ControllerManager: {[]string{observe.ControllerManager}, 0},
		observe.APIServer:         {[]string{observe.APIServer, observe.ControllerManager, observe.Scheduler}, 0},
		etcd.Program:              {aroundMember(), 1},
	} {
		s := Spec{Kind: "serviceKill", Target: "control-plane-1", Machines: []string{"control-plane-1"}, Params: Params{Service: service}}
		if got := s.Touches(); !slices.Equal(got, want.touches) {
			t.Errorf("%s touches %v, want %v", service, got, want.touches)
		}
		if got := Impact(stacked, nil, s); got != want.members {
			t.Errorf("%s takes %d members away, want %d", service, got, want.members)
		}
		if got, want := s.Describe(), "serviceKill of "+service+" on control-plane-1, looked at for 0s"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Who waits in vain for an answer ends the connection himself: the process at its other end may be the one from before.
func TestAConnectionThatIsGoneIsNoEnd(t *testing.T) {
	var silent atomic.Bool
	var since atomic.Int64
	since.Store(1000)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/metrics":
			_, _ = fmt.Fprintf(w, "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds %d\n", since.Load())
		case silent.Load():
			<-r.Context().Done()
		}
	}))
	defer s.Close()
	l := &line{service: service{name: "x", path: "/healthz", plain: true}, machine: "m", dials: &atomic.Int64{}, dial: (&net.Dialer{}).DialContext, addr: s.Listener.Addr().String()}
	l.keep(&tls.Config{MinVersion: tls.VersionTLS12})
	defer l.close()
	if err := l.learn(t.Context()); err != nil {
		t.Fatal(err)
	}
	look := func(when, want string, ended bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		if silent.Load() {
			cancel()
			ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
		}
		defer cancel()
		how, err := l.ended(ctx)
		if (err == nil) != ended || !strings.Contains(fmt.Sprint(how, err), want) {
			t.Errorf("%s: %q, %v", when, how, err)
		}
	}
	look("as before", "over the connection that was there before", false)
	silent.Store(true)
	look("late", "is not known", false)
	look("late again, by a new connection", "is not known", false)
	silent.Store(false)
	look("answers again", "the process from before", false)
	since.Store(2000)
	look("another", "who answers in its place", true)
	s.Close()
	look("nobody", "its process has ended", true)
}
