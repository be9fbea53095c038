package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/azure/calibrate"
	"drydock.dev/drydock/harness/azure/throttle"
)

// calibrateTold runs the command, and gives what it prints and warns of.
func calibrateTold(t *testing.T, args ...string) (said, warned string, err error) {
	t.Helper()
	root := newRoot()
	var out, errs bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetArgs(append([]string{"arm", "calibrate"}, args...))
	err = root.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

func TestWhatIsMadeOfARecordingIsServedAndWarnsOfTokens(t *testing.T) {
	dir := t.TempDir()
	file, policy, timings := filepath.Join(dir, "r.jsonl"), filepath.Join(dir, "p.yaml"), filepath.Join(dir, "t.yaml")
	line := `{"time":"2026-01-01T00:00:00Z","seconds":0.1,"method":"GET","url":"https://management.azure.com/subscriptions/s/resourceGroups/g","request":{"Authorization":["Bearer verysecret"]},` +
		`"status":200,"response":{"X-Ms-Ratelimit-Remaining-Subscription-Reads":["249"],"X-Ms-Routing-Request-Id":["WESTEUROPE:x:y"]},"got":"{}"}` + "\n"
	if err := os.WriteFile(file, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	said, warned, err := calibrateTold(t, file, "--policy-out", policy, "--timings-out", timings)
	if err != nil || !strings.Contains(said, "250 or more") || !strings.Contains(said, "Not known:") || !strings.Contains(warned, "1 exchanges with a token") {
		t.Fatalf("%v\n%s%s", err, said, warned)
	}
	for _, bad := range [][]string{{"--policy-out", file}, {"--timings-out", file}, {"--policy-out", policy, "--timings-out", policy}} {
		if _, _, err := calibrateTold(t, append([]string{file}, bad...)...); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
	for _, written := range []string{policy, timings} {
		raw, err := os.ReadFile(written)
		if err != nil || strings.Contains(string(raw), "verysecret") {
			t.Errorf("%s: %v\n%s", written, err, raw)
		}
	}
	if p, err := throttle.LoadPolicy(policy); err != nil || !p.Gateway.Subscription.Reads.Unlimited {
		t.Errorf("%v, %+v", err, p)
	}
	said, _, err = calibrateTold(t, file, "--json")
	var r calibrate.Result
	if err != nil || json.Unmarshal([]byte(said), &r) != nil || r.Calls != 1 || r.Bare != 1 || r.Budgets[0].Most != 250 || r.Budgets[0].Of.Region != "westeurope" {
		t.Errorf("%v\n%s", err, said)
	}
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(line, "/subscriptions/s", "/tenant")), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := calibrateTold(t, file); err == nil || !strings.Contains(err.Error(), "none of them is a call of the Resource Manager") {
		t.Errorf("%v", err)
	}
}
