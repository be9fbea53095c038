package oracle_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/azure/oracle"
)

var update = flag.Bool("update", false, "write docs/arm.md anew")

func hold(t *testing.T) []oracle.Held {
	t.Helper()
	held, err := oracle.Twin()
	if err != nil {
		t.Fatal(err)
	}
	if len(held) < 1000 {
		t.Fatalf("the table has %d operations: it was not read whole", len(held))
	}
	return held
}

func TestWhatIsAnsweredIsWhatTheSDKTakes(t *testing.T) {
	for _, h := range hold(t) {
		for _, wrong := range h.Wrong() {
			t.Error(wrong)
		}
	}
}

// beyond are types and actions of the twin that no operation of the table reaches, and why they are there all the same.
func beyond() map[string]string {
	out := map[string]string{"resourceGroups/moveresources": "what a group does at the end of a move, which has a path of its own"}
	for _, record := range []string{"AAAA", "CNAME", "MX", "PTR", "SOA", "SRV", "TXT"} {
		out["Microsoft.Network/privateDnsZones/"+record] = "the SDK's path says {recordType}, and the call of the table A"
	}
	return out
}

func TestEveryTypeAndActionIsOneOfTheSDKs(t *testing.T) {
	known := beyond()
	found := oracle.Beyond(oracle.Types(), hold(t))
	for _, name := range found {
		if known[name] == "" {
			t.Errorf("%s: no operation of the SDK reaches it", name)
		}
		delete(known, name)
	}
	for name := range known {
		t.Errorf("%s is said to be beyond the SDK, and is not", name)
	}
}

func TestNothingIsWrittenInAWayTheSDKDoesNotKnow(t *testing.T) {
	e, err := oracle.Engine()
	if err != nil {
		t.Fatal(err)
	}
	for _, way := range oracle.Unheard(e, oracle.Types(), hold(t)) {
		if _, typ, _ := strings.Cut(way, " "); beyond()[typ] != "" {
			continue
		}
		t.Errorf("%s: the SDK knows no such operation: say No in the type's row", way)
	}
}

func TestWhatIsAnsweredIsDocumented(t *testing.T) {
	file := filepath.Join("..", "..", "..", "docs", "arm.md")
	want := oracle.Document(hold(t))
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil { //nolint:gosec // a document
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != want {
		t.Errorf("docs/arm.md is not what the code says (%v): go test ./harness/azure/oracle -update", err)
	}
}
