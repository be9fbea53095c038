package experiment

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/plan"
)

// TestEvidenceThatIsNotWhatWasKept: a damaged file may still hold a whole document, and another run's evidence is whole and somebody else's.
func TestEvidenceThatIsNotWhatWasKept(t *testing.T) {
	other := func(label string) []byte {
		raw, err := os.ReadFile(filepath.Join(runOf(t, func(e *Evidence) { e.Label = label }), evidenceName(label)))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	for name, c := range map[string]struct {
		damage func(raw []byte) []byte
		says   string
	}{
		"a bit of the checksum": {func(raw []byte) []byte {
			raw = bytes.Clone(raw)
			raw[len(raw)-6] ^= 1
			return raw
		}, "checksum"},
		"the last bytes cut off": {func(raw []byte) []byte { return raw[:len(raw)-4] }, "unexpected EOF"},
		"another run's":          {func([]byte) []byte { return other("") }, "is not what the run has kept"},
		"of another cell":        {func([]byte) []byte { return other("members=3") }, `it is of cell "members=3"`},
	} {
		dir := runOf(t, func(e *Evidence) { e.Record.Unwhole = "nothing that is in the other" })
		file := filepath.Join(dir, evidenceName(""))
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, c.damage(raw), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Judge(dir)
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict == plan.Go || !strings.Contains(fmt.Sprint(r.Gaps), c.says) {
			t.Errorf("%s: %s, gaps %q", name, r.Verdict, r.Gaps)
		}
		moved := filepath.Join(t.TempDir(), "moved")
		if err := os.Rename(dir, moved); err != nil {
			t.Fatal(err)
		}
		if again, err := Judge(moved); err != nil || !slices.Equal(again.Reasons, r.Reasons) { // or its certificate would be none there
			t.Errorf("%s: %q, and moved away %q, %v", name, r.Reasons, again.Reasons, err)
		}
	}
}

// TestARunStaysInItsDirectory: whoever gives somebody a run to judge writes the names in it.
func TestARunStaysInItsDirectory(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "run")
	if err := os.MkdirAll(filepath.Join(dir, plan.EvidenceDir), 0o755); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(parent, "run.json.gz")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, evidenceName(""))); err != nil {
		t.Fatal(err)
	}
	if _, err := readEvidence(dir, ""); err == nil || !strings.Contains(err.Error(), "escapes") {
		t.Errorf("read through a link that leads out: %v", err)
	}
}
