// Package load is everything that uses a cluster during a scenario: probes that try one thing again and again, clients whose histories are checked for
// linearizability, and a workload. It records and never judges.
package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"

	"drydock.dev/drydock/harness/observe"
)

// Load is everything that uses a cluster during a scenario: the probes, and the clients whose history is checked.
type Load struct {
	Probes    []*Prober
	Histories []*History

	acked   acknowledged
	clients []*clientv3.Client
	workers []func(ctx context.Context)
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

// Clients of each history. More would find no more and slow the search.
const clientsEach = 3

// NewLoad prepares probes and clients. The seed fixes what the clients do, not when.
func NewLoad(ctx context.Context, t *observe.Target, seed int64) (_ *Load, err error) {
	a, client := t.Etcd, t.Client
	l := &Load{}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	open := func(machines ...string) (*clientv3.Client, error) {
		c, err := a.Client(ctx, machines...)
		if err == nil {
			l.clients = append(l.clients, c)
		}
		return c, err
	}
	all, err := open()
	if err != nil {
		return nil, err
	}
	each := map[string]*clientv3.Client{}
	for _, m := range a.Machines() {
		if each[m], err = open(m); err != nil {
			return nil, err
		}
	}
	l.Probes = etcdProbes(all, each, &l.acked)
	h := &History{Name: "etcd"}
	l.Histories = append(l.Histories, h)
	for i := range clientsEach {
		c, err := open()
		if err != nil {
			return nil, err
		}
		l.drive(h, etcdKV{c}, i, seed)
	}
	if client == nil {
		return l, nil
	}
	for _, name := range append([]string{probeMap}, trafficMaps()...) {
		if err := makeConfigMap(ctx, client, name); err != nil {
			return nil, err
		}
	}
	probes, err := apiProbes(t)
	if err != nil {
		return nil, err
	}
	l.Probes = append(l.Probes, probes...)
	if t.Workload != nil {
		l.Probes = append(l.Probes, &Prober{Name: ProbeWorkload, try: workloadRequest(t.Cluster, t.Workload)})
	}
	h = &History{Name: "API server"}
	l.Histories = append(l.Histories, h)
	for i := range clientsEach {
		l.drive(h, apiKV{client}, i, seed)
	}
	return l, nil
}

func trafficMaps() []string {
	var out []string
	for i := range trafficKeys {
		out = append(out, apiKV{}.name(fmt.Sprintf("k%d", i)))
	}
	return out
}

func (l *Load) drive(h *History, store kv, client int, seed int64) {
	rng := rand.New(rand.NewPCG(uint64(seed), uint64(client)))
	l.workers = append(l.workers, func(ctx context.Context) { drive(ctx, h, store, client, rng) })
}

// Start sets everything going; Stop ends it.
func (l *Load) Start(ctx context.Context) {
	ctx, l.cancel = context.WithCancel(ctx)
	for _, p := range l.Probes {
		l.wg.Go(func() { p.Run(ctx) })
	}
	for _, w := range l.workers {
		l.wg.Go(func() { w(ctx) })
	}
}

// Stop ends the load and waits for it; idempotent.
func (l *Load) Stop() error {
	if l.cancel != nil {
		l.cancel()
	}
	l.wg.Wait()
	return l.close()
}

func (l *Load) close() error {
	var errs []error
	for _, c := range l.clients {
		errs = append(errs, c.Close())
	}
	l.clients = nil
	return errors.Join(errs...)
}

// Acknowledged lists the keys whose write was acknowledged to the writing probe.
func (l *Load) Acknowledged() []string { return l.acked.list() }
