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
	f, err := Load("x", dir)
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

// TestDropInsOfTheBoot: what is in the second directory counts, in the order of names; of two of one name the first directory's does.
func TestDropInsOfTheBoot(t *testing.T) {
	etc, run := t.TempDir(), t.TempDir()
	held := filepath.Join(run, "held")
	for path, text := range map[string]string{
		filepath.Join(etc, "x.service"):             "[Service]\nExecStart=/bin/x\nRestart=always\n",
		filepath.Join(etc, "x.service.d", "b.conf"): "[Service]\nRestart=on-failure\n",
		filepath.Join(run, "x.service.d", "b.conf"): "[Service]\nRestart=no\n",
		filepath.Join(run, "x.service.d", "c.conf"): "[Unit]\nConditionPathExists=!" + held + "\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := Load("x", etc, run)
	if err != nil || f.Restart != "on-failure" {
		t.Fatalf("%+v, %v", f, err)
	}
	if why := f.Unmet(); why != "" {
		t.Errorf("nothing is held, and it is not started: %s", why)
	}
	if err := os.WriteFile(held, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if f.Unmet() != "ConditionPathExists=!"+held {
		t.Errorf("it is held: %q", f.Unmet())
	}
	f.Conditions = []string{held + "-not"}
	if f.Unmet() == "" {
		t.Error("what must be there is not")
	}
}

func TestLoadOfNothing(t *testing.T) {
	if _, err := Load("x", t.TempDir()); err == nil {
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
