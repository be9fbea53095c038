package load

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// failing is an etcd whose transactions all end with an error.
type failing struct {
	clientv3.KV
	err error
}

func (f failing) Txn(context.Context) clientv3.Txn { return ending{err: f.err} }

type ending struct {
	clientv3.Txn
	err error
}

func (f ending) If(...clientv3.Cmp) clientv3.Txn        { return f }
func (f ending) Then(...clientv3.Op) clientv3.Txn       { return f }
func (f ending) Commit() (*clientv3.TxnResponse, error) { return nil, f.err }

// TestARefusedDeleteForgetsNothing: what etcd refuses it has not done, and a put from before that is gone is lost. Of one that may have been deleted nothing can
// be said, and that is.
func TestARefusedDeleteForgetsNothing(t *testing.T) {
	const key = scriptPrefix + "a"
	put := Event{Revision: 5, Key: key}
	for name, c := range map[string]struct {
		err     error
		refused bool
	}{
		"compacted":                {rpctypes.ErrCompacted, true},
		"a revision to come":       {rpctypes.ErrFutureRev, true},
		"a key twice":              {rpctypes.ErrDuplicateKey, true},
		"another's key":            {rpctypes.ErrPermissionDenied, true},
		"timed out":                {rpctypes.ErrTimeout, false},
		"the leader was lost":      {rpctypes.ErrLeaderChanged, false},
		"full, perhaps since":      {rpctypes.ErrNoSpace, false},
		"the connection broke":     {status.Error(codes.Unavailable, "error reading from server: EOF"), false},
		"another program's answer": {status.Error(codes.InvalidArgument, "who are you"), false},
		"the time was over":        {context.DeadlineExceeded, false},
		"it was ended":             {context.Canceled, false},
	} {
		s := asking(failing{err: c.err})
		s.changed(put)
		_, err := (&Txn{Then: []TxnOp{{Delete: "a"}, {Get: "b", Revision: 1}}}).send(t.Context(), s, who{})
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
		l := booked(s.acked, s.unsure, nil, nil)
		if judged := slices.Equal(l.Acknowledged, []string{put.String()}) && l.Error == ""; judged != c.refused || len(l.Found) > 0 {
			t.Errorf("%s: %+v; refused: %t", name, l, c.refused)
		}
		if !c.refused && !strings.Contains(l.Error, "1 acknowledged writes are gone, each of which a delete without an answer may have taken") {
			t.Errorf("%s: a ledger of which nothing can be said says %q", name, l.Error)
		}
	}
}
