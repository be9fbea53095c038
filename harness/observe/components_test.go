package observe

import (
	"context"
	"crypto/tls"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

const page = `# HELP kubernetes_build_info A metric with a constant '1' value
# TYPE kubernetes_build_info gauge
kubernetes_build_info{build_date="1970",git_version="v1.35.4",go_version="go1.26"} 1
# TYPE leader_election_master_status gauge
leader_election_master_status{name="kube-scheduler"} 1
process_start_time_seconds 1.79563e+09
process_start_time_seconds_other{x="y"} 3
rest_client_requests_total{code="200",method="GET"} 7
`

func TestWhatAMetricsPageTells(t *testing.T) {
	m, err := readMetrics(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	v, err := m.version()
	if err != nil || v != "v1.35.4" {
		t.Errorf("%q %v", v, err)
	}
	if s, err := m.started(); err != nil || !s.Equal(time.Unix(1795630000, 0)) {
		t.Errorf("%s %v", s, err)
	}
	for lease, want := range map[string]Belief{"kube-scheduler": Leads, "kube-controller-manager": Unelected} {
		if b := m.leader(lease); b != want {
			t.Errorf("%s: %s instead of %s", lease, b, want)
		}
	}
	if m, err = readMetrics(strings.NewReader(strings.ReplaceAll(page, `kube-scheduler"} 1`, `kube-scheduler"} 0`))); err != nil || m.leader("kube-scheduler") != Follows {
		t.Errorf("%v %v", m, err)
	}
	if _, err := (metrics{}).started(); err == nil {
		t.Error("a page without a start has one")
	}
}

// stand is a component that is not there: what it says is the test's.
type stand struct {
	cluster.Machine
	server  *httptest.Server
	started atomic.Int64
	pages   atomic.Int64
	broken  atomic.Bool
	slow    atomic.Int64 // milliseconds a page takes
}

func newStand(t *testing.T) *stand {
	t.Helper()
	s := &stand{}
	s.started.Store(1000)
	s.server = httptest.NewTLSServer(s)
	t.Cleanup(s.server.Close)
	return s
}

func (s *stand) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/metrics" {
		if s.broken.Load() {
			http.Error(w, "informers are not synced", http.StatusInternalServerError)
		}
		return
	}
	s.pages.Add(1)
	<-time.After(time.Duration(s.slow.Load()) * time.Millisecond)
	_, _ = fmt.Fprintf(w, "kubernetes_build_info{git_version=\"v1.35.4\"} 1\nprocess_start_time_seconds %d\nleader_election_master_status{name=%q} 1\n", s.started.Load(), Scheduler)
}

func (*stand) Name() string       { return "control-plane-1" }
func (*stand) Role() cluster.Role { return cluster.ControlPlane }
func (*stand) Addr() netip.Addr   { return netip.MustParseAddr("10.0.0.1") }

func (*stand) ReadFile(context.Context, string) ([]byte, error) {
	return []byte("clusters: [{name: a, cluster: {server: 'https://10.0.0.1:6443'}}]"), nil
}

func (*stand) WriteFile(context.Context, string, []byte, fs.FileMode) error { return nil }

func (s *stand) Dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, s.server.Listener.Addr().String())
}

func look(t *testing.T, p *componentProbe, within time.Duration) Component {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	return p.look(ctx)
}

// mute is a machine that nobody can dial from.
type mute struct{ cluster.Machine }

func (mute) Name() string { return "worker-1" }

// TestWhoCannotBeAskedIsUnknown: neither well nor lost, and the reason is told.
func TestWhoCannotBeAskedIsUnknown(t *testing.T) {
	c := look(t, newComponentProbe(mute{}, Kubelet, tls.Certificate{}), time.Second)
	if c.Failure != cluster.Unasked || !strings.Contains(c.Error, cluster.ErrUnsupported.Error()) || c.Version != "" || c.Machine != "worker-1" {
		t.Errorf("%+v", c)
	}
}

func TestAComponentTellsOnceAConnectionWhoItIs(t *testing.T) {
	s := newStand(t)
	p := newComponentProbe(s, Scheduler, tls.Certificate{})
	for range 3 {
		if c := look(t, p, time.Second); c.Error != "" || c.Version != "v1.35.4" || !c.Started.Equal(time.Unix(1000, 0)) || c.Leader != Leads || !c.Local {
			t.Fatalf("%+v", c)
		}
	}
	if n := s.pages.Load(); n != 1 {
		t.Errorf("%d pages for one connection", n)
	}
	s.broken.Store(true)
	if c := look(t, p, time.Second); c.Error != "" || !strings.Contains(c.Unhealthy, "informers are not synced") {
		t.Errorf("it answers and is not well: %+v", c)
	}
	s.broken.Store(false)
	s.started.Store(2000)
	s.server.CloseClientConnections()
	if c := look(t, p, time.Second); !c.Started.Equal(time.Unix(2000, 0)) {
		t.Errorf("a new process on a new connection: %+v", c)
	}
	s.server.Close()
	if c := look(t, p, time.Second); c.Version != "" || c.Failure != cluster.Refused {
		t.Errorf("nothing listens: %+v", c)
	}
}

// TestAConnectionThatIsNeverMadeIsGivenUp: neither a dial nor a handshake that hangs keeps later ones from being tried.
func TestAConnectionThatIsNeverMadeIsGivenUp(t *testing.T) {
	for name, hang := range map[string]func(ctx context.Context) (net.Conn, error){
		"dial":      func(ctx context.Context) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() },
		"handshake": func(context.Context) (net.Conn, error) { ours, _ := net.Pipe(); return ours, nil },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			var dials atomic.Int64
			p := newComponentProbe(s, Scheduler, tls.Certificate{})
			p.client = newComponentClient(func(ctx context.Context, network, addr string) (net.Conn, error) {
				if dials.Add(1) == 1 {
					return hang(ctx)
				}
				return s.Dial(ctx, network, addr)
			}, tls.Certificate{}, 300*time.Millisecond)
			if c := look(t, p, 50*time.Millisecond); c.Failure != cluster.Deadline {
				t.Errorf("%+v", c)
			}
			if c := look(t, p, 5*time.Second); c.Version != "v1.35.4" {
				t.Errorf("after the machine has come back: %+v", c)
			}
		})
	}
}

// TestASlowPageIsReadAllTheSame: on a busy host a page takes longer than a look; until it is there the component has no version.
func TestASlowPageIsReadAllTheSame(t *testing.T) {
	s := newStand(t)
	s.slow.Store(2000)
	p := newComponentProbe(s, Scheduler, tls.Certificate{})
	if c := look(t, p, time.Second); c.Version != "" || c.Failure != cluster.Answered {
		t.Errorf("%+v", c)
	}
	if err := cluster.Await(t.Context(), "the page", cluster.Wait{For: 20 * time.Second, Every: 20 * time.Millisecond}, func(context.Context) error {
		if c := look(t, p, time.Second); c.Version == "" {
			return fmt.Errorf("%s", c.Error)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if n := s.pages.Load(); n != 1 {
		t.Errorf("%d pages for one connection", n)
	}
}
