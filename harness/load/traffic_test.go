package load

import (
	"errors"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

// TestTrafficRefused: what cannot be sent is refused before a cluster is made, in words that name it.
func TestTrafficRefused(t *testing.T) {
	put := []TxnOp{{Put: "a"}}
	for want, entry := range map[string]Traffic{
		"want one of burst, txn, compact":    {},
		"there are 2":                        {Burst: &Burst{Writes: 1}, Txn: &Txn{Then: put}},
		"within is -1s":                      {Burst: &Burst{Writes: 1}, Within: -time.Second},
		"writes is 0":                        {Burst: &Burst{}},
		"keys is -1":                         {Burst: &Burst{Writes: 1, Keys: -1}},
		"size is 2Mi":                        {Burst: &Burst{Writes: 1, Size: 2 << 20}},
		`below is "a b"`:                     {Burst: &Burst{Writes: 1, Below: "a b"}},
		"then is empty":                      {Txn: &Txn{}},
		"want one of put, get and delete":    {Txn: &Txn{Then: []TxnOp{{Put: "a", Get: "b"}}}},
		"value belongs to put":               {Txn: &Txn{Then: []TxnOp{{Get: "a", Value: "b"}}}},
		"revision belongs to get":            {Txn: &Txn{Then: []TxnOp{{Put: "a", Revision: 1}}}},
		"129 conditions":                     {Txn: &Txn{Then: put, If: []Condition{{Exist: "a", Times: 129}}}},
		"want one of enable and disable":     {Auth: &Auth{}},
		"enable is root":                     {Auth: &Auth{Enable: "root"}},
		"count is 0":                         {Leases: &Leases{TTL: 5 * time.Second}},
		"ttl is 1.5s":                        {Leases: &Leases{Count: 1, TTL: 1500 * time.Millisecond}},
		"keep is -1":                         {Compact: &Compact{Keep: -1}},
		"it is of one member":                {Defragment: &Defragment{}},
		"alarms: times is -1":                {Alarms: &Alarms{Times: -1}},
		`exist is ""`:                        {Txn: &Txn{Then: put, If: []Condition{{Times: 2}}}},
		"times is -1; it cannot be negative": {Txn: &Txn{Then: put, If: []Condition{{Exist: "a", Times: -1}}}},
	} {
		if err := entry.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v; want it to say %q", entry, err, want)
		}
	}
	good := Traffic{Txn: &Txn{Then: []TxnOp{{Put: "a"}, {Get: "b", Revision: 2}}}, Through: "etcd-2"}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	three := cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: 3}
	if err := good.Fits(three); err != nil {
		t.Error(err)
	}
	good.Through = "etcd-4"
	var usage *cluster.UsageError
	if err := good.Fits(three); !errors.As(err, &usage) || !strings.Contains(err.Error(), `"etcd-4"; there are etcd-1, etcd-2, etcd-3`) {
		t.Errorf("a machine that is not there: %v", err)
	}
}

// TestTrafficExpected: an entry that is to fail must, and with the words it is to say.
func TestTrafficExpected(t *testing.T) {
	compacted := errors.New("etcdserver: mvcc: required revision has been compacted")
	for _, c := range []struct {
		says string
		err  error
		fine bool
	}{
		{"", nil, true}, {"", compacted, false}, {"has been compacted", compacted, true}, {"has been compacted", nil, false}, {"no leader", compacted, false},
	} {
		entry := Traffic{Burst: &Burst{Writes: 1}, Says: c.says}
		if err := entry.expected(c.err); (err == nil) != c.fine {
			t.Errorf("it is to say %q and ended with %v: %v", c.says, c.err, err)
		}
	}
}
