package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"
)

func TestFailureOf(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want Failure
	}{
		"none":            {nil, ""},
		"refused":         {fmt.Errorf("probe: %w", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}), Refused},
		"reset":           {&net.OpError{Op: "read", Err: syscall.ECONNRESET}, Reset},
		"the end":         {fmt.Errorf("probe: %w", io.EOF), Reset},
		"deadline":        {fmt.Errorf("probe: %w", context.DeadlineExceeded), Deadline},
		"a dial too long": {&net.OpError{Op: "dial", Err: syscall.ETIMEDOUT}, Deadline},
		"something else":  {errors.New("x"), Other},
	} {
		if got := FailureOf(c.err); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestFailureOfClients: what net/http makes of a server that is gone, slow, or hangs up.
func TestFailureOfClients(t *testing.T) {
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer slow.Close()
	hangsUp := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer hangsUp.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for want, url := range map[Failure]string{Deadline: slow.URL, Reset: hangsUp.URL, Refused: gone.URL} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		cancel()
		if got := FailureOf(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}
