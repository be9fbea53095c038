package load

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// Op is one operation of a client on one key. Every value written is unique, so a value names its write.
type Op struct {
	Kind string // put, get, cas
	Key  string
	From string // cas: the value it replaces
	To   string // put, cas
}

// Out is what came back.
type Out struct {
	Unknown bool   // no answer: it may have happened, may happen later, or never
	Value   string // get
	Swapped bool   // cas
}

// History records operations for a linearizability check.
type History struct {
	Name string

	mu  sync.Mutex
	ops []porcupine.Operation
}

// record keeps an operation. A read without an answer says nothing; a write without one is open-ended.
func (h *History) record(client int, op Op, out Out, start, end time.Time) {
	if out.Unknown && op.Kind == "get" {
		return
	}
	ret := end.UnixNano()
	if out.Unknown {
		ret = math.MaxInt64
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: op, Call: start.UnixNano(), Output: out, Return: ret})
}

// Model is a register per key with put, get and compare-and-swap.
func Model() porcupine.Model {
	return porcupine.Model{
		Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
			byKey := map[string]int{}
			var out [][]porcupine.Operation
			for _, o := range ops {
				key := o.Input.(Op).Key
				i, ok := byKey[key]
				if !ok {
					i = len(out)
					byKey[key] = i
					out = append(out, nil)
				}
				out[i] = append(out[i], o)
			}
			return out
		},
		Init: func() any { return "" },
		Step: func(state, input, output any) (bool, any) {
			op, out, value := input.(Op), output.(Out), state.(string)
			switch op.Kind {
			case "put":
				return true, op.To
			case "get":
				return out.Value == value, value
			default:
				swaps := value == op.From
				if !out.Unknown && out.Swapped != swaps {
					return false, value
				}
				if swaps {
					return true, op.To
				}
				return true, value
			}
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
	}
}

// checkFor bounds the search: open-ended writes make it exponential.
const checkFor = 30 * time.Second

// Check searches for an order of the operations that explains every answer.
func (h *History) Check() (porcupine.CheckResult, int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return porcupine.CheckOperationsTimeout(Model(), h.ops, checkFor), len(h.ops)
}

// kv is what a recorded client talks to.
type kv interface {
	put(ctx context.Context, key, value string) error
	get(ctx context.Context, key string) (string, error)
	cas(ctx context.Context, key, from, to string) (bool, error)
}

const (
	trafficKeys  = 3
	trafficEvery = 100 * time.Millisecond
)

// drive is one client: random operations until the context ends. After a time-out it waits, so that open-ended writes stay few.
func drive(ctx context.Context, h *History, store kv, client int, rng *rand.Rand) {
	known := map[string]string{}
	tick := time.NewTicker(trafficEvery)
	defer tick.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		key := fmt.Sprintf("k%d", rng.IntN(trafficKeys))
		value := fmt.Sprintf("%d-%d", client, n)
		op := Op{Key: key, To: value, From: known[key], Kind: []string{"put", "get", "get", "cas"}[rng.IntN(4)]}
		out := operate(ctx, h, store, client, op)
		switch {
		case out.Unknown:
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		case op.Kind == "get":
			known[key] = out.Value
		case op.Kind == "put" || out.Swapped:
			known[key] = value
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func operate(ctx context.Context, h *History, store kv, client int, op Op) Out {
	ctx, cancel := context.WithTimeout(ctx, probeFor)
	defer cancel()
	start := time.Now()
	var out Out
	var err error
	switch op.Kind {
	case "put":
		err = store.put(ctx, op.Key, op.To)
	case "get":
		out.Value, err = store.get(ctx, op.Key)
	default:
		out.Swapped, err = store.cas(ctx, op.Key, op.From, op.To)
	}
	out.Unknown = err != nil
	h.record(client, op, out, start, time.Now())
	return out
}

// etcdKV goes straight to etcd.
type etcdKV struct{ c *clientv3.Client }

const trafficPrefix = "/drydock/traffic/"

func (s etcdKV) put(ctx context.Context, key, value string) error {
	_, err := s.c.Put(ctx, trafficPrefix+key, value)
	return err
}

func (s etcdKV) get(ctx context.Context, key string) (string, error) {
	resp, err := s.c.Get(ctx, trafficPrefix+key)
	if err != nil || len(resp.Kvs) == 0 {
		return "", err
	}
	return string(resp.Kvs[0].Value), nil
}

func (s etcdKV) cas(ctx context.Context, key, from, to string) (bool, error) {
	k := trafficPrefix + key
	cmp := clientv3.Compare(clientv3.Value(k), "=", from)
	if from == "" {
		cmp = clientv3.Compare(clientv3.CreateRevision(k), "=", 0)
	}
	resp, err := s.c.Txn(ctx).If(cmp).Then(clientv3.OpPut(k, to)).Commit()
	if err != nil {
		return false, err
	}
	return resp.Succeeded, nil
}

// apiKV goes through the API server, one ConfigMap a key; compare-and-swap is an update at a resource version.
type apiKV struct{ client kubernetes.Interface }

func (s apiKV) name(key string) string { return "drydock-traffic-" + key }

func (s apiKV) put(ctx context.Context, key, value string) error {
	patch := fmt.Sprintf(`{"data":{"v":%q}}`, value)
	_, err := s.client.CoreV1().ConfigMaps(metav1.NamespaceDefault).Patch(ctx, s.name(key), types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// get has no resource version: the API server then reads from etcd with a quorum.
func (s apiKV) get(ctx context.Context, key string) (string, error) {
	m, err := s.client.CoreV1().ConfigMaps(metav1.NamespaceDefault).Get(ctx, s.name(key), metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	return m.Data["v"], nil
}

func (s apiKV) cas(ctx context.Context, key, from, to string) (bool, error) {
	maps := s.client.CoreV1().ConfigMaps(metav1.NamespaceDefault)
	m, err := maps.Get(ctx, s.name(key), metav1.GetOptions{})
	if err != nil {
		return false, err
	}
	if m.Data["v"] != from {
		return false, nil
	}
	m.Data = map[string]string{"v": to}
	_, err = maps.Update(ctx, m, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) && !strings.Contains(err.Error(), "etcdserver") {
		return false, nil // somebody wrote between the read and the update: at that moment the value was another
	}
	return err == nil, err
}
