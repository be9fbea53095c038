package machineinit

import (
	"context"
	"sync"

	"drydock.dev/drydock/harness/cluster/lab/memory"
)

// exhauster takes the memory of a machine with a kernel of its own, which does itself what is done when there is none left.
type exhauster struct {
	mu   sync.Mutex
	stop context.CancelFunc // nil: nothing is taken
	done chan error
}

// fill returns when memory has begun to be taken.
func (e *exhauster) fill(context.Context, none) (any, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stop != nil {
		return nil, nil
	}
	ctx, stop := context.WithCancel(context.Background()) //nolint:forbidigo // it outlives the call
	e.stop, e.done = stop, make(chan error, 1)
	go func() { e.done <- memory.Exhaust(ctx) }()
	return nil, nil
}

// free returns when what was taken is given back.
func (e *exhauster) free(context.Context, none) (any, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stop == nil {
		return nil, nil
	}
	e.stop()
	e.stop = nil
	return nil, <-e.done
}
