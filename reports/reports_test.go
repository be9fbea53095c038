package reports

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/plan"
)

var update = flag.Bool("update", false, "rewrite the golden reports")

func result() *plan.Result {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := &plan.Result{
		Schema: plan.Schema, Scenario: "etcd-leader-crash", Provider: "lab", Seed: 1, Started: at, DurationSeconds: 60, Reasons: []string{},
		Cluster:   []plan.Cluster{{Topology: "3+0 v1.35.4 (stacked etcd, fast timing)", Versions: map[string]string{"etcd/control-plane-1": "v3.6.16"}}},
		Steps:     []plan.StepDone{{ID: "1", Name: "bring up", Status: "done", Started: at, DurationSeconds: 20}, {ID: "2", Name: "<b>", Status: "skipped", Error: "why"}},
		Receipts:  []plan.Receipt{{ID: "4", Fault: "etcdMemberCrash", Target: "leader", Machines: []string{"control-plane-1"}, State: plan.Confirmed, Evidence: []plan.Evidence{{Time: at, Observer: "lab network", Saw: "refused | dead"}}}},
		Checks:    []plan.Check{{Name: "etcdQuorum", When: "always", Verdict: plan.Pass, Message: "held"}, {Name: "hashesEqual", When: "finally", Verdict: plan.Unknown, Message: "not read"}, {Name: "leadersMove", When: "during 4", Verdict: plan.Skipped, Message: "nothing was there to move"}},
		Probes:    []plan.Probe{{Name: "etcd write", Samples: 10, Failures: 1, LongestGapSeconds: 1.25}},
		Host:      &plan.Host{Stalls: 2, LongestStallSeconds: 1.2, BlindSeconds: 3.4, MinAvailable: 3 << 30, Load: 15, CPU: 80, IO: 5, OOMKills: 1},
		NotTested: []plan.NotTested{{What: "page cache", Why: "processes end, the kernel does not"}},
	}
	r.Judge()
	return r
}

func TestGoldenReports(t *testing.T) {
	var md, junit bytes.Buffer
	if err := Markdown(&md, result()); err != nil {
		t.Fatal(err)
	}
	if err := JUnit(&junit, result()); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string][]byte{"report.md": md.Bytes(), "junit.xml": junit.Bytes()} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, got, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not the golden one (go test ./reports -update rewrites it):\n%s", name, got)
		}
	}
}

func TestJSONHasTheContractsFields(t *testing.T) {
	var b bytes.Buffer
	if err := JSON(&b, result()); err != nil {
		t.Fatal(err)
	}
	var top map[string]any
	if err := json.Unmarshal(b.Bytes(), &top); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"schema", "scenario", "provider", "seed", "verdict", "started", "durationSeconds", "cluster", "steps", "receipts", "checks", "probes", "tolerance", "notTested"} {
		if _, ok := top[f]; !ok {
			t.Errorf("report.json lacks %s", f)
		}
	}
	if top["verdict"] != "inconclusive" {
		t.Errorf("verdict %v", top["verdict"])
	}
}

func TestHTMLEscapes(t *testing.T) {
	var b bytes.Buffer
	if err := HTML(&b, result(), nil); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "<b>)") || !strings.Contains(b.String(), "etcdMemberCrash") {
		t.Fatal("the page is not what it should be")
	}
}

// TestReportsStayInTheirDirectory: a run that somebody gave us may hold links in the place of its reports.
func TestReportsStayInTheirDirectory(t *testing.T) {
	parent := t.TempDir()
	dir, mine := filepath.Join(parent, "run"), filepath.Join(parent, "mine")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mine, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(mine, filepath.Join(dir, "report.html")); err != nil {
		t.Fatal(err)
	}
	err := Write(dir, result(), nil)
	if raw, _ := os.ReadFile(mine); string(raw) != "mine" || err == nil {
		t.Errorf("%d bytes written through a link: %v", len(raw), err)
	}
	r := result() // whose cells' labels somebody has written
	r.Pictures = []plan.Picture{{File: "../mine", Page: []byte("a picture")}}
	err = Write(dir, r, nil)
	if raw, _ := os.ReadFile(mine); string(raw) != "mine" || err == nil {
		t.Errorf("%d bytes written beside the directory: %v", len(raw), err)
	}
}
