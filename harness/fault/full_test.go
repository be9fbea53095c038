package fault

import (
	"testing"
	"time"
)

func TestAMemberSaysThatItsDiskIsFull(t *testing.T) {
	since := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	const full = `{"level":"fatal","ts":"2026-01-02T03:04:05.678901Z","caller":"backend/batch_tx.go:297","msg":"failed to commit tx","error":"write /var/lib/etcd/member/snap/db: no space left on device"}`
	for name, c := range map[string]struct{ log, want string }{
		"it says so":       {"starting\n" + full + "\n", "failed to commit tx: write /var/lib/etcd/member/snap/db: no space left on device"},
		"behind a prefix":  {"2026-01-02T03:04:05 stderr F " + full, "failed to commit tx: write /var/lib/etcd/member/snap/db: no space left on device"},
		"in another zone":  {`{"ts":"2026-01-02T04:04:05.678901+0100","msg":"no space left on device"}`, "no space left on device"},
		"long ago":         {`{"ts":"2026-01-02T03:03:59.000000Z","msg":"no space left on device"}`, ""},
		"nothing":          {"", ""},
		"something else":   {`{"ts":"2026-01-02T03:04:05.678901Z","msg":"lost leader"}`, ""},
		"a client says so": {"no space left on device", ""},
		"no time":          {`{"msg":"no space left on device"}`, ""},
	} {
		if got := noRoom(c.log, since); got != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
