package health

import (
	"strings"
	"testing"

	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/plan"
)

func TestLinearizable(t *testing.T) {
	write := load.Op{Kind: "put", Key: "k", To: "a", Call: 1, Return: 2}
	read := func(value string) load.Op { return load.Op{Kind: "get", Key: "k", Value: value, Call: 3, Return: 4} }
	unanswered := load.Op{Kind: "put", Key: "k", To: "b", Call: 1, Unknown: true}
	for name, c := range map[string]struct {
		histories []load.History
		want      plan.Verdict
		says      string
	}{
		"explained":              {[]load.History{{Name: "etcd", Ops: []load.Op{write, read("a")}}}, plan.Pass, "etcd: 2 operations"},
		"the object was deleted": {[]load.History{{Name: "API server", Ops: []load.Op{write, read(load.Absent)}}}, plan.Fail, "API server: no order"},
		"one of two":             {[]load.History{{Name: "etcd", Ops: []load.Op{write, read("")}}, {Name: "API server", Ops: []load.Op{write}}}, plan.Fail, "etcd: no order"},
		"nothing was answered":   {[]load.History{{Name: "etcd", Ops: []load.Op{unanswered}}}, plan.Unknown, "no operation was answered"},
		"nothing was recorded":   {nil, plan.Unknown, "no history"},
		"one recorded nothing":   {[]load.History{{Name: "etcd", Ops: []load.Op{write}}, {Name: "API server"}}, plan.Unknown, "API server"},
	} {
		r := three()
		r.Histories = c.histories
		if got := judge(t, "linearizable", r, nil, Params{}); got.Verdict != c.want || !strings.Contains(got.Message, c.says) {
			t.Errorf("%s: %s: %s", name, got.Verdict, got.Message)
		}
	}
}

func TestNoAcknowledgedWriteLost(t *testing.T) {
	etcd := load.Ledger{Name: load.LedgerEtcd, Acknowledged: []string{"/drydock/ledger/1", "/drydock/ledger/2"}, Found: []string{"/drydock/ledger/1", "/drydock/ledger/2", "/drydock/ledger/3"}}
	for name, c := range map[string]struct {
		api  load.Ledger
		want plan.Verdict
		says string
	}{
		"all there":                {load.Ledger{Name: load.LedgerAPI, Acknowledged: []string{"ledger-0/0"}, Found: []string{"ledger-0/0"}}, plan.Pass, "etcd: all 2 acknowledged writes are there"},
		"lost below the API":       {load.Ledger{Name: load.LedgerAPI, Acknowledged: []string{"ledger-0/0", "ledger-0/1"}, Found: []string{"ledger-0/0"}}, plan.Fail, "API server: 1 of 2 acknowledged writes are gone, ledger-0/1 among them"},
		"not read":                 {load.Ledger{Name: load.LedgerAPI, Acknowledged: []string{"ledger-0/0"}, Error: "no answer"}, plan.Unknown, "API server: no answer"},
		"nothing was acknowledged": {load.Ledger{Name: load.LedgerAPI}, plan.Unknown, "API server: no write was acknowledged"},
	} {
		r := three()
		r.Ledgers = []load.Ledger{etcd, c.api}
		if got := judge(t, "noAcknowledgedWriteLost", r, nil, Params{}); got.Verdict != c.want || !strings.Contains(got.Message, c.says) {
			t.Errorf("%s: %s: %s", name, got.Verdict, got.Message)
		}
	}
}
