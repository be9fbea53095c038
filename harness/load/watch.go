package load

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Watch is what one watcher was sent by one member, in the order it came. Where its stream broke it was opened anew, from the revision after the last
// event it had, as a client of etcd does it.
type Watch struct {
	Member   string   `json:"member"` // the machine
	Prefix   string   `json:"prefix"` // of the keys
	From     int64    `json:"from"`   // the first revision it was promised; 0: it was never opened
	Answers  []Answer `json:"answers"`
	Fence    int64    `json:"fence,omitempty"` // the revision of a write of these keys that it was given time to be sent before it was ended; 0: none was made
	Streamed bool     `json:"streamed"`        // its stream stood when it was ended
}

// String names the watch in a verdict.
func (w Watch) String() string {
	return fmt.Sprintf("the watch on %s of %s from revision %d", w.Member, w.Prefix, w.From)
}

// Of reports whether the watch is of the key.
func (w Watch) Of(key string) bool { return strings.HasPrefix(key, w.Prefix) }

// Event is one change of one key.
type Event struct {
	Revision int64  `json:"revision"`
	Key      string `json:"key"`
	Deleted  bool   `json:"deleted,omitempty"`
	Sum      uint32 `json:"sum,omitempty"` // of the value
}

func (e Event) String() string {
	if e.Deleted {
		return fmt.Sprintf("the delete of %s at revision %d", e.Key, e.Revision)
	}
	return fmt.Sprintf("the put of %s at revision %d", e.Key, e.Revision)
}

// Kinds of answers to a watcher.
const (
	WatchOpened    = "opened"    // the watch stands
	WatchEvents    = "events"    // changes, whole revisions of them
	WatchProgress  = "progress"  // all up to the revision has been sent
	WatchCompacted = "compacted" // the revision that is asked for is gone; the watcher goes on from the first that is there
	WatchBroken    = "broken"    // the stream ended without being asked to
)

// Answer is one message to a watcher.
type Answer struct {
	At       time.Time `json:"at"`
	Kind     string    `json:"kind"`
	Revision int64     `json:"revision,omitempty"` // the member's, as the message says; compacted: the first there is
	From     int64     `json:"from,omitempty"`     // opened: the first revision that can come
	Events   []Event   `json:"events,omitempty"`
	Said     string    `json:"said,omitempty"` // compacted, broken: the words
}

// Watched is everything that says what watchers had to be sent, and what they were.
type Watched struct {
	Watches      []Watch `json:"watches"`
	Acknowledged []Event `json:"acknowledged,omitempty"` // writes of the scripted traffic
	Left         []Event `json:"left,omitempty"`         // the last write of each key that was there at the end
	Error        string  `json:"error,omitempty"`        // why that could not be read
}

// watcher keeps one watch. It speaks the protocol itself: the client's own watcher takes up a broken stream without a word, and merges what it is sent.
type watcher struct {
	client   *clientv3.Client
	prefix   string
	progress time.Duration // between two requests for a notice; 0: none is asked for
	opened   chan struct{} // closed when the watch stands for the first time
	open     sync.Once

	mu    sync.Mutex
	watch Watch
	came  chan struct{} // closed and made anew with each answer
}

func newWatcher(c *clientv3.Client, member, prefix string, from int64, progress time.Duration) *watcher {
	return &watcher{
		client: c, prefix: prefix, progress: progress, opened: make(chan struct{}), came: make(chan struct{}),
		watch: Watch{Member: member, Prefix: prefix, From: from},
	}
}

// reopenAfter is how long a watcher whose stream broke waits: a member that is away is not to be hammered.
const reopenAfter = 250 * time.Millisecond

// run watches until the context ends.
func (w *watcher) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := w.stream(ctx)
		if ctx.Err() != nil {
			return
		}
		w.keep(Answer{Kind: WatchBroken, Said: err.Error()})
		select {
		case <-ctx.Done():
		case <-time.After(reopenAfter):
		}
	}
}

// stream opens the watch where the last one ended and keeps what comes; the error says how it ended.
func (w *watcher) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := etcdserverpb.NewWatchClient(w.client.ActiveConnection()).Watch(ctx)
	if err != nil {
		return err
	}
	from := w.next()
	ask := &etcdserverpb.WatchCreateRequest{
		Key: []byte(w.prefix), RangeEnd: []byte(clientv3.GetPrefixRangeEnd(w.prefix)), StartRevision: from, ProgressNotify: true,
	}
	if err := s.Send(&etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CreateRequest{CreateRequest: ask}}); err != nil {
		return err
	}
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	if w.progress > 0 {
		asking.Go(func() { w.ask(ctx, s) })
	}
	for {
		m, err := s.Recv()
		if err != nil {
			return err
		}
		a := answer(m, from)
		if a.Kind != "" {
			w.keep(a)
		}
		if m.Canceled {
			return errors.New("the member ended the watch: " + a.Said)
		}
	}
}

// ask requests notices of progress as long as the stream stands. The first goes out with the watch itself, before anything of it can have been sent.
func (w *watcher) ask(ctx context.Context, s etcdserverpb.Watch_WatchClient) {
	tick := time.NewTicker(w.progress)
	defer tick.Stop()
	for ctx.Err() == nil {
		if s.Send(&etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_ProgressRequest{ProgressRequest: &etcdserverpb.WatchProgressRequest{}}}) != nil {
			return // Recv says why
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// answer reads a message of a stream that was opened from a revision; one that says nothing has no kind.
func answer(m *etcdserverpb.WatchResponse, from int64) Answer {
	a := Answer{Revision: m.Header.GetRevision()}
	switch {
	case m.Canceled && m.CompactRevision != 0:
		a.Kind, a.Revision, a.Said = WatchCompacted, m.CompactRevision, m.CancelReason
	case m.Canceled:
		a.Said = m.CancelReason
	case m.Created:
		a.Kind, a.From = WatchOpened, from
		if from == 0 { // from now on
			a.From = a.Revision + 1
		}
	case len(m.Events) == 0:
		a.Kind = WatchProgress
	default:
		a.Kind = WatchEvents
		for _, e := range m.Events {
			a.Events = append(a.Events, event(e.Kv, e.Type == mvccpb.DELETE))
		}
	}
	return a
}

func event(kv *mvccpb.KeyValue, deleted bool) Event {
	e := Event{Revision: kv.ModRevision, Key: string(kv.Key), Deleted: deleted}
	if !deleted {
		e.Sum = crc32.ChecksumIEEE(kv.Value)
	}
	return e
}

func (w *watcher) keep(a Answer) {
	a.At = time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watch.Answers = append(w.watch.Answers, a)
	w.watch.Streamed = a.Kind != WatchBroken && a.Kind != WatchCompacted
	if a.Kind == WatchOpened {
		if w.watch.From == 0 {
			w.watch.From = a.From
		}
		w.open.Do(func() { close(w.opened) })
	}
	close(w.came)
	w.came = make(chan struct{})
}

// next is the revision to open the watch from: the one after the last event; 0: from now on.
func (w *watcher) next() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	from := w.watch.From
	for _, a := range w.watch.Answers {
		if a.Kind == WatchCompacted {
			from = max(from, a.Revision)
		}
		for _, e := range a.Events {
			from = max(from, e.Revision+1)
		}
	}
	return from
}

// reached waits until the watcher was sent an event of the revision or a later one.
func (w *watcher) reached(ctx context.Context, revision int64) {
	for {
		w.mu.Lock()
		came := w.came
		there := slices.ContainsFunc(w.watch.Answers, func(a Answer) bool {
			return slices.ContainsFunc(a.Events, func(e Event) bool { return e.Revision >= revision })
		})
		w.mu.Unlock()
		if there {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-came:
		}
	}
}

// broken is what the last stream that broke ended with.
func (w *watcher) broken() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range slices.Backward(w.watch.Answers) {
		if a.Kind == WatchBroken {
			return a.Said
		}
	}
	return ""
}

func (w *watcher) seen() Watch {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.watch
	out.Answers = slices.Clone(out.Answers)
	return out
}
