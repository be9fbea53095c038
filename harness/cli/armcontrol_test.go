package cli

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/proxy"
	"drydock.dev/drydock/harness/azure/throttle"
)

// armTold is a twin whose clock stands still, and what a command about it prints.
func armTold(t *testing.T) (*azure.Twin, func(args ...string) (string, error)) {
	t.Helper()
	p, err := throttle.LoadPolicy("current")
	if err != nil {
		t.Fatal(err)
	}
	twin, err := azure.New(azure.Options{Clock: arm.NewVirtualClock(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)), Policy: p})
	if err != nil {
		t.Fatal(err)
	}
	ready := filepath.Join(t.TempDir(), "ready.json")
	s, err := twin.Serve(t.Context(), azure.Listen{Address: "127.0.0.1:0", ReadyFile: ready})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	t.Setenv(readyEnv, ready)
	return twin, func(args ...string) (string, error) {
		root := newRoot()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetArgs(append([]string{"arm"}, args...))
		err := root.ExecuteContext(t.Context())
		return out.String(), err
	}
}

func TestAFaultIsInjectedListedAndClearedWithWhatItStruck(t *testing.T) {
	twin, arm := armTold(t)
	said, err := arm("fault", "inject", "throttle", "operations=LIST Microsoft.Compute/*,GET Microsoft.Network/*", "retryAfter=61", "for=10m", "polls=false")
	if err != nil || !strings.HasPrefix(said, "fault ") {
		t.Fatalf("%q, %v", said, err)
	}
	all := twin.Faults()
	if f := all[0]; len(all) != 1 || f.RetryAfter != 61 || f.For != 10*time.Minute || len(f.Operations) != 2 || f.Operations[1] != "GET Microsoft.Network/*" {
		t.Errorf("%+v", all)
	}
	if listed, err := arm("fault", "list"); err != nil || !strings.Contains(listed, all[0].ID) || !strings.Contains(listed, "armed") {
		t.Errorf("%q, %v", listed, err)
	}
	said, err = arm("fault", "clear", all[0].ID)
	if code, ok := err.(codeError); !ok || code.code != exitNoGo || !strings.Contains(said, "nothing: not confirmed") { //nolint:errorlint // it is not wrapped
		t.Errorf("%q, %v", said, err)
	}
	if listed, err := arm("fault", "list", "--json"); err != nil || !strings.Contains(listed, `"ended"`) {
		t.Errorf("%q, %v", listed, err)
	}
	for _, bad := range [][]string{{"nosuch"}, {"throttle", "count=x"}, {"throttle", "colour=red"}, {"throttle", "kind=error"}, {"throttle", "operations"}, {"slow"}} {
		if told, err := arm(append([]string{"fault", "inject"}, bad...)...); err == nil {
			t.Errorf("%q: %s", bad, told)
		}
	}
	if _, err := arm("fault", "clear", "nosuch"); err == nil {
		t.Error("a fault that is not there was cleared")
	}
}

func TestTheClockIsShownAndAdvanced(t *testing.T) {
	_, arm := armTold(t)
	if said, err := arm("clock", "show"); err != nil || said != "2026-11-22T12:00:00Z\n" {
		t.Errorf("%q, %v", said, err)
	}
	if said, err := arm("clock", "advance", "90s", "--json"); err != nil || !strings.Contains(said, "12:01:30Z") {
		t.Errorf("%q, %v", said, err)
	}
	for _, bad := range []string{"-1s", "soon"} {
		if said, err := arm("clock", "advance", "--", bad); err == nil {
			t.Errorf("%s: %q", bad, said)
		}
	}
}

func TestStateGoesToAFileAndBack(t *testing.T) {
	twin, arm := armTold(t)
	group := "/subscriptions/" + azure.DefaultSubscription + "/resourceGroups/g"
	if err := twin.Load(azure.State{Resources: []json.RawMessage{json.RawMessage(`{"id":"` + group + `","name":"g","location":"x","properties":{}}`)}}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "s.json")
	if said, err := arm("state", "export", file); err != nil || said != "" {
		t.Fatalf("%q, %v", said, err)
	}
	other, arm := armTold(t)
	if said, err := arm("state", "import", file); err != nil || said != "1 resources\n" || len(other.State().Resources) != 1 {
		t.Errorf("%q, %v, %v", said, err, other.State())
	}
	if said, err := arm("state", "export"); err != nil || !strings.Contains(said, group) {
		t.Errorf("%q, %v", said, err)
	}
	if _, err := arm("state", "import", filepath.Join(t.TempDir(), "none.json")); err == nil {
		t.Error("a file that is not there was imported")
	}
}

func TestTopTellsWhatIsNotAnsweredAndWhoWantedIt(t *testing.T) {
	twin, arm := armTold(t)
	told, err := arm("top", "--once")
	if err != nil || strings.Contains(told, "NOT ANSWERED") {
		t.Errorf("before anything was asked: %q, %v", told, err)
	}
	for range 2 {
		w := httptest.NewRecorder()
		twin.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://management.example/subscriptions/s/providers/Microsoft.Cache/redis?api-version=2024-03-01", nil))
		if w.Code != http.StatusUnauthorized {
			t.Fatalf("without a token: %d %s", w.Code, w.Body)
		}
	}
	want := "GET /subscriptions/{}/providers/Microsoft.Cache/redis"
	if told, err = arm("top", "--once"); err != nil || !strings.Contains(told, "NOT ANSWERED") || !strings.Contains(told, want) || !strings.HasSuffix(strings.TrimSpace(told), "2") {
		t.Errorf("%q, %v", told, err)
	}
	told, err = arm("top", "--once", "--json")
	var said doings
	if err != nil || json.Unmarshal([]byte(told), &said) != nil || len(said.Unanswered) != 1 || said.Unanswered[0].Call != want || said.Unanswered[0].Count != 2 {
		t.Errorf("%q, %v", told, err)
	}
}

func TestWithoutAReadyFileItIsSaidWhatToDo(t *testing.T) {
	t.Setenv(readyEnv, "")
	for _, args := range [][]string{{"arm", "fault", "list"}, {"arm", "clock", "show"}, {"arm", "state", "export"}, {"arm", "calls"}, {"arm", "top"}, {"arm", "exec", "true"}} {
		if code, said := command(t, args...); code != exitUsage || !strings.Contains(said, "--ready-file") {
			t.Errorf("%v: %d, %q", args, code, said)
		}
	}
	if code, said := command(t, "arm", "fault", "nosuch"); code != exitUsage || !strings.Contains(said, "unknown command") {
		t.Errorf("%d, %q", code, said)
	}
}

// The options after the program are the program's, and a proxy has no twin that a program could find.
func TestExecLeavesTheProgramItsOptionsAndWantsATwin(t *testing.T) {
	twin, _ := armTold(t)
	s, err := twin.ServeProxy(t.Context(), proxy.Options{}, azure.Listen{Address: "127.0.0.1:0", ReadyFile: filepath.Join(t.TempDir(), "ready.json")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	ready, err := json.Marshal(s.Ready)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "proxy.json")
	if err := os.WriteFile(file, ready, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, said := command(t, "arm", "exec", "--ready-file", file, "no-such-program", "-g", "--name", "x"); code != exitUsage || !strings.Contains(said, "of a proxy") {
		t.Errorf("%d, %q", code, said)
	}
	if code, said := command(t, "arm", "exec", "no-such-program", "-g", "--name", "x"); code != exitUsage || !strings.Contains(said, "--ca-out") {
		t.Errorf("%d, %q", code, said)
	}
}
