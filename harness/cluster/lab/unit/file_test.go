package unit

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestLoadReadsDropInsAndEnvironmentFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	env := write("flags.env", "# a comment\nFLAGS=\"--a --b=1\"\n")
	write("x.service", "[Service]\nExecStart=/bin/x $FLAGS --name=${NAME}\nEnvironment=\"NAME=two words\"\nEnvironmentFile=-/does/not/exist\nRestart=always\nRestartSec=3\n")
	write("x.service.d/10.conf", "[Service]\nEnvironmentFile="+env+"\nTimeoutStopSec=1min\n")
	f, err := Load(dir, "x")
	if err != nil {
		t.Fatal(err)
	}
	if f.Restart != "always" || f.RestartAfter != 3*time.Second || f.StopTimeout != time.Minute {
		t.Fatalf("%+v", f)
	}
	want := []string{"/bin/x", "--a", "--b=1", "--name=two words"}
	if got := f.Argv(f.Environment); !slices.Equal(got, want) {
		t.Fatalf("argv %q, want %q", got, want)
	}
}

func TestLoadOfNothing(t *testing.T) {
	if _, err := Load(t.TempDir(), "x"); err == nil {
		t.Fatal("a unit without a file was loaded")
	}
}

func TestSplitKeepsQuotedWordsTogether(t *testing.T) {
	got, err := Split(`a "b c" d'e f'`)
	if err != nil || !slices.Equal(got, []string{"a", "b c", "de f"}) {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := Split(`a "b`); err == nil {
		t.Fatal("an unbalanced quote was accepted")
	}
}
