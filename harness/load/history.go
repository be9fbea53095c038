package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
)

// recorder keeps what the clients of one store did.
type recorder struct {
	name  string
	began time.Time

	mu      sync.Mutex
	ops     []Op
	waiting []*awaited
}

// awaited is who waits for a number of acknowledged writes.
type awaited struct {
	seen, want int
	came       chan Op // the last of them
}

func newRecorder(name string) *recorder { return &recorder{name: name, began: time.Now()} }

// now counts on from the beginning by the monotonic clock: a step of the host's clock must not put operations in another order.
func (r *recorder) now() int64 { return r.began.UnixNano() + time.Since(r.began).Nanoseconds() }

// add keeps an operation. A read without an answer says nothing.
func (r *recorder) add(op Op) {
	if op.Unknown && op.Kind == "get" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, op)
	if op.Unknown || op.Kind != "put" && !op.Swapped {
		return
	}
	for _, a := range r.waiting {
		if a.seen++; a.seen == a.want {
			a.came <- op
		}
	}
}

// acknowledged waits for that many more acknowledged writes, and gives the last of them, or how many there were.
func (r *recorder) acknowledged(ctx context.Context, n int) (Op, int, error) {
	a := &awaited{want: n, came: make(chan Op, 1)}
	r.mu.Lock()
	r.waiting = append(r.waiting, a)
	r.mu.Unlock()
	var op Op
	var err error
	select {
	case op = <-a.came:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = slices.DeleteFunc(r.waiting, func(other *awaited) bool { return other == a })
	return op, min(a.seen, n), err
}

func (r *recorder) history() History {
	r.mu.Lock()
	defer r.mu.Unlock()
	return History{Name: r.name, Ops: slices.Clone(r.ops)}
}

// kv is what a recorded client talks to.
type kv interface {
	put(ctx context.Context, key, value string) error
	get(ctx context.Context, key string) (string, error)
	// cas also says what it found when it did not swap.
	cas(ctx context.Context, key, from, to string) (found string, swapped bool, err error)
}

const (
	trafficKeys  = 3
	trafficEvery = 100 * time.Millisecond
)

// drive is one client: random operations until the context ends. After a time-out it waits: a store that is down is not to be hammered.
func drive(ctx context.Context, r *recorder, store kv, client int, rng *rand.Rand) {
	known := map[string]string{}
	tick := time.NewTicker(trafficEvery)
	defer tick.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		key := trafficKey(rng.IntN(trafficKeys))
		op := Op{Client: client, Key: key, Kind: []string{"put", "get", "get", "cas"}[rng.IntN(4)]}
		if op.Kind != "get" {
			op.To = fmt.Sprintf("%d-%d", client, n)
		}
		if op.Kind == "cas" {
			op.From = known[key]
		}
		op = operate(ctx, r, store, op)
		switch {
		case op.Unknown:
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		case op.Kind == "put" || op.Swapped:
			known[key] = op.To
		default:
			known[key] = op.Value
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// operate does one operation and records what came of it. A write that was clearly refused has not happened, so there is nothing to record; if
// its value is seen all the same, nobody has written it.
func operate(ctx context.Context, r *recorder, store kv, op Op) Op {
	ctx, cancel := context.WithTimeout(ctx, probeFor)
	defer cancel()
	op.Call = r.now()
	var err error
	switch op.Kind {
	case "put":
		err = store.put(ctx, op.Key, op.To)
	case "get":
		op.Value, err = store.get(ctx, op.Key)
	default:
		op.Value, op.Swapped, err = store.cas(ctx, op.Key, op.From, op.To)
	}
	if err != nil {
		op.Unknown, op.Swapped, op.Value = true, false, ""
	} else {
		op.Return = r.now()
	}
	if !refused(err) {
		r.add(op)
	}
	return op
}

// refused reports whether an API server's answer means that nothing was changed. A conflict may follow an attempt that was not answered and that
// the client has repeated, and a time-out may come after the write.
func refused(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return false
	}
	code := status.Status().Code
	return code >= 400 && code < 500 && !apierrors.IsConflict(err) && !apierrors.IsTimeout(err)
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

func (s etcdKV) cas(ctx context.Context, key, from, to string) (string, bool, error) {
	k := trafficPrefix + key
	cmp := clientv3.Compare(clientv3.Value(k), "=", from)
	if from == "" {
		cmp = clientv3.Compare(clientv3.CreateRevision(k), "=", 0)
	}
	resp, err := s.c.Txn(ctx).If(cmp).Then(clientv3.OpPut(k, to)).Else(clientv3.OpGet(k)).Commit()
	if err != nil || resp.Succeeded {
		return "", err == nil, err
	}
	if found := resp.Responses[0].GetResponseRange().Kvs; len(found) > 0 {
		return string(found[0].Value), false, nil
	}
	return "", false, nil
}

// apiKV goes through the API server, one ConfigMap a key; compare-and-swap is an update at a resource version.
type apiKV struct{ maps corev1.ConfigMapInterface }

func trafficKey(i int) string { return fmt.Sprintf("k%d", i) }

// trafficMap is the ConfigMap of a key.
func trafficMap(key string) string { return "traffic-" + key }

func (s apiKV) put(ctx context.Context, key, value string) error {
	patch := fmt.Sprintf(`{"data":{"v":%q}}`, value)
	_, err := s.maps.Patch(ctx, trafficMap(key), types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// gone reports whether the API server says that the object is not there; a path it does not serve is NotFound as well, and names no object.
func gone(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details != nil && details.Name != ""
}

// get has no resource version: the API server then reads from etcd with a quorum.
func (s apiKV) get(ctx context.Context, key string) (string, error) {
	m, err := s.maps.Get(ctx, trafficMap(key), metav1.GetOptions{})
	if gone(err) {
		return Absent, nil
	}
	if err != nil {
		return "", err
	}
	return m.Data["v"], nil
}

// cas gives a conflict back as an error, which is no answer: somebody wrote between the read and the update, and nobody knows what.
func (s apiKV) cas(ctx context.Context, key, from, to string) (string, bool, error) {
	m, err := s.maps.Get(ctx, trafficMap(key), metav1.GetOptions{})
	if gone(err) {
		return Absent, false, nil
	}
	if err != nil {
		return "", false, err
	}
	if m.Data["v"] != from {
		return m.Data["v"], false, nil
	}
	m.Data = map[string]string{"v": to}
	_, err = s.maps.Update(ctx, m, metav1.UpdateOptions{})
	return "", err == nil, err
}
