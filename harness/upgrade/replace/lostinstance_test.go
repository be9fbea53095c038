package replace

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/upgrade"
)

// TestAnInstanceIsLostBeforeItsTurn: its Node goes as well, and what that carried is handed on.
func TestAnInstanceIsLostBeforeItsTurn(t *testing.T) {
	for _, lost := range [][]int{{0}, {1}, {0, 1}} {
		t.Run(fmt.Sprint(lost), func(t *testing.T) { losesInstances(t, lost) })
	}
}

func losesInstances(t *testing.T, lost []int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, azure.Options{}, 0)
		f.pool(t)
		dir, spec := scratch(t), upgrade.Spec{ScaleSets: []string{"pool"}}
		if a := f.upgrade(dir, spec, 6, false); !errors.Is(a.err, errKilled) {
			t.Fatalf("it was to die: %v", a.err)
		}
		c := f.manager("somebody", f.twin)
		all, err := c.Instances(t.Context(), "pool")
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range lost {
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
