package experiment

import (
	"bytes"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/plan"
)

func TestAnIllegalHistoryIsDrawn(t *testing.T) {
	e := &Evidence{Record: health.Record{Histories: []load.History{
		{Name: "etcd", Ops: []load.Op{{Kind: "get", Key: "k", Call: 1, Return: 2}}},
		{Name: "API server", Ops: []load.Op{{Kind: "get", Key: "k", Value: load.Absent, Call: 1, Return: 2}}},
	}}}
	res := &plan.Result{Checks: []plan.Check{{Name: "linearizable", Verdict: plan.Fail, Message: "wrong"}}}
	e.draw(res)
	if said := res.Checks[0].Message; said != "wrong; drawn in evidence/run-api-server.html" {
		t.Fatal(said)
	}
	if p := res.Pictures; len(p) != 1 || p[0].File != "evidence/run-api-server.html" || !bytes.Contains(p[0].Page, []byte(strings.Trim(load.Absent, "()"))) {
		t.Fatalf("%d pictures", len(p))
	}
	res.Checks[0] = plan.Check{Name: "linearizable", Verdict: plan.Pass, Message: "fine"}
	if e.draw(res); res.Checks[0].Message != "fine" {
		t.Fatal(res.Checks[0].Message)
	}
}
