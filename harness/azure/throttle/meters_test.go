package throttle

import (
	"strconv"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
)

func TestMetersOfThoseWhoStoppedAreForgotten(t *testing.T) {
	p, err := LoadPolicy("current")
	if err != nil {
		t.Fatal(err)
	}
	clock := arm.NewVirtualClock(time.Unix(0, 0))
	m := New(clock, p, true)
	busy := Subject{Region: "r", Subscription: "s", Principal: "busy"}
	for range 250 {
		m.Gateway(busy, "reads")
	}
	for i := range 10 * minSweep {
		if i%minSweep == 0 {
			clock.Advance(5 * time.Second)
			for range 125 { // it never stops for as long as it takes to fill
				m.Gateway(busy, "reads")
			}
		}
		m.Gateway(Subject{Region: "r", Subscription: strconv.Itoa(i), Principal: strconv.Itoa(i)}, "reads")
	}
	if n := len(m.meters); n > 5*minSweep {
		t.Errorf("%d meters are kept", n)
	}
	if left, _ := m.Gateway(busy, "reads"); left[0].Left > 1 {
		t.Errorf("one that goes on has %d left", left[0].Left)
	}
}
