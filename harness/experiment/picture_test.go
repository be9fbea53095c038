package experiment

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/plan"
)

func TestAnIllegalHistoryIsDrawn(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, evidenceDir), 0o755); err != nil {
		t.Fatal(err)
	}
	e := &Evidence{Record: health.Record{Histories: []load.History{
		{Name: "etcd", Ops: []load.Op{{Kind: "get", Key: "k", Call: 1, Return: 2}}},
		{Name: "API server", Ops: []load.Op{{Kind: "get", Key: "k", Value: load.Absent, Call: 1, Return: 2}}},
	}}}
	res := &plan.Result{Checks: []plan.Check{{Name: "linearizable", Verdict: plan.Fail, Message: "wrong"}}}
	e.draw(dir, res)
	if said := res.Checks[0].Message; said != "wrong; drawn in evidence/run-api-server.html" {
		t.Fatal(said)
	}
	page, err := os.ReadFile(filepath.Join(dir, "evidence", "run-api-server.html"))
	if err != nil || !bytes.Contains(page, []byte(strings.Trim(load.Absent, "()"))) {
		t.Fatalf("%d bytes, %v", len(page), err)
	}
	res.Checks[0] = plan.Check{Name: "linearizable", Verdict: plan.Pass, Message: "fine"}
	if e.draw(dir, res); res.Checks[0].Message != "fine" {
		t.Fatal(res.Checks[0].Message)
	}
}
