package load

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Watching is watchers, one on each member or on the one that is asked, that go on to the end of the run. From where they watch is the next revision, or
// what one of Back, Ahead and Key says.
type Watching struct {
	Below    string        `yaml:"below"`    // the keys' own prefix; empty: all that a run writes to etcd
	Back     int64         `yaml:"back"`     // from so many revisions before the newest, as far as there are
	Ahead    int64         `yaml:"ahead"`    // from so many after it
	Key      string        `yaml:"key"`      // from the one at which this key was last written or deleted
	Progress time.Duration `yaml:"progress"` // how often notices of progress are asked for; 0: never
}

// leastProgress bounds how often a member is asked for notices: each is one more thing for it to do beside what is tested.
const leastProgress = 10 * time.Millisecond

func (w *Watching) validate() error {
	given := 0
	for _, set := range []bool{w.Back != 0, w.Ahead != 0, w.Key != ""} {
		if set {
			given++
		}
	}
	switch {
	case given > 1:
		return errors.New("watch: back, ahead and key each say from where; want one of them, or none: from now on")
	case w.Back < 0 || w.Ahead < 0:
		return fmt.Errorf("watch: back is %d, ahead %d; neither can be negative", w.Back, w.Ahead)
	case w.Progress != 0 && w.Progress < leastProgress:
		return fmt.Errorf("watch: progress is %s; it is %s at least", w.Progress, leastProgress)
	case w.Key != "":
		return checkKey("watch: key", w.Key)
	case w.Below != "":
		return checkKey("watch: below", w.Below)
	}
	return nil
}

// String is the watchers in a plan.
func (w *Watching) String() string {
	out := "watch " + w.prefix()
	switch {
	case w.Back > 0:
		out += fmt.Sprintf(" from %d revisions ago", w.Back)
	case w.Ahead > 0:
		out += fmt.Sprintf(" from %d revisions on", w.Ahead)
	case w.Key != "":
		out += " from the last write of " + w.Key
	}
	if w.Progress > 0 {
		out += fmt.Sprintf(", asking for progress every %s", w.Progress)
	}
	return out
}

func (w *Watching) prefix() string {
	if w.Below == "" {
		return etcdPrefix
	}
	return scriptPrefix + w.Below
}

func (w *Watching) send(ctx context.Context, s *script, by who) (string, error) {
	from, err := w.from(ctx, s)
	if err != nil {
		return "", err
	}
	var began []*watcher
	for _, machine := range s.machines(by) {
		c, err := s.client(ctx, who{machine: machine, user: by.user})
		if err != nil {
			return "", err
		}
		one := newWatcher(c, machine, w.prefix(), from, w.Progress)
		s.mu.Lock()
		s.watches = append(s.watches, one)
		s.mu.Unlock()
		s.goOn(ctx, one.run)
		began = append(began, one)
	}
	var saw []string
	for _, one := range began {
		select {
		case <-one.opened:
		case <-ctx.Done():
			return strings.Join(saw, "; "), fmt.Errorf("%s was not opened: %w: %s", one.seen(), context.Cause(ctx), one.broken())
		}
		saw = append(saw, one.seen().String())
	}
	return strings.Join(saw, "; "), nil
}

// from is the revision to watch from; 0: the next one.
func (w *Watching) from(ctx context.Context, s *script) (int64, error) {
	switch {
	case w.Key != "":
		at := s.writtenAt(scriptPrefix + w.Key)
		if at == 0 {
			return 0, fmt.Errorf("no write of %s was acknowledged: nobody knows its revision", w.Key)
		}
		return at, nil
	case w.Back == 0 && w.Ahead == 0:
		return 0, nil
	}
	c, err := s.client(ctx, who{})
	if err != nil {
		return 0, err
	}
	now, err := c.Get(ctx, scriptPrefix)
	if err != nil {
		return 0, fmt.Errorf("the revision to watch from: %w", err)
	}
	return max(1, now.Header.Revision-w.Back+w.Ahead), nil
}

func (s *script) changes() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.made)
}

// writtenAt is the revision of the last change of a key that was acknowledged; 0: there is none.
func (s *script) writtenAt(key string) int64 {
	var at int64
	for _, e := range s.changes() {
		if e.Key == key {
			at = max(at, e.Revision)
		}
	}
	return at
}

// What the end of all watches may take: to write what each is to be sent last, to be sent it on a cluster that is well, and to read what there is.
const (
	fenceWriteWithin = 5 * time.Second
	fenceWithin      = 10 * time.Second
)

const fenceKey = "fence"

// Watched ends all watches in order, each after it was given time to be sent one last write of its keys, and tells what they were sent and what they had to
// be; nil: nobody watched.
func (l *Load) Watched(ctx context.Context) *Watched {
	if l.script == nil {
		return nil
	}
	return l.script.endWatches(ctx)
}

func (s *script) endWatches(ctx context.Context) *Watched {
	s.mu.Lock()
	watchers := slices.Clone(s.watches)
	s.mu.Unlock()
	if len(watchers) == 0 {
		return nil
	}
	out := &Watched{}
	fences, err := s.fence(ctx, watchers)
	if err != nil {
		out.Error = err.Error()
	}
	within, cancel := context.WithTimeout(ctx, fenceWithin)
	defer cancel()
	for _, w := range watchers {
		at := fences[w.prefix]
		if at != 0 {
			w.reached(within, at)
		}
		seen := w.seen()
		seen.Fence = at
		out.Watches = append(out.Watches, seen)
	}
	out.Acknowledged = s.changes()
	for _, prefix := range slices.Sorted(maps.Keys(fences)) {
		out.Acknowledged = append(out.Acknowledged, Event{Revision: fences[prefix], Key: prefix + fenceKey})
	}
	if out.Error == "" {
		out.Left, err = s.left(ctx)
		if err != nil {
			out.Error = err.Error()
		}
	}
	return out
}

// fence writes one last key of each prefix that is watched, and tells at which revision.
func (s *script) fence(ctx context.Context, watchers []*watcher) (map[string]int64, error) {
	out := map[string]int64{}
	c, err := s.client(ctx, who{})
	if err != nil {
		return out, err
	}
	ctx, cancel := context.WithTimeout(ctx, fenceWriteWithin)
	defer cancel()
	for _, w := range watchers {
		prefix := w.prefix
		if out[prefix] != 0 {
			continue
		}
		r, err := c.Put(ctx, prefix+fenceKey, "")
		if err != nil {
			return out, fmt.Errorf("the last write below %s: %w", prefix, err)
		}
		out[prefix] = r.Header.Revision
	}
	return out, nil
}

// left reads the last write of each key there is.
func (s *script) left(ctx context.Context) ([]Event, error) {
	kvs, err := readEtcd(ctx, s.target.Etcd, etcdPrefix)
	if err != nil {
		return nil, fmt.Errorf("what watchers had to be sent: %w", err)
	}
	var out []Event
	for _, kv := range kvs {
		out = append(out, event(kv, false))
	}
	return out, nil
}
