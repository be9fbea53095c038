package etcd

import (
	"context"
	"fmt"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"drydock.dev/drydock/harness/cluster"
)

func TestFailureOf(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want cluster.Failure
	}{
		"none":       {nil, ""},
		"deadline":   {context.DeadlineExceeded, cluster.Deadline},
		"gRPC's":     {status.Error(codes.DeadlineExceeded, "context deadline exceeded"), cluster.Deadline},
		"refused":    {status.Error(codes.Unavailable, `last connection error: connection error: desc = "transport: Error while dialing: dial tcp 10.0.0.2:2379: connect: connection refused"`), cluster.Refused},
		"cut":        {status.Error(codes.Unavailable, "error reading from server: EOF"), cluster.Reset},
		"no quorum":  {rpctypes.ErrNoLeader, cluster.Answered},
		"no space":   {fmt.Errorf("put: %w", rpctypes.ErrNoSpace), cluster.Answered},
		"no gRPC at": {fmt.Errorf("etcd: %w", context.DeadlineExceeded), cluster.Deadline},
	} {
		if got := FailureOf(c.err); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
