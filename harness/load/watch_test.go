package load

import (
	"context"
	"net"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

// member answers each stream it is asked for with the next of its lists of messages, and then ends it; the last one it leaves standing.
type member struct {
	etcdserverpb.UnimplementedWatchServer
	streams [][]*etcdserverpb.WatchResponse

	mu       sync.Mutex
	from     []int64 // the revision each stream was opened from
	progress int     // requests for it
}

func (m *member) Watch(s etcdserverpb.Watch_WatchServer) error {
	r, err := s.Recv()
	if err != nil {
		return err
	}
	m.mu.Lock()
	n := len(m.from)
	m.from = append(m.from, r.GetCreateRequest().StartRevision)
	m.mu.Unlock()
	if n >= len(m.streams) {
		n = len(m.streams) - 1
	}
	for _, a := range m.streams[n] {
		if err := s.Send(a); err != nil {
			return err
		}
	}
	for n == len(m.streams)-1 {
		r, err := s.Recv()
		if err != nil {
			return err
		}
		m.mu.Lock()
		if r.GetProgressRequest() != nil {
			m.progress++
		}
		m.mu.Unlock()
	}
	return nil
}

func (m *member) asked() (from []int64, progress int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.from), m.progress
}

// serve has a client of a member.
func serve(t *testing.T, m *member) *clientv3.Client {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	etcdserverpb.RegisterWatchServer(s, m)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	c, err := clientv3.NewFromURL("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func header(revision int64) *etcdserverpb.ResponseHeader {
	return &etcdserverpb.ResponseHeader{Revision: revision}
}

func created(revision int64) *etcdserverpb.WatchResponse {
	return &etcdserverpb.WatchResponse{Header: header(revision), Created: true}
}

func puts(revisions ...int64) *etcdserverpb.WatchResponse {
	out := &etcdserverpb.WatchResponse{Header: header(slices.Max(revisions))}
	for _, n := range revisions {
		out.Events = append(out.Events, &mvccpb.Event{Kv: &mvccpb.KeyValue{Key: []byte("/k"), Value: []byte("v"), ModRevision: n}})
	}
	return out
}

// TestAWatchIsTakenUpWhereItBroke: from the revision after the last event, whatever notices said; and what was compacted meanwhile is told.
func TestAWatchIsTakenUpWhereItBroke(t *testing.T) {
	m := &member{streams: [][]*etcdserverpb.WatchResponse{
		{created(6), puts(7, 8), {Header: header(12)}},
		{created(12), {Header: header(30), Canceled: true, CompactRevision: 20, CancelReason: "required revision has been compacted"}},
		{created(30), {Header: header(31), Events: []*mvccpb.Event{{Type: mvccpb.DELETE, Kv: &mvccpb.KeyValue{Key: []byte("/k"), ModRevision: 31}}}}},
	}}
	w := newWatcher(serve(t, m), "etcd-1", "/", 0, 10*time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	done := make(chan struct{})
	go func() { w.run(ctx); close(done) }()
	w.reached(ctx, 31)
	for _, progress := m.asked(); progress == 0 && ctx.Err() == nil; _, progress = m.asked() {
		<-time.After(time.Millisecond)
	}
	seen := w.seen()
	cancel()
	<-done
	if from, progress := m.asked(); !reflect.DeepEqual(from, []int64{0, 9, 20}) || progress == 0 {
		t.Errorf("opened from %v, %d requests for progress", from, progress)
	}
	var kinds []string
	for _, a := range seen.Answers {
		kinds = append(kinds, a.Kind)
	}
	want := []string{WatchOpened, WatchEvents, WatchProgress, WatchBroken, WatchOpened, WatchCompacted, WatchBroken, WatchOpened, WatchEvents}
	if !reflect.DeepEqual(kinds, want) || seen.From != 7 || !seen.Streamed {
		t.Fatalf("%v, from %d, streamed %t", kinds, seen.From, seen.Streamed)
	}
	events := slices.Concat(seen.Answers[1].Events, seen.Answers[8].Events)
	if sum := events[0].Sum; sum == 0 || !reflect.DeepEqual(events, []Event{{Revision: 7, Key: "/k", Sum: sum}, {Revision: 8, Key: "/k", Sum: sum}, {Revision: 31, Key: "/k", Deleted: true}}) {
		t.Errorf("%+v", events)
	}
	if a := seen.Answers[5]; a.Revision != 20 || a.Said == "" || seen.Answers[4].From != 9 {
		t.Errorf("%+v", seen.Answers)
	}
}

// TestAWatchWithoutAMemberHasNoStream: it is tried again and again, and what it was told last is kept.
func TestAWatchWithoutAMemberHasNoStream(t *testing.T) {
	c, err := clientv3.NewFromURL("http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	w := newWatcher(c, "etcd-1", "/", 5, 0)
	ctx, cancel := context.WithTimeout(t.Context(), 2*reopenAfter)
	defer cancel()
	w.run(ctx)
	if seen := w.seen(); seen.Streamed || len(seen.Answers) == 0 || w.broken() == "" {
		t.Errorf("%+v, %q", seen, w.broken())
	}
}

func TestWatchingValidates(t *testing.T) {
	for name, c := range map[string]struct {
		watch Watching
		wrong bool
	}{
		"from now on":         {Watching{}, false},
		"from a key":          {Watching{Key: "k", Below: "b/", Progress: time.Second}, false},
		"from two places":     {Watching{Key: "k", Ahead: 1}, true},
		"from a minus":        {Watching{Back: -1}, true},
		"asked for too often": {Watching{Progress: time.Millisecond}, true},
		"of a space":          {Watching{Below: " "}, true},
	} {
		if err := c.watch.validate(); (err != nil) != c.wrong {
			t.Errorf("%s: %v", name, err)
		}
	}
}
