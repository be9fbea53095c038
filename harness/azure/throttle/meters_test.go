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

func TestThePartsOfAPolicyShareALimit(t *testing.T) {
	const gateway = "gateway:\n  subscription: &k {reads: {capacity: 9, window: 1h}, writes: {capacity: 9, window: 1h}, deletes: {capacity: 9, window: 1h}}\n  tenant: *k\n"
	part := func(operation string, capacity int) string {
		return "  - {policy: A/B, operations: [" + operation + "], subscription: {capacity: " + strconv.Itoa(capacity) + ", window: 1h}}\n"
	}
	if _, err := ParsePolicy([]byte(gateway + "providers:\n" + part("GET a/b", 2) + part("LIST a/b", 3))); err == nil {
		t.Error("a policy with two limits of a subscription is taken")
	}
	p, err := ParsePolicy([]byte(gateway + "providers:\n" + part("GET a/b", 2) + part("LIST a/b", 2)))
	if err != nil {
		t.Fatal(err)
	}
	m, s := New(arm.NewVirtualClock(time.Unix(0, 0)), p, false), Subject{Region: "r", Subscription: "s"}
	for i, operation := range []string{"GET a/b", "LIST a/b", "GET a/b"} {
		if _, rejected := m.Provider(s, operation, ""); (rejected != nil) != (i == 2) {
			t.Errorf("call %d: %+v", i+1, rejected)
		}
	}
}
