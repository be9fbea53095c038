package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Wait says how long something may take and how often to look; the zero Every is 250 ms.
type Wait struct {
	For   time.Duration
	Every time.Duration
}

// Await is the only waiting loop: it looks until look returns no error, and gives up when the time is over or the context ends.
// The error names what was awaited and what was seen last.
func Await(ctx context.Context, what string, w Wait, look func(ctx context.Context) error) error {
	if w.Every == 0 {
		w.Every = 250 * time.Millisecond
	}
	begun := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, w.For, errTimeUp)
	defer cancel()
	tick := time.NewTicker(w.Every)
	defer tick.Stop()
	var last error
	for {
		err := look(ctx)
		if err == nil {
			return nil
		}
		// An error of our own time-out says less than the one before it. A connection's deadline may be over a moment before the context says so.
		if last == nil || ctx.Err() == nil && time.Since(begun) < w.For {
			if last == nil || last.Error() != err.Error() {
				saw(ctx, what, err)
			}
			last = err
		}
		select {
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), errTimeUp) {
				return fmt.Errorf("%s: not after %s; last seen: %w", what, time.Since(begun).Round(100*time.Millisecond), last)
			}
			return fmt.Errorf("%s: %w; last seen: %w", what, context.Cause(ctx), last)
		case <-tick.C:
		}
	}
}

// watcher is the key of what Watched keeps in a context.
type watcher struct{}

// Watched returns a context below which every Await tells what it waits for and what it saw last, whenever that is something else than before. Whoever
// carries out a step knows it only as one that takes long; why is known to the look. It may be called from several goroutines.
func Watched(ctx context.Context, tell func(what string, last error)) context.Context {
	return context.WithValue(ctx, watcher{}, tell)
}

func saw(ctx context.Context, what string, last error) {
	if tell, ok := ctx.Value(watcher{}).(func(what string, last error)); ok {
		tell(what, last)
	}
}

var errTimeUp = errors.New("time is up")
