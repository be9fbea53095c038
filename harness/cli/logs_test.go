package cli

import (
	"testing"
	"time"
)

func TestSinceIsAnAgeOrATime(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{"": {}, "90s": now.Add(-90 * time.Second), "2026-11-22T09:00:00+01:00": now.Add(-2 * time.Hour)} {
		if got, err := sinceWhen(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"yesterday", "-5m", "10"} {
		if got, err := sinceWhen(text, now); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestMachinePath(t *testing.T) {
	for arg, want := range map[string][2]string{
		"worker-1:/etc/hosts": {"worker-1", "/etc/hosts"}, "worker-1:a:b": {"worker-1", "a:b"}, "./a:b": {"", "./a:b"}, "/a:b": {"", "/a:b"}, "a": {"", "a"}, ":a": {"", ":a"}, "a/b:c": {"", "a/b:c"},
	} {
		if machine, path := machinePath(arg); machine != want[0] || path != want[1] {
			t.Errorf("%q is %q and %q", arg, machine, path)
		}
	}
}
