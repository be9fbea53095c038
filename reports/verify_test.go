package reports

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/reports/certificate"
)

// judged judges a directory as the tests' runs are judged: whatever its journal says is the scenario's name.
func judged(dir string) (*plan.Result, error) {
	raw, err := os.ReadFile(filepath.Join(dir, plan.JournalFile))
	if err != nil {
		return nil, err
	}
	r := seen()
	r.Scenario = string(raw)
	r.Fingerprints = []plan.Fingerprint{{Scenario: plan.Source{Name: "x", Sum: "12"}, Programs: map[string]string{"etcd v3.6.16 etcd": "ab"}}}
	r.Coverage = []plan.Coverage{{Fault: "etcdMemberCrash", Reached: []string{"a"}, Never: []string{"b", "c"}}}
	return r, nil
}

// run writes a run's directory with its reports and its certificate.
func run(t *testing.T, journal string, k ssh.Signer) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		plan.JournalFile: []byte(journal), "evidence/run.json.gz": bytes.Repeat([]byte{1, 2, 3, 4, 5}, 20_000), "logs/etcd-1/etcd.log": []byte("started\n"), "logs/empty": nil,
		"20260102-030405.678/journal.jsonl": []byte("an earlier run"),
	} {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("etcd-1/etcd.log", filepath.Join(dir, "logs", "link")); err != nil {
		t.Fatal(err)
	}
	r, err := judged(dir)
	if err := errors.Join(err, Write(dir, r, k)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// self is this program, whose sum is taken once.
func self(t *testing.T) plan.Program {
	t.Helper()
	p, err := plan.ThisProgram()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func verified(t *testing.T, dir string, by plan.Program, keys ...ssh.PublicKey) *certificate.Verified {
	t.Helper()
	v, err := certificate.Verify(dir, Names(), by, judged, keys)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// filesOf are those below a directory that belong to its run.
func filesOf(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && !strings.Contains(path, "20260102") {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestEveryByteCounts: of the evidence, of the reports, of the certificate and of its signature, flipped or cut off.
func TestEveryByteCounts(t *testing.T) {
	k, by := key(t), self(t)
	dir := run(t, "one", k)
	if v := verified(t, dir, by, k.PublicKey()); v.Outcome != plan.Pass || !v.Trusted || v.Verdict != plan.NoGo || len(v.Notes) != 1 {
		t.Fatalf("%+v", v)
	}
	files := filesOf(t, dir)
	if len(files) != 4+5+2 {
		t.Fatalf("%q", files)
	}
	most := 300 // places of a file
	if testing.Short() {
		most = 25
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		try := func(what string, at int, data []byte) {
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
			if v := verified(t, dir, by, k.PublicKey()); v.Outcome != plan.Fail {
				t.Errorf("%s, %s byte %d of %d: %s", filepath.Base(file), what, at, len(raw), v.Outcome)
			}
		}
		for at := 0; at < len(raw); at += len(raw)/most + 1 {
			for _, at := range []int{at, len(raw) - 1 - at} {
				changed := bytes.Clone(raw)
				changed[at] ^= 1
				try("another", at, changed)
			}
			try("cut off from", at, raw[:at])
		}
		try("one more than", len(raw), append(bytes.Clone(raw), '\n'))
		if err := os.WriteFile(file, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if v := verified(t, dir, by, k.PublicKey()); v.Outcome != plan.Pass {
		t.Fatalf("%+v", v)
	}
}

// TestEveryByteOfACertificateCounts where no signature is over it.
func TestEveryByteOfACertificateCounts(t *testing.T) {
	by, dir := self(t), run(t, "one", nil)
	file := filepath.Join(dir, certificate.Name)
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	every := 1
	if testing.Short() {
		every = 29
	}
	for at := 0; at < len(raw); at += every {
		changed := bytes.Clone(raw)
		changed[at] ^= 1
		if err := os.WriteFile(file, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		if v := verified(t, dir, by); v.Outcome != plan.Fail {
			t.Errorf("byte %d of %d, %q: %+v", at, len(raw), raw[max(0, at-20):min(len(raw), at+20)], v)
		}
	}
}

// TestEveryFileCounts: gone, added, in another's place, or of another run.
func TestEveryFileCounts(t *testing.T) {
	k, by := key(t), self(t)
	other := run(t, "two", k)
	swap := func(name string) func(dir string) error {
		return func(dir string) error { return os.Rename(filepath.Join(other, name), filepath.Join(dir, name)) }
	}
	for what, do := range map[string]func(dir string) error{
		"a file is gone":         func(dir string) error { return os.Remove(filepath.Join(dir, "logs", "empty")) },
		"a link is gone":         func(dir string) error { return os.Remove(filepath.Join(dir, "logs", "link")) },
		"the journal is gone":    func(dir string) error { return os.Remove(filepath.Join(dir, plan.JournalFile)) },
		"the page is gone":       func(dir string) error { return os.Remove(filepath.Join(dir, "report.html")) },
		"a file was added":       func(dir string) error { return os.WriteFile(filepath.Join(dir, "evidence", "more"), nil, 0o600) },
		"a lock's name below it": func(dir string) error { return os.WriteFile(filepath.Join(dir, ".locks"), nil, 0o600) },
		"a report in a place of evidence": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "logs", "report.json"), nil, 0o600)
		},
		"a link leads elsewhere": func(dir string) error {
			link := filepath.Join(dir, "logs", "link")
			return errors.Join(os.Remove(link), os.Symlink("etcd-1/etcd.loh", link))
		},
		"a file in a link's place": func(dir string) error {
			link := filepath.Join(dir, "logs", "link")
			return errors.Join(os.Remove(link), os.WriteFile(link, []byte("etcd-1/etcd.log"), 0o600))
		},
		"a link in a file's place": func(dir string) error {
			file := filepath.Join(dir, "logs", "etcd-1", "etcd.log")
			return errors.Join(os.Rename(file, filepath.Join(dir, "20260102-030405.678", "etcd.log")), os.Symlink("../../20260102-030405.678/etcd.log", file))
		},
		"a file has another's name": func(dir string) error {
			return os.Rename(filepath.Join(dir, "logs", "empty"), filepath.Join(dir, "logs", "void"))
		},
		"the other run's journal":     swap(plan.JournalFile),
		"the other run's page":        swap("report.html"),
		"the other run's certificate": swap(certificate.Name),
		"the other run's signature":   swap(certificate.SignatureName),
	} {
		dir := run(t, "one", k)
		if err := do(dir); err != nil {
			t.Fatal(err)
		}
		if v := verified(t, dir, by, k.PublicKey()); v.Outcome != plan.Fail || len(v.Changed) == 0 {
			t.Errorf("%s: %+v", what, v)
		}
	}
	dir := run(t, "one", k)
	if err := os.WriteFile(filepath.Join(dir, ".lock"), []byte("somebody judges it anew"), 0o600); err != nil {
		t.Fatal(err)
	}
	if v := verified(t, dir, by, k.PublicKey()); v.Outcome != plan.Pass {
		t.Errorf("%+v", v)
	}
	if err := os.Remove(filepath.Join(dir, certificate.Name)); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(dir, judged, nil); err == nil || !strings.Contains(err.Error(), "has no certificate") {
		t.Errorf("%v", err)
	}
}

// TestNobodyVouches: without a signature, or with that of somebody unknown, nothing is proven whatever else holds.
func TestNobodyVouches(t *testing.T) {
	k, by := key(t), self(t)
	for what, c := range map[string]struct {
		signed ssh.Signer
		keys   []ssh.PublicKey
		says   string
	}{
		"not signed":         {nil, []ssh.PublicKey{k.PublicKey()}, "it is not signed"},
		"nobody is trusted":  {k, nil, "nobody has said whose key that is"},
		"another is trusted": {k, []ssh.PublicKey{key(t).PublicKey()}, "none of the keys"},
	} {
		v := verified(t, run(t, "one", c.signed), by, c.keys...)
		if v.Outcome != plan.Unknown || len(v.Unproven) != 1 || !strings.Contains(v.Unproven[0], c.says) || v.Trusted {
			t.Errorf("%s: %+v", what, v)
		}
	}
	dir := run(t, "one", k)
	if err := os.Remove(filepath.Join(dir, certificate.SignatureName)); err != nil {
		t.Fatal(err)
	}
	if v := verified(t, dir, by, k.PublicKey()); v.Outcome != plan.Unknown {
		t.Errorf("its signature was taken away: %+v", v)
	}
}

// TestACertificateFollowsFromTheEvidence: one that says more, with a seal and even a signature of its own, is none.
func TestACertificateFollowsFromTheEvidence(t *testing.T) {
	k, by := key(t), self(t)
	forged := func(change func(c *certificate.Certificate)) string {
		dir := run(t, "one", k)
		file := filepath.Join(dir, certificate.Name)
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c, err := certificate.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		change(c)
		if c, err = c.Sealed(c.Reports); err != nil {
			t.Fatal(err)
		}
		if raw, err = c.Encode(); err != nil {
			t.Fatal(err)
		}
		sig, err := certificate.Sign(k, raw)
		if err := errors.Join(err, os.WriteFile(file, raw, 0o600), os.WriteFile(filepath.Join(dir, certificate.SignatureName), sig, 0o600)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	for what, change := range map[string]func(c *certificate.Certificate){
		"verdict":    func(c *certificate.Certificate) { c.Verdict, c.Reasons = plan.Go, []string{} },
		"notTested":  func(c *certificate.Certificate) { c.NotTested = c.NotTested[1:] },
		"receipts":   func(c *certificate.Certificate) { c.Receipts[0].State = plan.Mismatch },
		"tested":     func(c *certificate.Certificate) { c.Tested[0].Programs["etcd v3.6.16 etcd"] = "ac" },
		"invariants": func(c *certificate.Certificate) { c.Invariants[1].Verdict = plan.Pass },
	} {
		v := verified(t, forged(change), by, k.PublicKey())
		if v.Outcome != plan.Fail || !slices.Contains(v.Changed, certificate.Name+": "+what+" does not follow from the evidence") {
			t.Errorf("%s: %+v", what, v)
		}
		elsewhere := func(c *certificate.Certificate) {
			change(c)
			c.JudgedBy.Sum = "another build"
		}
		if v := verified(t, forged(elsewhere), by, k.PublicKey()); v.Outcome != plan.Unknown || !strings.Contains(strings.Join(v.Unproven, ""), what) {
			t.Errorf("%s by another build: %+v", what, v)
		}
	}
	another := func(c *certificate.Certificate) { c.JudgedBy.Sum = "another build" }
	if v := verified(t, forged(another), by, k.PublicKey()); v.Outcome != plan.Pass || len(v.Notes) != 2 {
		t.Errorf("another build that comes to the same: %+v", v)
	}
}

// TestACertificateSaysNoMoreThanTheRun: one of a run that was cut off is of an inconclusive run, and what nobody observed is not there.
func TestACertificateSaysNoMoreThanTheRun(t *testing.T) {
	r := &plan.Result{Schema: plan.Schema, Scenario: "x", Gaps: []string{"the run was cut off"}, Reasons: []string{}}
	r.Judge()
	c := certificate.Of(r, plan.Program{}, nil)
	if c.Verdict != plan.Inconclusive || c.Tolerance != nil || c.Host != nil || len(c.Invariants)+len(c.Receipts) > 0 || !strings.Contains(strings.Join(c.Reasons, ""), "cut off") {
		t.Errorf("%+v", c)
	}
}

// TestReportsGoAsideWithTheirRun: one that stayed would be told of the next.
func TestReportsGoAsideWithTheirRun(t *testing.T) {
	for _, name := range append(Names(), certificate.Name, certificate.SignatureName) {
		if !slices.Contains(plan.OwnFiles(), name) {
			t.Errorf("%s is not among the files of a run", name)
		}
	}
}
