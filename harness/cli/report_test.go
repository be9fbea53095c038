package cli

import (
	"bytes"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/reports/certificate"
)

// killed is the directory of a run that was killed while it wrote the last line of its journal.
func killed(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	j, err := plan.CreateJournal(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	look := observe.Observation{Time: time.Now(), Members: []etcd.Member{{Machine: "etcd-1", ID: 1, Leader: 1}}}
	err = errors.Join(j.Write("run", experiment.Opening{Scenario: "etcd-leader-crash", Provider: "lab", Seed: 3}),
		j.Write("step", plan.StepDone{ID: "1", Name: "bring up", Status: "done", Started: look.Time.Add(-time.Second), DurationSeconds: 1}),
		j.Sample("observation", look), j.Sample("observation", look), j.Close())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, plan.JournalFile)
	raw, err := os.ReadFile(file)
	if err := errors.Join(err, os.WriteFile(file, raw[:len(raw)-100], 0o600), os.WriteFile(filepath.Join(dir, ".lock"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// keys makes a pair of files.
func keys(t *testing.T) (private, public string) {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(priv, "")
	if err != nil {
		t.Fatal(err)
	}
	k, err := ssh.NewPublicKey(pub)
	private = filepath.Join(t.TempDir(), "key")
	public = private + ".pub"
	if err := errors.Join(err, os.WriteFile(private, pem.EncodeToMemory(block), 0o600), os.WriteFile(public, ssh.MarshalAuthorizedKey(k), 0o600)); err != nil {
		t.Fatal(err)
	}
	return private, public
}

// TestARunThatWasKilledHasItsReports: INCONCLUSIVE, with what was seen last, and a certificate that says so and can be verified.
func TestARunThatWasKilledHasItsReports(t *testing.T) {
	dir := killed(t)
	private, public := keys(t)
	if code, said := command(t, "report", dir, "--sign-key", private); code != exitInconclusive {
		t.Fatalf("%d: %s", code, said)
	}
	page, err := os.ReadFile(filepath.Join(dir, "report.html"))
	if err != nil || !bytes.Contains(page, []byte("INCONCLUSIVE")) || !bytes.Contains(page, []byte("last seen at")) || !bytes.Contains(page, []byte("1 of 1 members answered")) {
		t.Errorf("%d bytes, %v", len(page), err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, certificate.Name))
	if err != nil {
		t.Fatal(err)
	}
	c, err := certificate.Decode(raw)
	if err != nil || c.Verdict != plan.Inconclusive || !strings.Contains(strings.Join(c.Reasons, ""), "last seen at") || !strings.Contains(strings.Join(c.Reasons, ""), "line 4 of the journal is damaged") {
		t.Errorf("%+v, %v", c, err)
	}
	for _, try := range []struct {
		args []string
		code int
	}{{[]string{"--key", public}, exitGo}, {nil, exitInconclusive}, {[]string{"--key", private}, exitUsage}, {[]string{"--key", filepath.Join(dir, "none")}, exitUsage}} {
		if code, said := command(t, append([]string{"report", "verify", dir}, try.args...)...); code != try.code {
			t.Errorf("%q: %d: %s", try.args, code, said)
		}
	}
	if code, said := command(t, "report", "diff", dir, dir); code != exitInconclusive {
		t.Errorf("%d: %s", code, said)
	}
	if err := os.WriteFile(filepath.Join(dir, "report.html"), append(page, ' '), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, said := command(t, "report", "verify", dir, "--key", public); code != exitNoGo {
		t.Errorf("with another page: %d: %s", code, said)
	}
	if code, said := command(t, "report", "verify", t.TempDir()); code != exitUsage || !strings.Contains(said, "has no certificate") {
		t.Errorf("%d: %s", code, said)
	}
}

// TestAKeyThatWillNotDoStopsARunBeforeItBegins, and a report before it takes the old certificate away.
func TestAKeyThatWillNotDoStopsARunBeforeItBegins(t *testing.T) {
	dir := killed(t)
	if code, _ := command(t, "report", dir); code != exitInconclusive {
		t.Fatal(code)
	}
	for _, args := range [][]string{{"run", "etcd-leader-crash"}, {"report", dir}} {
		code, said := command(t, append(args, "--sign-key", filepath.Join(dir, "none"))...)
		if code != exitUsage || !strings.Contains(said, "--sign-key") {
			t.Errorf("%q: %d: %s", args, code, said)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, certificate.Name)); err != nil {
		t.Error(err)
	}
}
