package load

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
)

// Ledger is what a store acknowledged, each entry written once and never again, and what of it was there when all was read at the end.
type Ledger struct {
	Name         string   `json:"name"`
	Acknowledged []string `json:"acknowledged"`
	Found        []string `json:"found"`
	Error        string   `json:"error,omitempty"` // why it could not be read; Found then says nothing
}

// Names of the ledgers.
const (
	LedgerEtcd   = "etcd"
	LedgerAPI    = "API server"
	LedgerScript = "scripted traffic"
)

// acknowledged remembers what was acknowledged to a writing probe.
type acknowledged struct {
	mu      sync.Mutex
	entries []string
}

func (a *acknowledged) add(entry string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.entries = append(a.entries, entry)
}

func (a *acknowledged) list() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.entries)
}

// etcdLedger is below which the probe that writes to etcd puts its keys.
const etcdLedger = "/drydock/ledger/"

func writeEtcd(c *clientv3.Client, acked *acknowledged) func(ctx context.Context, n int) error {
	return func(ctx context.Context, n int) error {
		key := etcdLedger + strconv.Itoa(n)
		_, err := c.Put(ctx, key, key)
		if err == nil {
			acked.add(key)
		}
		return err
	}
}

// readWithin bounds the reading of a ledger at the end, and readOneWithin one try of a request.
const (
	readWithin    = 30 * time.Second
	readOneWithin = 5 * time.Second
)

// readEtcd reads all keys below a prefix, linearizably.
func readEtcd(ctx context.Context, a *etcd.Access, prefix string) ([]*mvccpb.KeyValue, error) {
	c, err := a.Client(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	resp, err := c.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return nil, fmt.Errorf("read what is below %s: %w", prefix, err)
	}
	return resp.Kvs, nil
}

// names are the keys' own.
func names(kvs []*mvccpb.KeyValue) []string {
	var out []string
	for _, kv := range kvs {
		out = append(out, string(kv.Key))
	}
	return out
}

// perMap is how many entries a ConfigMap of the API server's ledger holds: some seconds' worth, so that there are not thousands of objects.
const perMap = 25

// apiLedger writes entries as keys of ConfigMaps through the API server. An entry is named MAP/KEY.
type apiLedger struct {
	maps  typed.ConfigMapInterface
	acked acknowledged

	made    []string // ConfigMaps that exist
	current int      // entries tried in the last one
}

// write adds an entry. A ConfigMap whose making was not answered may be there already.
func (l *apiLedger) write(ctx context.Context, n int) error {
	key := strconv.Itoa(n)
	if len(l.made) == 0 || l.current >= perMap {
		name := "ledger-" + key
		_, err := l.maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{key: key}}, metav1.CreateOptions{})
		if err == nil {
			l.made, l.current = append(l.made, name), 1
			l.acked.add(name + "/" + key)
		}
		return err
	}
	l.current++
	name := l.made[len(l.made)-1]
	_, err := l.maps.Patch(ctx, name, types.MergePatchType, fmt.Appendf(nil, `{"data":{%q:%q}}`, key, key), metav1.PatchOptions{})
	if err == nil {
		l.acked.add(name + "/" + key)
	}
	return err
}

// readersAtOnce read the ConfigMaps of the ledger; one that is not answered is asked for again.
const readersAtOnce = 8

// read gets each ConfigMap by itself and with a quorum: a list may come from an API server's memory, which knows nothing of what was lost below it.
func (l *apiLedger) read(ctx context.Context) ([]string, error) {
	found := make([][]string, len(l.made))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(readersAtOnce)
	for i, name := range l.made {
		g.Go(func() error {
			return cluster.Await(ctx, "an answer for ConfigMap "+name, cluster.Wait{For: readWithin}, func(ctx context.Context) error {
				try, cancel := context.WithTimeout(ctx, readOneWithin)
				defer cancel()
				m, err := l.maps.Get(try, name, metav1.GetOptions{})
				if gone(err) {
					return nil
				}
				if err != nil {
					return fmt.Errorf("read the ledger: %w", err)
				}
				for key := range m.Data {
					found[i] = append(found[i], name+"/"+key)
				}
				slices.Sort(found[i])
				return nil
			})
		})
	}
	err := g.Wait()
	return slices.Concat(found...), err
}

// makeNamespace makes the namespace all clients write to.
func makeNamespace(ctx context.Context, t *observe.Target) error {
	_, err := t.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: observe.ClientsNamespace}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("namespace %s: %w", observe.ClientsNamespace, err)
	}
	return nil
}

func makeConfigMap(ctx context.Context, maps typed.ConfigMapInterface, name string) error {
	_, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"v": ""}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("ConfigMap %s: %w", name, err)
	}
	return nil
}
