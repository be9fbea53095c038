package observe

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/kubeadm"
)

// The components of Kubernetes that have a version of their own.
const (
	APIServer              = "kube-apiserver"
	ControllerManager      = "kube-controller-manager"
	Scheduler              = "kube-scheduler"
	CloudControllerManager = "cloud-controller-manager"
	Kubelet                = "kubelet"
	KubeProxy              = "kube-proxy"
	Kubectl                = "kubectl"
)

// Component is one running component as it says itself.
type Component struct {
	Name    string          `json:"name"`
	Machine string          `json:"machine"`
	Version string          `json:"version,omitempty"` // empty: it did not answer
	Local   bool            `json:"local,omitempty"`   // talks to its own machine's API server only, as its kubeconfig says
	Error   string          `json:"error,omitempty"`
	Failure cluster.Failure `json:"failure,omitempty"` // of which kind the error is; answered: it is there, and has not told its version
	// Unhealthy is what it said when it answered and did not call itself healthy. Of an API server ServerHealth has that.
	Unhealthy string    `json:"unhealthy,omitempty"`
	Started   time.Time `json:"started,omitzero"`  // when its process started, from its own metrics; zero: not read
	Leader    Belief    `json:"leader,omitempty"`  // of controller-manager and scheduler; empty: not read
	LeaderAt  time.Time `json:"leaderAt,omitzero"` // when it was asked that
	BootID    string    `json:"bootID,omitempty"`  // its machine's, of kubelets only
}

// String names the component and its machine.
func (c Component) String() string { return c.Name + " on " + c.Machine }

// componentProbe asks one component over a connection it keeps: as long as that connection lives the process is the same, and so are its version and
// its start, which are therefore read once a connection. A metrics page twice a second from everybody would be a load of its own.
type componentProbe struct {
	machine    cluster.Machine
	name       string
	base       string
	alive      string // a cheap path
	elects     bool
	kubeconfig string
	unasked    error        // why nobody can ask it; nil: it can be asked
	client     *http.Client // of the connection that is watched
	pages      *http.Client // of the pages, which may take longer than a look
	dials      *atomic.Int64

	mu      sync.Mutex
	known   Component
	dial    int64        // the connection it is known of
	pending chan reading // a page that is being read; nil: none is
}

// reading is what was read beside the cheap path, and while which connection lived.
type reading struct {
	Component
	dial int64
	err  error
}

// How long a page or a new connection may take, which on a busy host is longer than a look, and how often a component is asked whether it leads.
const (
	pageWithin   = 10 * time.Second
	believeEvery = 3 * time.Second
)

// Ports of the secure endpoints, kubeadm's defaults; controller-manager and scheduler listen on the loopback only.
var componentPorts = map[string]int{ //nolint:gochecknoglobals // a constant table
	APIServer: kubeadm.APIPort, ControllerManager: 10257, Scheduler: 10259, Kubelet: 10250, CloudControllerManager: CloudControllerPort,
}

// CloudControllerPort is that of a cloud-controller-manager (k8s.io/cloud-provider, CloudControllerManagerPort).
const CloudControllerPort = 10258

// componentProbes has a probe for every component of every machine there is.
type componentProbes struct {
	cluster cluster.Cluster
	pair    tls.Certificate

	mu    sync.Mutex
	known map[cluster.Machine][]*componentProbe
}

func newComponentProbes(c cluster.Cluster, cfg *rest.Config) (*componentProbes, error) {
	pair, err := tls.X509KeyPair(cfg.CertData, cfg.KeyData)
	if err != nil {
		return nil, fmt.Errorf("components: admin's certificate: %w", err)
	}
	return &componentProbes{cluster: c, pair: pair, known: map[cluster.Machine][]*componentProbe{}}, nil
}

// all lists the probes of the machines there are now; a machine that is gone loses its own.
func (p *componentProbes) all() []*componentProbe {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := map[cluster.Machine][]*componentProbe{}
	var out []*componentProbe
	for _, m := range p.cluster.Machines() {
		probes, known := p.known[m]
		if !known {
			for _, name := range ComponentsOf(m.Role()) {
				probes = append(probes, newComponentProbe(m, name, p.pair))
			}
		}
		now[m] = probes
		out = append(out, probes...)
	}
	p.known = now
	return out
}

// ComponentsOf names what runs on a machine of a role and tells its version, besides etcd.
func ComponentsOf(r cluster.Role) []string {
	switch r {
	case cluster.ControlPlane:
		return []string{APIServer, ControllerManager, Scheduler, Kubelet}
	case cluster.Worker:
		return []string{Kubelet}
	default:
		return nil
	}
}

func newComponentProbe(m cluster.Machine, name string, pair tls.Certificate) *componentProbe {
	p := &componentProbe{
		machine: m, name: name, dials: &atomic.Int64{}, alive: "/healthz",
		base: "https://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(componentPorts[name])),
	}
	d, err := cluster.As[cluster.Dialer](m)
	if err != nil {
		p.unasked = err
		return p
	}
	switch name {
	case APIServer:
		p.alive = "/version" // its health asks etcd, and is read where readiness is
	case ControllerManager:
		p.kubeconfig, p.elects = "/etc/kubernetes/controller-manager.conf", true
	case Scheduler:
		p.kubeconfig, p.elects = "/etc/kubernetes/scheduler.conf", true
	case Kubelet:
		p.kubeconfig = "/etc/kubernetes/kubelet.conf"
	}
	p.pages = newComponentClient(d.Dial, pair, pageWithin)
	p.client = newComponentClient(func(ctx context.Context, network, addr string) (net.Conn, error) {
		p.dials.Add(1)
		return d.Dial(ctx, network, addr)
	}, pair, pageWithin)
	return p
}

// newComponentClient makes a client of one connection. How long making that may take is bounded: it goes on when the request it was made for is given
// up, no other is begun beside it, and one that never ended, as of a machine that lost its power meanwhile, would blind the probe for good.
func newComponentClient(dial func(ctx context.Context, network, addr string) (net.Conn, error), pair tls.Certificate, within time.Duration) *http.Client {
	return &http.Client{Transport: &http.Transport{
		MaxConnsPerHost: 1, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: within,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, within)
			defer cancel()
			return dial(ctx, network, addr)
		},
		// Controller-manager and scheduler sign their own certificates. The machine's own loopback is trusted instead.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}},
	}}
}

// look asks the component; what its process is known by is read again when the connection is a new one.
func (p *componentProbe) look(ctx context.Context) Component {
	p.mu.Lock()
	defer p.mu.Unlock()
	none := Component{Name: p.name, Machine: p.machine.Name()}
	if p.unasked != nil {
		none.Error, none.Failure = p.unasked.Error(), cluster.Unasked
		return none
	}
	unhealthy, err := p.health(ctx)
	if err != nil {
		none.Error, none.Failure = err.Error(), cluster.FailureOf(err)
		return none
	}
	if err := p.learn(ctx); err != nil { // who it is is not known, but that it is there: whom it may tell more its API server has to say, and that may be away
		none.Error, none.Failure = err.Error(), cluster.Answered
		return none
	}
	c := p.known
	c.Unhealthy = unhealthy
	return c
}

// learn brings what is known of the process up to date. It waits for the pages as long as a look may take; a page that takes longer is there at a
// later look. The belief to lead is only refreshed: nobody waits for it.
func (p *componentProbe) learn(ctx context.Context) error {
	fresh := p.known.Version != "" && p.dial == p.dials.Load()
	if p.pending == nil && (!fresh || p.elects && time.Since(p.known.LeaderAt) > believeEvery) {
		p.pending = make(chan reading, 1)
		go func(done chan<- reading, dial int64) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pageWithin)
			defer cancel()
			c, err := p.read(ctx)
			done <- reading{Component: c, dial: dial, err: err}
		}(p.pending, p.dials.Load())
	}
	if fresh {
		select {
		case r := <-p.pending: // nil when none is being read
			_ = p.take(r) // what was known of the process still holds
		default:
		}
		return nil
	}
	select {
	case r := <-p.pending:
		return p.take(r)
	case <-ctx.Done():
		return fmt.Errorf("%s on %s answers, and has not told its version yet: %w", p.name, p.machine.Name(), ctx.Err())
	}
}

// take keeps what was read, unless that was of a process before this one.
func (p *componentProbe) take(r reading) error {
	p.pending = nil
	switch {
	case r.err != nil:
		return r.err
	case r.dial != p.dials.Load():
		return fmt.Errorf("%s on %s has a new connection and has not told its version on it yet", p.name, p.machine.Name())
	}
	p.known, p.dial = r.Component, r.dial
	return nil
}

// read asks for all that a process is known by.
func (p *componentProbe) read(ctx context.Context) (Component, error) {
	c := Component{Name: p.name, Machine: p.machine.Name()}
	asked := time.Now()
	page, err := p.metrics(ctx)
	if err != nil {
		return c, err
	}
	if c.Started, err = page.started(); err != nil {
		return c, fmt.Errorf("%s: %w", c, err)
	}
	if c.Version, err = page.version(); err != nil {
		return c, fmt.Errorf("%s: %w", c, err)
	}
	if p.elects {
		c.Leader, c.LeaderAt = page.leader(p.name), asked
	}
	if p.kubeconfig != "" {
		server, err := p.server(ctx)
		if err != nil {
			return c, err
		}
		c.Local = server == p.machine.Addr().String()
	}
	if p.name == Kubelet {
		if c.BootID, err = cluster.KernelBootID(ctx, p.machine); err != nil {
			return c, fmt.Errorf("boot id: %w", err)
		}
	}
	return c, nil
}

// get asks for a path; the caller closes the body.
func (p *componentProbe) get(ctx context.Context, client *http.Client, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+path, nil)
	if err != nil {
		return nil, fmt.Errorf("%s on %s: %w", p.name, p.machine.Name(), err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s on %s: %w", p.name, p.machine.Name(), err)
	}
	return resp, nil
}

// health asks the cheap path. Who answers with another status than 200 lives and is not well. The answer is read whole, so that the connection is kept.
func (p *componentProbe) health(ctx context.Context) (unhealthy string, err error) {
	resp, err := p.get(ctx, p.client, p.alive)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	said, err := io.ReadAll(io.LimitReader(resp.Body, 300))
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
	}
	if err != nil {
		return "", fmt.Errorf("%s on %s: %s: %w", p.name, p.machine.Name(), p.alive, err)
	}
	if resp.StatusCode != http.StatusOK {
		unhealthy = fmt.Sprintf("%s is %s: %s", p.alive, resp.Status, said)
	}
	return unhealthy, nil
}

// metrics reads what the component tells of its process.
func (p *componentProbe) metrics(ctx context.Context) (metrics, error) {
	resp, err := p.get(ctx, p.pages, "/metrics")
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s on %s: /metrics: %s", p.name, p.machine.Name(), resp.Status)
	}
	page, err := readMetrics(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("%s on %s: %w", p.name, p.machine.Name(), err)
	}
	return page, nil
}

// server is the host of the API server the component's kubeconfig names.
func (p *componentProbe) server(ctx context.Context) (string, error) {
	raw, err := p.machine.ReadFile(ctx, p.kubeconfig)
	if err != nil {
		return "", err
	}
	cfg, err := clientcmd.Load(raw)
	if err != nil {
		return "", fmt.Errorf("%s: %s: %w", p.machine.Name(), p.kubeconfig, err)
	}
	for _, c := range cfg.Clusters {
		u, err := url.Parse(c.Server)
		if err != nil {
			return "", fmt.Errorf("%s: %s: %w", p.machine.Name(), p.kubeconfig, err)
		}
		return u.Hostname(), nil
	}
	return "", fmt.Errorf("%s: %s names no cluster", p.machine.Name(), p.kubeconfig)
}

// Components asks every component at once.
func (o *Observer) Components(ctx context.Context) []Component {
	ctx, cancel := context.WithTimeout(ctx, For)
	defer cancel()
	probes := o.components.all()
	out := make([]Component, len(probes))
	var wg sync.WaitGroup
	for i, p := range probes {
		wg.Go(func() { out[i] = p.look(ctx) })
	}
	wg.Wait()
	return out
}

// Metrics reads the metrics of one machine's API server, past the balancer, as the admin.
func (t *Target) Metrics(ctx context.Context, machine string) ([]byte, error) {
	m, err := t.Cluster.Machine(machine)
	if err != nil {
		return nil, err
	}
	cfg := rest.CopyConfig(t.Config)
	cfg.Host = kubeadm.ServerURL(m)
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	raw, err := client.RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("metrics of %s: %w", machine, err)
	}
	return raw, nil
}

// AskComponent asks a component of a machine once who it is, by the metrics at that port of the machine's loopback.
func AskComponent(ctx context.Context, cfg *rest.Config, m cluster.Machine, name string, port int) (Component, error) {
	pair, err := tls.X509KeyPair(cfg.CertData, cfg.KeyData)
	if err != nil {
		return Component{}, fmt.Errorf("components: admin's certificate: %w", err)
	}
	p := newComponentProbe(m, name, pair)
	if p.unasked != nil {
		return Component{}, p.unasked
	}
	defer p.pages.CloseIdleConnections()
	p.base, p.elects, p.kubeconfig = "https://"+net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), false, ""
	return p.read(ctx)
}
