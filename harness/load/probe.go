package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// Sample is one try of a probe.
type Sample struct {
	Start time.Time
	End   time.Time
	Err   error
}

// Prober tries one thing again and again, all through a scenario.
type Prober struct {
	Name string
	try  func(ctx context.Context, n int) error

	mu      sync.Mutex
	samples []Sample
}

// How often a probe tries and how long a try may take.
const (
	probeEvery = 200 * time.Millisecond
	probeFor   = time.Second
)

// Names of the probes.
const (
	ProbeEtcdWrite     = "etcd write"
	ProbeEtcdRead      = "etcd linearizable read"
	ProbeEtcdStaleRead = "etcd serializable read"
	ProbeAPIRead       = "API server read"
	ProbeAPIWrite      = "API server write"
	ProbeAPINew        = "API server read, new connection"
	ProbeAPIDirect     = "API server read, past the balancer, on " // and the machine
	ProbeWorkload      = "workload request"
)

// Run tries until the context ends. A try cut short by the end is not counted.
func (p *Prober) Run(ctx context.Context) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		s := Sample{Start: time.Now()}
		try, cancel := context.WithTimeout(ctx, probeFor)
		s.Err = p.try(try, n)
		cancel()
		s.End = time.Now()
		if ctx.Err() != nil {
			return
		}
		p.mu.Lock()
		p.samples = append(p.samples, s)
		p.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// Samples returns the tries so far.
func (p *Prober) Samples() []Sample {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.samples)
}

// Sum is the probe in the report.
func (p *Prober) Sum() plan.Probe {
	samples := p.Samples()
	out := plan.Probe{Name: p.Name, Samples: len(samples), LongestGapSeconds: LongestGap(samples).Seconds()}
	for _, s := range samples {
		if s.Err != nil {
			out.Failures++
		}
	}
	return out
}

// LongestGap is the longest time from one success to the next, counting from the first try and to the last one.
func LongestGap(samples []Sample) time.Duration {
	if len(samples) == 0 {
		return 0
	}
	last, longest := samples[0].Start, time.Duration(0)
	for _, s := range samples {
		if s.Err == nil {
			longest = max(longest, s.End.Sub(last))
			last = s.End
		}
	}
	return max(longest, samples[len(samples)-1].End.Sub(last))
}

// acknowledged remembers what was acknowledged to a writing probe; the last check reads all of it again.
type acknowledged struct {
	mu   sync.Mutex
	keys []string
}

func (a *acknowledged) add(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys = append(a.keys, key)
}

func (a *acknowledged) list() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.keys)
}

// ledger is below which the writing probe puts its keys; each is written once and never again.
const ledger = "/drydock/ledger/"

func etcdProbes(c *clientv3.Client, each map[string]*clientv3.Client, acked *acknowledged) []*Prober {
	names := make([]string, 0, len(each))
	for n := range each {
		names = append(names, n)
	}
	slices.Sort(names)
	return []*Prober{
		{Name: ProbeEtcdWrite, try: func(ctx context.Context, n int) error {
			key := ledger + strconv.Itoa(n)
			_, err := c.Put(ctx, key, key)
			if err == nil {
				acked.add(key)
			}
			return err
		}},
		{Name: ProbeEtcdRead, try: func(ctx context.Context, _ int) error {
			_, err := c.Get(ctx, ledger+"0")
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
			_, err := each[n].Get(ctx, ledger+"0", clientv3.WithSerializable())
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

// probeMap is the ConfigMap the API server's probes use.
const probeMap = "drydock-probe"

// apiProbes use the balancer, over a connection that is kept and over a new one for each try, and each API server past the balancer.
func apiProbes(t *observe.Target) ([]*Prober, error) {
	maps := t.Client.CoreV1().ConfigMaps(metav1.NamespaceDefault)
	fresh, err := plainRead(t.Config, t.Config.Host, true)
	if err != nil {
		return nil, err
	}
	out := []*Prober{
		{Name: ProbeAPINew, try: fresh},
		{Name: ProbeAPIRead, try: func(ctx context.Context, _ int) error {
			_, err := maps.Get(ctx, probeMap, metav1.GetOptions{})
			return err
		}},
		{Name: ProbeAPIWrite, try: func(ctx context.Context, n int) error {
			patch := fmt.Sprintf(`{"data":{"n":"%d"}}`, n)
			_, err := maps.Patch(ctx, probeMap, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
			return err
		}},
	}
	for _, name := range t.Cluster.Topology().ControlPlaneMachines() {
		m, err := t.Cluster.Machine(name)
		if err != nil {
			return nil, err
		}
		direct, err := plainRead(t.Config, kubeadm.ServerURL(m), false)
		if err != nil {
			return nil, err
		}
		out = append(out, &Prober{Name: ProbeAPIDirect + name, try: direct})
	}
	return out, nil
}

// plainRead reads the probe's ConfigMap from one address, without client-go's retries.
func plainRead(cfg *rest.Config, host string, fresh bool) (func(ctx context.Context, n int) error, error) {
	tlsConfig, err := rest.TLSConfigFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: fresh, DialContext: cfg.Dial, TLSClientConfig: tlsConfig}}
	url := host + "/api/v1/namespaces/" + metav1.NamespaceDefault + "/configmaps/" + probeMap
	return func(ctx context.Context, _ int) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return fmt.Errorf("probe: %w", err)
		}
		resp, err := client.Do(req)
		if err != nil {
			return fmt.Errorf("probe: %w", err)
		}
		defer func() { _ = resp.Body.Close() }()
		_, _ = io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("probe: %s", resp.Status)
		}
		return nil
	}, nil
}

func makeConfigMap(ctx context.Context, client kubernetes.Interface, name string) error {
	_, err := client.CoreV1().ConfigMaps(metav1.NamespaceDefault).Create(ctx,
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"v": ""}}, metav1.CreateOptions{})
	if err != nil && !strings.Contains(err.Error(), "already exists") {
		return fmt.Errorf("ConfigMap %s: %w", name, err)
	}
	return nil
}

// LostWrites reads the whole ledger, linearizably, and lists acknowledged keys that are not in it.
func LostWrites(ctx context.Context, a *etcd.Access, acked []string) ([]string, error) {
	c, err := a.Client(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	resp, err := c.Get(ctx, ledger, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	there := map[string]bool{}
	for _, kv := range resp.Kvs {
		there[string(kv.Key)] = true
	}
	var lost []string
	for _, k := range acked {
		if !there[k] {
			lost = append(lost, k)
		}
	}
	return lost, nil
}
