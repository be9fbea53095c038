package load

import (
	"context"
	"errors"

	clientv3 "go.etcd.io/etcd/client/v3"

	"drydock.dev/drydock/harness/observe"
)

// NewReads prepares the probes that only read, and make nothing that they could read: keys that are not there, and the API server's version.
func NewReads(ctx context.Context, t *observe.Target) (_ *Load, err error) {
	l := &Load{}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	each := map[string]*clientv3.Client{}
	for _, m := range t.Etcd.Machines() {
		if each[m], err = t.Etcd.Client(ctx, m); err != nil {
			return nil, err
		}
		l.clients = append(l.clients, each[m])
	}
	all, err := t.Etcd.Client(ctx)
	if err != nil {
		return nil, err
	}
	l.clients = append(l.clients, all)
	for _, p := range etcdProbes(all, each, &l.acked) {
		if p.Name != ProbeEtcdWrite {
			l.Probes = append(l.Probes, p)
		}
	}
	if t.Client != nil {
		l.Probes = append(l.Probes, &Prober{Name: ProbeAPIRead, try: func(ctx context.Context, _ int) error {
			return t.Client.Discovery().RESTClient().Get().AbsPath("/version").Do(ctx).Error()
		}})
	}
	return l, nil
}
