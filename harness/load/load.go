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
	Probes []*Prober

	recorders []*recorder
	acked     acknowledged // by etcd
	ledger    *apiLedger   // nil for etcd-only
	script    *script
	quiet     bool // nobody but the script writes
	clients   []*clientv3.Client
	workers   []func(ctx context.Context)
	cancel    context.CancelFunc
	wg        sync.WaitGroup
}

// Clients of each history. More would find no more and slow the search.
const clientsEach = 3

// NewQuiet prepares no probe and no recorded client: nothing is written but by the script.
func NewQuiet(t *observe.Target) *Load { return &Load{script: newScript(t), quiet: true} }

// NewLoad prepares probes and clients. The seed fixes what the clients do, not when.
func NewLoad(ctx context.Context, t *observe.Target, seed int64) (_ *Load, err error) {
	a := t.Etcd
	l := &Load{script: newScript(t)}
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
	r := newRecorder("etcd")
	l.recorders = append(l.recorders, r)
	for i := range clientsEach {
		c, err := open()
		if err != nil {
			return nil, err
		}
		l.drive(r, etcdKV{c}, i, seed)
	}
	if t.Client == nil {
		return l, nil
	}
	return l, l.useAPI(ctx, t, seed)
}

// useAPI prepares what goes through the API server. All of it is in a namespace of its own.
func (l *Load) useAPI(ctx context.Context, t *observe.Target, seed int64) error {
	if err := makeNamespace(ctx, t); err != nil {
		return err
	}
	maps := t.Client.CoreV1().ConfigMaps(observe.ClientsNamespace)
	names := []string{probeMap}
	for _, m := range t.Cluster.Topology().ControlPlaneMachines() {
		names = append(names, probeMap+"-"+m)
	}
	for i := range trafficKeys {
		names = append(names, trafficMap(trafficKey(i)))
	}
	for _, name := range names {
		if err := makeConfigMap(ctx, maps, name); err != nil {
			return err
		}
	}
	l.ledger = &apiLedger{maps: maps}
	probes, err := apiProbes(t, maps, l.ledger)
	if err != nil {
		return err
	}
	l.Probes = append(l.Probes, probes...)
	if t.Workload != nil {
		l.Probes = append(l.Probes, &Prober{Name: ProbeWorkload, try: workloadRequest(t.Cluster, t.Workload)})
	}
	if t.Service != nil {
		l.Probes = append(l.Probes, &Prober{Name: ProbeWorkload, try: existingRequest(t)})
	}
	r := newRecorder("API server")
	l.recorders = append(l.recorders, r)
	for i := range clientsEach {
		l.drive(r, apiKV{maps}, i, seed)
	}
	return nil
}

func (l *Load) drive(r *recorder, store kv, client int, seed int64) {
	rng := rand.New(rand.NewPCG(uint64(seed), uint64(client)))
	l.workers = append(l.workers, func(ctx context.Context) { drive(ctx, r, store, client, rng) })
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

// States are what the probes have come to so far.
func (l *Load) States() []State {
	out := make([]State, 0, len(l.Probes))
	for _, p := range l.Probes {
		out = append(out, p.State())
	}
	return out
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
	if l.script != nil {
		errs = append(errs, l.script.close())
	}
	return errors.Join(errs...)
}

// Samples are the tries of each probe.
func (l *Load) Samples() map[string][]Sample {
	out := map[string][]Sample{}
	for _, p := range l.Probes {
		out[p.Name] = p.Samples()
	}
	return out
}

// Histories are what the recorded clients did.
func (l *Load) Histories() []History {
	var out []History
	for _, r := range l.recorders {
		out = append(out, r.history())
	}
	return out
}

// Acknowledged waits until a store (LedgerEtcd, LedgerAPI) has acknowledged so many more writes of the recorded clients. It gives the last of them; where it
// is cut short, how many there were.
func (l *Load) Acknowledged(ctx context.Context, store string, n int) (Op, int, error) {
	for _, r := range l.recorders {
		if r.name == store {
			return r.acknowledged(ctx, n)
		}
	}
	return Op{}, 0, fmt.Errorf("no clients of %s are recorded", store)
}

// Ledgers reads all that was acknowledged again. The load must have been stopped.
func (l *Load) Ledgers(ctx context.Context, t *observe.Target) []Ledger {
	var out []Ledger
	if !l.quiet {
		found, err := readEtcd(ctx, t.Etcd, etcdLedger)
		out = append(out, book(LedgerEtcd, l.acked.list(), names(found), err))
	}
	if l.ledger != nil {
		found, err := l.ledger.read(ctx)
		out = append(out, book(LedgerAPI, l.ledger.acked.list(), found, err))
	}
	if b := l.script.ledger(ctx); b != nil {
		out = append(out, *b)
	}
	return out
}

// book is a ledger as it was found; of one that could not be read nothing was.
func book(name string, acknowledged, found []string, err error) Ledger {
	b := Ledger{Name: name, Acknowledged: acknowledged, Found: found}
	if err != nil {
		b.Found, b.Error = nil, err.Error()
	}
	return b
}
