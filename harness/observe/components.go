package observe

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"

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
	Name    string `json:"name"`
	Machine string `json:"machine"`
	Version string `json:"version,omitempty"` // empty: it did not answer
	Local   bool   `json:"local,omitempty"`   // talks to its own machine's API server only, as its kubeconfig says
	Error   string `json:"error,omitempty"`
}

// String names the component and its machine.
func (c Component) String() string { return c.Name + " on " + c.Machine }

// componentProbe asks one component over a connection it keeps: as long as that connection lives the process is the same, and
// so is its version, which is therefore read once a connection. A metrics page twice a second from everybody would be a load of its own.
type componentProbe struct {
	machine    cluster.Machine
	name       string
	base       string
	alive      string // a cheap path
	version    string // the path that has the version
	kubeconfig string
	client     *http.Client
	dials      *atomic.Int64

	mu    sync.Mutex
	known Component
	dial  int64 // the connection the version was read on
}

// Ports of the secure endpoints, kubeadm's defaults; controller-manager and scheduler listen on the loopback only.
var componentPorts = map[string]int{ //nolint:gochecknoglobals // a constant table
	APIServer: kubeadm.APIPort, ControllerManager: 10257, Scheduler: 10259, Kubelet: 10250,
}

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
	p := &componentProbes{cluster: c, pair: pair, known: map[cluster.Machine][]*componentProbe{}}
	_, err = p.all()
	return p, err
}

// all lists the probes of the machines there are now; a machine that is gone loses its own.
func (p *componentProbes) all() ([]*componentProbe, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := map[cluster.Machine][]*componentProbe{}
	var out []*componentProbe
	for _, m := range p.cluster.Machines() {
		probes, known := p.known[m]
		if !known {
			for _, name := range componentsOf(m.Role()) {
				probe, err := newComponentProbe(m, name, p.pair)
				if err != nil {
					return nil, err
				}
				probes = append(probes, probe)
			}
		}
		now[m] = probes
		out = append(out, probes...)
	}
	p.known = now
	return out, nil
}

func componentsOf(r cluster.Role) []string {
	switch r {
	case cluster.ControlPlane:
		return []string{APIServer, ControllerManager, Scheduler, Kubelet}
	case cluster.Worker:
		return []string{Kubelet}
	default:
		return nil
	}
}

func newComponentProbe(m cluster.Machine, name string, pair tls.Certificate) (*componentProbe, error) {
	d, err := cluster.As[cluster.Dialer](m)
	if err != nil {
		return nil, err
	}
	p := &componentProbe{
		machine: m, name: name, dials: &atomic.Int64{}, alive: "/healthz", version: "/metrics",
		base: "https://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(componentPorts[name])),
	}
	switch name {
	case APIServer:
		p.alive, p.version = "/version", "/version"
	case ControllerManager:
		p.kubeconfig = "/etc/kubernetes/controller-manager.conf"
	case Scheduler:
		p.kubeconfig = "/etc/kubernetes/scheduler.conf"
	case Kubelet:
		p.kubeconfig = "/etc/kubernetes/kubelet.conf"
	}
	p.client = &http.Client{Transport: &http.Transport{
		MaxConnsPerHost: 1,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			p.dials.Add(1)
			return d.Dial(ctx, network, addr)
		},
		// Controller-manager and scheduler sign their own certificates. The machine's own loopback is trusted instead.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}},
	}}
	return p, nil
}

// look asks the component; the version is read again when the connection is a new one.
func (p *componentProbe) look(ctx context.Context) Component {
	p.mu.Lock()
	defer p.mu.Unlock()
	none := Component{Name: p.name, Machine: p.machine.Name()}
	if err := p.get(ctx, p.alive, func(io.Reader) error { return nil }); err != nil {
		none.Error = err.Error()
		return none
	}
	if p.known.Version != "" && p.dial == p.dials.Load() {
		return p.known
	}
	c := none
	if err := p.get(ctx, p.version, func(r io.Reader) (err error) { c.Version, err = readVersion(r, p.version); return err }); err != nil {
		none.Error = err.Error()
		return none
	}
	if p.kubeconfig != "" {
		server, err := p.server(ctx)
		if err != nil {
			none.Error = err.Error()
			return none
		}
		c.Local = server == p.machine.Addr().String()
	}
	p.known, p.dial = c, p.dials.Load()
	return c
}

// get reads a page whole, so that the connection is kept. An unhealthy component still answers.
func (p *componentProbe) get(ctx context.Context, path string, read func(io.Reader) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+path, nil)
	if err != nil {
		return fmt.Errorf("%s on %s: %w", p.name, p.machine.Name(), err)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return fmt.Errorf("%s on %s: %w", p.name, p.machine.Name(), err)
	}
	defer func() { _ = resp.Body.Close() }()
	if path == p.version && resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s on %s: %s: %s", p.name, p.machine.Name(), path, resp.Status)
	}
	err = read(resp.Body)
	_, _ = io.Copy(io.Discard, resp.Body)
	return err
}

var buildInfo = regexp.MustCompile(`^kubernetes_build_info\{.*git_version="([^"]+)"`)

// readVersion finds the version in /version or in the metrics.
func readVersion(r io.Reader, path string) (string, error) {
	if path == "/version" {
		var v struct {
			GitVersion string `json:"gitVersion"`
		}
		if err := json.NewDecoder(r).Decode(&v); err != nil {
			return "", fmt.Errorf("version: %w", err)
		}
		return v.GitVersion, nil
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if m := buildInfo.FindSubmatch(lines.Bytes()); m != nil {
			return string(m[1]), nil
		}
	}
	return "", fmt.Errorf("no kubernetes_build_info among the metrics: %w", lines.Err())
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
	probes, err := o.components.all()
	if err != nil {
		return []Component{{Error: err.Error()}}
	}
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
