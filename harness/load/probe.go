package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// Prober tries one thing again and again, all through a scenario.
type Prober struct {
	Name string
	try  func(ctx context.Context, n int) error

	mu       sync.Mutex
	samples  []Sample
	failures int
	good     time.Time // the end of the last success; before it the start of the first try
}

// How often a probe tries and how long a try may take.
const (
	probeEvery = 200 * time.Millisecond
	probeFor   = time.Second
)

// Names of the probes.
const (
	ProbeEtcdWrite      = "etcd write"
	ProbeEtcdRead       = "etcd linearizable read"
	ProbeEtcdStaleRead  = "etcd serializable read"
	ProbeAPIRead        = "API server read"
	ProbeAPIWrite       = "API server write"
	ProbeAPINew         = "API server read, new connection"
	ProbeAPIDirect      = "API server read, past the balancer, on "  // and the machine
	ProbeAPIDirectWrite = "API server write, past the balancer, on " // and the machine
	ProbeWorkload       = "workload request"
)

// Run tries until the context ends. A try cut short by the end is not counted.
func (p *Prober) Run(ctx context.Context) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		s := Sample{Start: time.Now()}
		try, cancel := context.WithTimeout(ctx, probeFor)
		err := p.try(try, n)
		cancel()
		s.End = time.Now()
		s.failed(err)
		if ctx.Err() != nil {
			return
		}
		p.keep(s)
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func (p *Prober) keep(s Sample) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.samples = append(p.samples, s)
	switch {
	case s.Good():
		p.good = s.End
	case len(p.samples) == 1:
		p.good = s.Start
		fallthrough
	default:
		p.failures++
	}
}

// Samples returns the tries so far.
func (p *Prober) Samples() []Sample {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.samples)
}

// Sum is a probe in the report.
func Sum(name string, samples []Sample) plan.Probe {
	out := plan.Probe{Name: name, Samples: len(samples), LongestGapSeconds: LongestGap(samples).Seconds()}
	var took []time.Duration
	for _, s := range samples {
		if s.Good() {
			took = append(took, s.End.Sub(s.Start))
		} else {
			out.Failures++
		}
	}
	out.P50Seconds, out.P99Seconds = Quantile(took, 0.5).Seconds(), Quantile(took, 0.99).Seconds()
	return out
}

// State is what a probe has come to.
type State struct {
	Name     string        `json:"name"`
	Tries    int           `json:"tries"`
	Failures int           `json:"failures"`
	Silent   time.Duration `json:"silent,omitempty"` // from its last success, or its first try, to its last try, of one whose last try has failed
	Err      string        `json:"err,omitempty"`    // of that
}

// State tells what the probe has come to.
func (p *Prober) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := State{Name: p.Name, Tries: len(p.samples), Failures: p.failures}
	if n := len(p.samples); n > 0 && !p.samples[n-1].Good() {
		s.Silent, s.Err = p.samples[n-1].End.Sub(p.good), p.samples[n-1].Err
	}
	return s
}

func etcdProbes(c *clientv3.Client, each map[string]*clientv3.Client, acked *acknowledged) []*Prober {
	names := make([]string, 0, len(each))
	for n := range each {
		names = append(names, n)
	}
	slices.Sort(names)
	return []*Prober{
		{Name: ProbeEtcdWrite, try: writeEtcd(c, acked)},
		{Name: ProbeEtcdRead, try: func(ctx context.Context, _ int) error {
			_, err := c.Get(ctx, etcdLedger+"0")
			return err
		}},
		{Name: ProbeEtcdStaleRead, try: func(ctx context.Context, _ int) error { return anyOf(ctx, names, each) }},
	}
}

// anyOf reads from the first member's own state that answers, without asking the others.
func anyOf(ctx context.Context, names []string, each map[string]*clientv3.Client) error {
	errs := make(chan error, len(names))
	for _, n := range names {
		go func() {
			_, err := each[n].Get(ctx, etcdLedger+"0", clientv3.WithSerializable())
			errs <- err
		}()
	}
	var all []error
	for range names {
		err := <-errs
		if err == nil {
			return nil
		}
		all = append(all, err)
	}
	return errors.Join(all...)
}

// probeMap is the ConfigMap the API server's probes read; the one of a machine is what the probe past the balancer writes to.
const probeMap = "probe"

// apiProbes use the balancer, over a connection that is kept and over a new one for each try, and each API server past the balancer.
func apiProbes(t *observe.Target, maps typed.ConfigMapInterface, ledger *apiLedger) ([]*Prober, error) {
	fresh, err := newPlain(t.Config, t.Config.Host, true)
	if err != nil {
		return nil, err
	}
	out := []*Prober{
		{Name: ProbeAPINew, try: fresh.read},
		{Name: ProbeAPIRead, try: func(ctx context.Context, _ int) error {
			_, err := maps.Get(ctx, probeMap, metav1.GetOptions{})
			return err
		}},
		{Name: ProbeAPIWrite, try: ledger.write},
	}
	for _, name := range t.Cluster.Topology().ControlPlaneMachines() {
		m, err := t.Cluster.Machine(name)
		if err != nil {
			return nil, err
		}
		direct, err := newPlain(t.Config, kubeadm.ServerURL(m), false)
		if err != nil {
			return nil, err
		}
		out = append(out, &Prober{Name: ProbeAPIDirect + name, try: direct.read}, &Prober{Name: ProbeAPIDirectWrite + name, try: direct.write(probeMap + "-" + name)})
	}
	return out, nil
}

// plain speaks to one address without client-go's retries.
type plain struct {
	client *http.Client
	maps   string // the URL of the namespace's ConfigMaps
}

func newPlain(cfg *rest.Config, host string, fresh bool) (*plain, error) {
	tlsConfig, err := rest.TLSConfigFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	return &plain{
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: fresh, DialContext: cfg.Dial, TLSClientConfig: tlsConfig}},
		maps:   host + "/api/v1/namespaces/" + observe.ClientsNamespace + "/configmaps/",
	}, nil
}

func (p *plain) read(ctx context.Context, _ int) error {
	return p.do(ctx, http.MethodGet, probeMap, "")
}

func (p *plain) write(name string) func(ctx context.Context, n int) error {
	return func(ctx context.Context, n int) error {
		return p.do(ctx, http.MethodPatch, name, fmt.Sprintf(`{"data":{"n":"%d"}}`, n))
	}
}

func (p *plain) do(ctx context.Context, method, name, patch string) error {
	req, err := http.NewRequestWithContext(ctx, method, p.maps+name, strings.NewReader(patch))
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	req.Header.Set("Content-Type", string(types.MergePatchType))
	resp, err := p.client.Do(req)
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusOK {
		_, err := io.Copy(io.Discard, resp.Body)
		return err
	}
	var said metav1.Status
	if json.NewDecoder(resp.Body).Decode(&said) != nil || said.Message == "" {
		said.Message = resp.Status
	}
	return statusError{resp.StatusCode, said.Message}
}
