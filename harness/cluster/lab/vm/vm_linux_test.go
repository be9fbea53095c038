package vm

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
)

func file(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestKitSaysHowToGetOne(t *testing.T) {
	dir := t.TempDir()
	var usage *cluster.UsageError
	if _, err := ReadKit(dir); !errors.As(err, &usage) || !strings.Contains(err.Error(), Fetch) {
		t.Errorf("error %v", err)
	}
	k := Kit{Kernel: "kernel", Modules: []string{"modules/a.ko"}, QEMU: "root/qemu", FSD: "/usr/bin/env", From: []string{"a 1"}}
	if err := k.Write(dir); err != nil {
		t.Fatal(err)
	}
	file(t, filepath.Join(dir, "kernel"), "")
	file(t, filepath.Join(dir, "root/qemu"), "")
	if _, err := ReadKit(dir); !errors.As(err, &usage) || !strings.Contains(err.Error(), "a.ko") || !strings.Contains(err.Error(), Fetch) {
		t.Errorf("error %v, want one that names what is missing", err)
	}
	file(t, filepath.Join(dir, "modules/a.ko"), "")
	got, err := ReadKit(dir)
	if err != nil || got.Kernel != filepath.Join(dir, "kernel") || got.FSD != "/usr/bin/env" || got.Loader != "" {
		t.Errorf("%+v, %v", got, err)
	}
	if why := Lacking(t.Context(), dir, "/proc/self/exe"); !strings.Contains(why, "root/qemu does not run here") {
		t.Errorf("%q", why)
	}
}

// entries reads a newc archive back.
func entries(t *testing.T, raw []byte) map[string]string {
	t.Helper()
	out, r := map[string]string{}, bytes.NewReader(raw)
	skip := func() { _, _ = r.Seek((r.Size()-int64(r.Len())+3)/4*4, io.SeekStart) }
	for {
		head := make([]byte, 110)
		if _, err := io.ReadFull(r, head); err != nil || string(head[:6]) != "070701" {
			t.Fatalf("header %q: %v", head, err)
		}
		number := func(field int) int {
			n, err := strconv.ParseUint(string(head[6+8*field:14+8*field]), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
		name, data := make([]byte, number(11)), make([]byte, number(6))
		_, _ = io.ReadFull(r, name)
		skip()
		_, _ = io.ReadFull(r, data)
		skip()
		if n := strings.TrimSuffix(string(name), "\x00"); n != "TRAILER!!!" {
			out[n] = strconv.FormatInt(int64(number(1)), 8) + " " + string(data)
			continue
		}
		return out
	}
}

func TestInitramfsHasWhatTheKernelBeginsWith(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	modules := []string{file(t, filepath.Join(dir, "virtio.ko"), "first"), file(t, filepath.Join(dir, "a.ko"), "second")}
	if err := writeInitramfs(out, file(t, filepath.Join(dir, "drydock"), "program"), modules, []byte(`{"name":"worker-1"}`)); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	got := entries(t, raw)
	for name, want := range map[string]string{
		"init": "100755 program", "modules": "40755 ", "modules/000-virtio.ko": "100644 first", "modules/001-a.ko": "100644 second", "machine.json": `100600 {"name":"worker-1"}`,
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	if len(got) != 5 {
		t.Errorf("%q", got)
	}
	if err := writeInitramfs(out, filepath.Join(dir, "none"), nil, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestConsoleNoticesPanicsAndBoots(t *testing.T) {
	var log bytes.Buffer
	panics := 0
	c := newConsole(&log, func() { panics++ })
	first := c.underway()
	said := "[    0.000000] Linux version 6.1\r\n[    1.0] drydock: machine: no network\r\n[    1.1] Kernel panic - not syncing: Attempted to kill init!\r\n[    1.2] Call Trace:\r\n"
	c.follow(strings.NewReader(said))
	if log.String() != said {
		t.Errorf("the log has %q", log.String())
	}
	if panics != 1 || !strings.HasSuffix(c.last(), "Attempted to kill init!") {
		t.Errorf("%d panics, and for an error there is %q", panics, c.last())
	}
	if first.Err() == nil {
		t.Error("what was underway goes on in a kernel that begins anew")
	}
	second := c.underway()
	c.expectPanics()
	c.follow(strings.NewReader("[ 9.0] " + cluster.SaysPanic + "\r\n"))
	if panics != 1 || second.Err() != nil {
		t.Error("the panic of a machine that serves is its own business, and its end is the next boot")
	}
	c.follow(strings.NewReader("[    0.000000] Linux version 6.1\r\n"))
	if second.Err() == nil {
		t.Error("the boot was not noticed")
	}
}
