package state

import (
	"strconv"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
)

func TestOperationsAge(t *testing.T) {
	clock := arm.NewVirtualClock(time.Unix(0, 0))
	s, err := New(clock, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Perform(func(*Tx, arm.ID, Work) *arm.Error { return nil })
	var last string
	for i := range 3 * maxOver {
		id, _ := arm.ParseID("/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/disks/d" + strconv.Itoa(i%100))
		s.Write("s", func(tx *Tx) { last = tx.Start(id, "update", "", Work{Do: "x", Args: map[string]any{"a": "b"}}).ID })
		if i%50 == 0 { // some end, others are preempted
			clock.Advance(time.Minute)
			s.Settle()
		}
	}
	clock.Advance(time.Minute)
	s.Settle()
	if n := len(s.ops.byID); n > maxOver || len(s.ops.over) > maxOver || len(s.ops.current) > 0 || len(s.ops.working) > 0 || len(s.ops.due) > 0 {
		t.Errorf("%d are kept, %d have ended, %d are current, %d at work, %d due", n, len(s.ops.over), len(s.ops.current), len(s.ops.working), len(s.ops.due))
	}
	if op, ok := s.View().Find(last); !ok || op.Work != nil {
		t.Errorf("the last one is %+v", op)
	}
}
