package fault

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientset "k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"drydock.dev/drydock/harness/cluster"
)

// asking is a cluster whose pods ask, and are answered or not. Each node's pod has an address of its own.
type asking struct {
	planes
	answers map[string]int // NODE/WAY -> the status that the pod there answers with; 0: 200
	lost    uint64         // questions, on every node
}

func (a *asking) Machine(name string) (cluster.Machine, error) {
	return &resolving{wired: &wired{name: name}, lost: a.lost}, nil
}

func podIP(node string) string { return "10.244.0." + node[len(node)-1:] }

func (a *asking) Dial(ctx context.Context, _, addr string) (net.Conn, error) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for key, code := range a.answers {
			node, way, _ := strings.Cut(key, "/")
			if strings.HasPrefix(addr, podIP(node)+":") && r.FormValue("over") == way {
				w.WriteHeader(code)
				_, _ = fmt.Fprintln(w, "i/o timeout")
				return
			}
		}
		_, _ = fmt.Fprintln(w, "10.96.0.1")
	}))
	context.AfterFunc(ctx, s.Close)
	return (&net.Dialer{}).DialContext(ctx, "tcp", s.Listener.Addr().String())
}

// resolving is one of its machines.
type resolving struct {
	*wired
	lost uint64
}

func (*resolving) LoseNames(context.Context) error               { return nil }
func (*resolving) FindNames(context.Context) error               { return nil }
func (a *resolving) LostQueries(context.Context) (uint64, error) { return a.lost, nil }

// Questions are lost where a pod says so, both ways, and packets were dropped, and only if another node's pod is answered.
func TestQuestionsAreLostWhereTheyAreNotAnswered(t *testing.T) {
	const none, nosuch = http.StatusGatewayTimeout, http.StatusBadGateway
	for name, c := range map[string]struct {
		pods    []string
		answers map[string]int
		lost    uint64
		want    string // of the error; empty: it is seen
		control bool   // the error is of the control
	}{
		"lost":                {[]string{"worker-1", "worker-2"}, map[string]int{"worker-1/udp": none, "worker-1/tcp": none}, 2, "", false},
		"nobody asks":         {nil, nil, 2, "no pod on worker-1 that asks", false},
		"answered":            {[]string{"worker-1", "worker-2"}, nil, 2, "a pod on worker-1 is answered over udp: 10.96.0.1", false},
		"answered over TCP":   {[]string{"worker-1", "worker-2"}, map[string]int{"worker-1/udp": none}, 2, "a pod on worker-1 is answered over tcp", false},
		"answered with a no":  {[]string{"worker-1", "worker-2"}, map[string]int{"worker-1/udp": nosuch, "worker-1/tcp": nosuch}, 2, "whether a pod on worker-1 is answered is not known", false},
		"nothing was dropped": {[]string{"worker-1", "worker-2"}, map[string]int{"worker-1/udp": none, "worker-1/tcp": none}, 0, "worker-1 has dropped no query", false},
		"DNS itself is away":  {[]string{"worker-1", "worker-2"}, map[string]int{"worker-1/udp": none, "worker-1/tcp": none, "worker-2/tcp": none}, 2, "a pod on worker-2 that asks over tcp", true},
		"nobody else asks":    {[]string{"worker-1"}, map[string]int{"worker-1/udp": none, "worker-1/tcp": none}, 2, "no pod on another node", true},
	} {
		t.Run(name, func(t *testing.T) {
			client := clientset.NewClientset()
			if err := startAskers(t.Context(), client, c.pods); err != nil {
				t.Fatal(err)
			}
			for _, m := range c.pods {
				p, err := client.CoreV1().Pods(metav1.NamespaceDefault).Get(t.Context(), askerOn(m), metav1.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				p.Status.PodIP = podIP(m)
				if _, err := client.CoreV1().Pods(metav1.NamespaceDefault).UpdateStatus(t.Context(), p, metav1.UpdateOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			out, err := (&dnsLost{}).Effective(t.Context(), &Env{Cluster: &asking{answers: c.answers, lost: c.lost}, Client: client}, []string{"worker-1"})
			var control controlError
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) || errors.As(err, &control) != c.control {
				t.Errorf("%v, %v; want %q", out, err, c.want)
			}
			if c.want == "" && len(out) != 4 {
				t.Errorf("evidence %v", out)
			}
		})
	}
}

// Where nobody is answered before nothing is lost, and nothing is left to undo.
func TestQuestionsAreNotAnsweredAlready(t *testing.T) {
	client, removed := clientset.NewClientset(), false
	client.PrependReactor("delete-collection", "pods", func(a k8stesting.Action) (bool, runtime.Object, error) { // which a fake one leaves out
		for _, m := range (planes{}).Topology().KubernetesMachines() {
			_ = client.Tracker().Delete(a.GetResource(), a.GetNamespace(), askerOn(m))
		}
		removed = true
		return true, nil, nil
	})
	g := scriptedGuard(t, &dnsLost{})
	g.Spec = Spec{Kind: "dnsLost", Target: "worker-1", Machines: []string{"worker-1"}}
	e := &Env{Cluster: &asking{}, Client: client, Held: &Held{}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := g.Inject(ctx, e); err == nil || !strings.Contains(err.Error(), "before it was injected: answers of DNS on worker-1") {
		t.Errorf("error %v", err)
	}
	if err := errors.Join(g.Recover(ctx, e), g.AwaitRecovered(ctx, e)); err != nil || !removed || !g.Receipt().Armed.IsZero() {
		t.Errorf("undone: %v; pods removed %t, receipt %+v", err, removed, g.Receipt())
	}
}
