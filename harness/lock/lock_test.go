package lock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestOneHasItAndTheOtherIsToldWho(t *testing.T) {
	path := filepath.Join(t.TempDir(), "below", "lock")
	l, err := Try(path)
	if err != nil {
		t.Fatal(err)
	}
	var held *HeldError
	if _, err := Try(path); !errors.As(err, &held) || !strings.Contains(err.Error(), "process ") || !strings.Contains(err.Error(), "lock.test") {
		t.Fatalf("error %v", err)
	}
	if _, err := Share(path); !errors.As(err, &held) {
		t.Fatalf("shared while somebody has it alone: %v", err)
	}
	if err := errors.Join(l.Release(), l.Release()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Fatal("a file is left")
	}
	a, err := Share(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Share(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Try(path); !errors.As(err, &held) {
		t.Fatalf("alone while others share it: %v", err)
	}
	if err := errors.Join(a.Keep(), b.Keep()); err != nil {
		t.Fatal(err)
	}
	if _, err := Try(path); err != nil {
		t.Fatal(err)
	}
}

// TestNobodyHoldsAFileThatIsGone: a lock on a removed file would keep nobody out.
func TestNobodyHoldsAFileThatIsGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var inside, most atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				l, err := Wait(t.Context(), path, func(p string) (*Lock, error) {
					for {
						l, err := Try(p)
						var held *HeldError
						if !errors.As(err, &held) {
							return l, err
						}
					}
				}, func(string) {})
				if err != nil {
					t.Error(err)
					return
				}
				most.Store(max(most.Load(), inside.Add(1)))
				inside.Add(-1)
				if err := l.Release(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if most.Load() != 1 {
		t.Fatalf("%d had it at once", most.Load())
	}
}

func TestAProcessThatEndsLetsGo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "exec 9<>"+path+"; flock 9; echo; read x")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	told := 0
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := Wait(ctx, path, Try, func(string) { told++ }); err == nil || told == 0 {
		t.Fatalf("error %v, told %d times", err, told)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	_ = in.Close()
	if _, err := Wait(t.Context(), path, Try, func(string) {}); err != nil {
		t.Fatal(err)
	}
}

// TestAChildThatIsJustStartedHoldsNothing: until it runs its own program it has the lock of a process that was killed meanwhile.
func TestAChildThatIsJustStartedHoldsNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	gone := exec.CommandContext(t.Context(), "true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	child, err := Try(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, signature+" (drydock up), since then", gone.Process.Pid), 0o600); err != nil {
		t.Fatal(err)
	}
	started := time.AfterFunc(50*time.Millisecond, func() { _ = child.Keep() })
	defer started.Stop()
	l, err := Try(path)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
}

// TestWhoSharesIsNotWhoDied: what a killed holder wrote is no word of those who share the file after it.
func TestWhoSharesIsNotWhoDied(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	gone := exec.CommandContext(t.Context(), "true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, signature+" (drydock up dead), since then", gone.Process.Pid), 0o600); err != nil {
		t.Fatal(err)
	}
	shared, err := Share(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = shared.Keep() }()
	begun := time.Now()
	var held *HeldError
	if _, err := Try(path); !errors.As(err, &held) || strings.Contains(held.Holder, "dead") {
		t.Errorf("%v", err)
	}
	if took := time.Since(begun); took > inherited/2 {
		t.Errorf("the dead was waited for, for %s", took)
	}
}
