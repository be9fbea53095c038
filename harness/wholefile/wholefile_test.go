package wholefile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// TestAFailedWriteLeavesWhatWasThere, and nothing beside it.
func TestAFailedWriteLeavesWhatWasThere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "spec.json")
	if err := WriteJSON(path, 0o600, 1); err != nil {
		t.Fatal(err)
	}
	full := errors.New("no space left")
	for name, write := range map[string]func() error{
		"what is no JSON": func() error { return WriteJSON(path, 0o600, func() {}) },
		"a full disk": func() error {
			return Write(path, 0o600, func(w io.Writer) error {
				_, err := w.Write([]byte("2"))
				return errors.Join(err, full)
			})
		},
	} {
		if err := write(); err == nil {
			t.Errorf("%s: nothing was said", name)
		}
		raw, err := os.ReadFile(path)
		entries, _ := os.ReadDir(dir)
		if err != nil || string(raw) != "1\n" || len(entries) != 1 {
			t.Errorf("%s: it holds %q: %v; there is %v", name, raw, err, entries)
		}
	}
	if err := Write(path, 0o600, func(io.Writer) error { return full }); !errors.Is(err, full) {
		t.Errorf("what was wrong is not said: %v", err)
	}
}

// TestItHasItsModeWhenItIsThere: neither the umask nor what was there before says otherwise.
func TestItHasItsModeWhenItIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	for _, mode := range []os.FileMode{0o755, 0o600, 0o666} {
		if err := WriteBytes(path, mode, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(path); err != nil || st.Mode() != mode {
			t.Errorf("%v, %v, want %v", st.Mode(), err, mode)
		}
	}
}

func TestSum(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := WriteBytes(path, 0o600, []byte("abc")); err != nil {
		t.Fatal(err)
	}
	sum, err := Sum(path)
	if want := "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; err != nil || sum != want {
		t.Errorf("%s, %v", sum, err)
	}
	if _, err := Sum(path + ".none"); err == nil {
		t.Error("a file that is not there has a sum")
	}
}
