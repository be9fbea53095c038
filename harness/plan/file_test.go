package plan

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWhatIsKeptMakesItsDirectoryAndStaysUntilThereIsAnother(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kept", "spec.json")
	if err := WriteFile(file, 1); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(file, func() {}); err == nil {
		t.Error("a function is written")
	}
	if raw, err := os.ReadFile(file); err != nil || string(raw) != "1\n" {
		t.Errorf("it holds %q: %v", raw, err)
	}
}
