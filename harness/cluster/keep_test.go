package cluster

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// here is this host as a machine.
type here struct{ Machine }

func (here) Name() string { return "here" }

func (here) Exec(ctx context.Context, c Command) (Result, error) {
	out, err := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...).Output()
	return Result{Stdout: string(out)}, err
}

func (here) WriteFile(_ context.Context, path string, data []byte, mode fs.FileMode) error {
	return os.WriteFile(path, data, mode)
}

// What is replaced comes back as it was, whatever was cut off on the way, and never takes the place of what is newer.
func TestReplacedFilesComeBack(t *testing.T) {
	for name, c := range map[string]struct {
		then func(t *testing.T, file string) // after it was replaced
		want string
	}{
		"as it was": {func(*testing.T, string) {}, "old"},
		"replaced twice": {func(t *testing.T, file string) {
			t.Helper()
			if err := ReplaceFile(t.Context(), here{}, file, []byte("third")); err != nil {
				t.Fatal(err)
			}
		}, "old"},
		"renewed by somebody": {func(t *testing.T, file string) { t.Helper(); write(t, file, "renewed") }, "renewed"},
		"gone":                {func(t *testing.T, file string) { t.Helper(); remove(t, file) }, "old"},
		"cut off before it was put": {func(t *testing.T, file string) {
			t.Helper()
			write(t, file, "old")
			_, put := besides(file)
			remove(t, put)
		}, "old"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "a file.crt")
			write(t, file, "old")
			if err := ReplaceFile(t.Context(), here{}, file, []byte("other")); err != nil {
				t.Fatal(err)
			}
			if raw, err := os.ReadFile(file); err != nil || string(raw) != "other" {
				t.Fatalf("%q, %v", raw, err)
			}
			c.then(t, file)
			for range 2 {
				if err := PutBackFile(t.Context(), here{}, file); err != nil {
					t.Fatal(err)
				}
				if raw, err := os.ReadFile(file); err != nil || string(raw) != c.want {
					t.Errorf("%q, %v; want %q", raw, err, c.want)
				}
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
				t.Errorf("left: %v, %v", left, err)
			}
		})
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, file string) {
	t.Helper()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
}
