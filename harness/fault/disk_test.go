package fault

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestASlowDiskIsToldFromABusyHost(t *testing.T) {
	f := &diskSlow{delay: 400 * time.Millisecond}
	const slow, fast, busy = 420 * time.Millisecond, 3 * time.Millisecond, 250 * time.Millisecond
	for name, c := range map[string]struct {
		means    map[string]time.Duration
		machines []string
		seen     bool
		control  bool
	}{
		"the victim alone":               {map[string]time.Duration{"a": slow, "b": fast, "c": fast}, []string{"a"}, true, false},
		"nobody":                         {map[string]time.Duration{"a": fast, "b": fast, "c": fast}, []string{"a"}, false, false},
		"all victims":                    {map[string]time.Duration{"a": slow, "b": slow}, []string{"a", "b"}, true, false},
		"one of two victims":             {map[string]time.Duration{"a": slow, "b": fast}, []string{"a", "b"}, false, false},
		"another":                        {map[string]time.Duration{"a": fast, "b": slow}, []string{"a"}, false, false},
		"everybody: the host's own disk": {map[string]time.Duration{"a": slow, "b": busy, "c": busy}, []string{"a"}, false, true},
		"nothing was read":               {map[string]time.Duration{}, []string{"a"}, false, false},
	} {
		seen, err := f.slow(c.means, c.machines)
		var control controlError
		if (err == nil) != c.seen || errors.As(err, &control) != c.control || c.seen && len(seen) == 0 {
			t.Errorf("%s: %v, %v", name, seen, err)
		}
	}
}

func TestHowSlowADiskMayBe(t *testing.T) {
	for d, fine := range map[time.Duration]bool{0: true, -1: false, time.Millisecond: false, slowAtLeast: true, slowAtMost: true, slowAtMost + 1: false} {
		if err := validSlow(Params{Delay: d}); (err == nil) != fine {
			t.Errorf("%s: %v", d, err)
		}
	}
	if f, ok := newDiskSlow(Spec{}).(*diskSlow); !ok || f.delay != slowByDefault {
		t.Errorf("nothing said: %v", f)
	}
}

// A power cut with a slow disk before it is one without where nothing is said: its own default would change runs that never asked for it.
func TestAPowerCutSlowsTheDiskOnlyWhereItIsAskedTo(t *testing.T) {
	k, err := Find("unsyncedWritesLost")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []time.Duration{0, time.Second} {
		if f, ok := k.New(Spec{Params: Params{Delay: d}}).(*unsyncedWritesLost); !ok || f.delay != d {
			t.Errorf("delay %s: %+v", d, f)
		}
	}
}

// What a disk was slowed by before a cut is in the receipt, of each machine; and where nobody has seen it the fault has not had its effect.
func TestTheDelayBeforeAPowerCutIsEvidence(t *testing.T) {
	f := &unsyncedWritesLost{delay: time.Second}
	machines := []string{"etcd-1", "etcd-2"}
	if err := f.waited("etcd-1", 1200*time.Millisecond); err != nil {
		t.Error(err)
	}
	if err := f.waited("etcd-2", 10*time.Millisecond); err == nil || !strings.Contains(err.Error(), "an fsync on etcd-2 took 10ms") {
		t.Errorf("an fsync that was not slow: %v", err)
	}
	if _, err := f.Effective(t.Context(), nil, machines); err == nil || !strings.Contains(err.Error(), "nobody has seen an fsync on etcd-2 take 1s longer") {
		t.Errorf("of one machine nothing was seen: %v", err)
	}
	if err := f.waited("etcd-2", time.Second); err != nil {
		t.Error(err)
	}
	out, err := f.slowed(machines)
	if err != nil || len(out) != 2 || !strings.Contains(out[0].Saw, "took 1.2s, where each was to take 1s longer") {
		t.Errorf("%+v, %v", out, err)
	}
	plain := &unsyncedWritesLost{}
	if out, err := plain.slowed(machines); err != nil || len(out) > 0 || plain.waited("etcd-1", 0) != nil {
		t.Errorf("without a delay: %+v, %v", out, err)
	}
}
