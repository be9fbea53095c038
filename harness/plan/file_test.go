package plan

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAFailedWriteLeavesWhatWasThere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kept", "spec.json")
	if err := WriteFile(file, 1); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(file+".new", 0o755); err != nil { // what the new one would be written to
		t.Fatal(err)
	}
	for _, v := range []any{2, func() {}} {
		if err := WriteFile(file, v); err == nil {
			t.Errorf("%T is written", v)
		}
		if raw, err := os.ReadFile(file); err != nil || string(raw) != "1\n" {
			t.Errorf("it holds %q: %v", raw, err)
		}
	}
}
