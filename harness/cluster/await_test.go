package cluster

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// A look that our own time-out has cut short says nothing of what was awaited, also where its deadline came before the context's.
func TestWhatWasSeenLastIsNotOurOwnTimeOut(t *testing.T) {
	looks := 0
	err := Await(context.Background(), "it", Wait{For: 40 * time.Millisecond, Every: 10 * time.Millisecond}, func(ctx context.Context) error {
		if looks++; looks < 3 {
			return errors.New("it is not there")
		}
		deadline, _ := ctx.Deadline()
		for time.Now().Before(deadline) { // busy, so as to be first when it is over
		}
		return errors.New("i/o timeout")
	})
	if err == nil || !strings.Contains(err.Error(), "it is not there") {
		t.Error(err)
	}
}
