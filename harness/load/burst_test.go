package load

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// store is an etcd that acknowledges so many puts, and then answers nobody.
type store struct {
	clientv3.KV
	answers  int64
	revision atomic.Int64
}

func (s *store) Put(ctx context.Context, _, _ string, _ ...clientv3.OpOption) (*clientv3.PutResponse, error) {
	if at := s.revision.Add(1); at <= s.answers {
		return &clientv3.PutResponse{Header: &etcdserverpb.ResponseHeader{Revision: at}}, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// asking is a script whose entries a store answers.
func asking(kv clientv3.KV) *script {
	s, c := newScript(nil), clientv3.NewCtxClient(context.Background())
	c.KV, s.clients[who{}] = kv, c
	return s
}

// TestABurstCountsWhatWasAcknowledged: a write that is out when its time is over is none of them.
func TestABurstCountsWhatWasAcknowledged(t *testing.T) {
	for want, c := range map[string]struct{ writes, answered int }{"10 writes acknowledged": {100, 10}, "0 writes acknowledged": {100, 0}, "100 writes acknowledged": {100, 100}} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			s := asking(&store{answers: int64(c.answered)})
			saw, err := (&Burst{Writes: c.writes}).send(ctx, s, who{})
			if !strings.HasPrefix(saw, want) || len(s.made) != c.answered || (err == nil) != (c.answered == c.writes) {
				t.Errorf("%d of %d: %s, %v; want %s", c.answered, c.writes, saw, err, want)
			}
		})
	}
}
