package replace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/upgrade"
)

// TestAnInstanceIsLostBeforeItsTurn: its Node goes as well, and what that carried is handed on.
func TestAnInstanceIsLostBeforeItsTurn(t *testing.T) {
	for _, lost := range [][]int{{0}, {1}, {0, 1}} {
		t.Run(fmt.Sprint(lost), func(t *testing.T) { losesInstances(t, 6, lost) })
	}
}

// TestANewInstanceIsLostAgain: what it had from the old one, that is gone by then, is handed on once more, and its Node goes too.
func TestANewInstanceIsLostAgain(t *testing.T) {
	for _, k := range []int{17, 18, 20} {
		t.Run(fmt.Sprintf("killed at %d", k), func(t *testing.T) { losesInstances(t, k, []int{-1}) })
	}
}

// losesInstances has an upgrade die at a call, and those instances that are at these places of the list then go by somebody's hand; a negative place is from its end.
func losesInstances(t *testing.T, at int, lost []int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, azure.Options{}, 0)
		f.pool(t)
		dir, spec := scratch(t), upgrade.Spec{ScaleSets: []string{"pool"}}
		if a := f.upgrade(dir, spec, at, false); !errors.Is(a.err, errKilled) {
			t.Fatalf("it was to die: %v", a.err)
		}
		c := f.manager("somebody", f.twin)
		all, err := c.Instances(t.Context(), "pool")
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range lost {
			if i < 0 {
				i += len(all)
			}
			t.Logf("of %d instances %s is lost", len(all), all[i].Computer())
			if err := c.Delete(t.Context(), all[i].ID); err != nil {
				t.Fatal(err)
			}
		}
		if a := f.upgrade(dir, spec, 0, false); a.err != nil {
			t.Fatal(a.err)
		}
		f.judgePool(t)
	})
}

// stingy is a scale set that has two instances, whatever it is asked for.
type stingy struct{ asked int }

func (s *stingy) Do(req *http.Request) (*http.Response, error) {
	said := `{"name":"pool","tags":{"orchestrator":"Kubernetes:1.36.3"},"sku":{"name":"a","tier":"b","capacity":3}}`
	switch {
	case req.Method == http.MethodPatch:
		if s.asked++; s.asked > 9 {
			return nil, context.Canceled
		}
	case strings.HasSuffix(req.URL.Path, "/virtualMachines"):
		said = `{"value":[{"instanceId":"0","properties":{"osProfile":{"computerName":"p0"}}},{"instanceId":"1","properties":{"osProfile":{"computerName":"p1"}}}]}`
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(said)), Request: req}, nil
}

// TestAScaleSetThatMakesNoMoreIsNotAskedForEver: every time is three calls of the budget that others need too.
func TestAScaleSetThatMakesNoMoreIsNotAskedForEver(t *testing.T) {
	within(t, azure.Options{}, func(t *testing.T, f *fleet) {
		t.Helper()
		wire := &stingy{}
		u := &upgrade.Upgrade{Spec: upgrade.Spec{MachineTimeout: time.Hour}, Dir: scratch(t)}
		s := &set{&Replacement{Upgrade: u, Manager: f.manager("drydock", wire)}, "pool", from, to}
		if err := s.write(&setRecord{Capacity: 2, Before: []string{"0", "1"}, Were: []string{"p0", "p1"}, Pairs: map[string]string{}}); err != nil {
			t.Fatal(err)
		}
		if err := s.instances(t.Context()); err == nil || !strings.Contains(err.Error(), "was asked for 3 instances, and has the 2 that it had") || wire.asked != 1 {
			t.Errorf("asked %d times: %v", wire.asked, err)
		}
	})
}
