package observe

import (
	"context"
	"os"
	"testing"
	"time"
)

func TestJump(t *testing.T) {
	for wall, want := range map[time.Duration]time.Duration{
		time.Second: 0, 1010 * time.Millisecond: 0, time.Hour: time.Hour - time.Second, -time.Minute: -time.Minute - time.Second,
	} {
		if got := jump(wall, time.Second); got != want {
			t.Errorf("the clock went %s in a second: %s, want %s", wall, got, want)
		}
	}
}

func TestHostWatch(t *testing.T) {
	dir := t.TempDir()
	w := NewHostWatch(dir)
	ctx, cancel := context.WithTimeout(t.Context(), 1200*time.Millisecond)
	defer cancel()
	w.Run(ctx)
	got := w.Readings()
	if len(got) < 2 {
		t.Fatalf("%d readings in 1.2 s", len(got))
	}
	if _, err := os.Stat("/proc/meminfo"); err == nil && (got[0].Available == 0 || got[0].Load == 0) {
		t.Errorf("the host tells nothing: %+v", got[0])
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v was left, %v", left, err)
	}
}

func TestAStallIsInTheReadings(t *testing.T) {
	w := NewHostWatch(t.TempDir())
	from := time.Now()
	w.stalled(from, from.Add(time.Second), StalledDisk)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	w.Run(ctx)
	if got := w.Readings(); len(got) != 1 || len(got[0].Stalls) != 1 || got[0].Stalls[0].Of != StalledDisk {
		t.Fatalf("%+v", got)
	}
}
