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

func TestWhatIsUnlimitedIsNotCountedAndRetryAfterIsAtLeastWhatIsToldOfIt(t *testing.T) {
	p, err := ParsePolicy([]byte(`
name: x
gateway:
  subscription: {reads: {unlimited: true}, writes: {capacity: 1, refill: 10, per: 1s, retryAfter: 12s}, deletes: {unlimited: true}}
  tenant: {reads: {unlimited: true}, writes: {unlimited: true}, deletes: {unlimited: true}}
  globalFactor: 2
`))
	if err != nil {
		t.Fatal(err)
	}
	clock := arm.NewVirtualClock(time.Unix(0, 0))
	m, s := New(clock, p, false), Subject{Region: "r", Subscription: "s", Principal: "p"}
	for range 100_000 {
		if left, r := m.Gateway(s, "reads"); r != nil || len(left) > 0 {
			t.Fatalf("%v %+v", left, r)
		}
	}
	m.Gateway(s, "writes")
	if _, r := m.Gateway(s, "writes"); r == nil || r.Answer(clock, s).Header["Retry-After"] != "12" {
		t.Errorf("%+v", r)
	}
	clock.Advance(100 * time.Millisecond)
	if _, r := m.Gateway(s, "writes"); r != nil {
		t.Errorf("what is told is not what is done: %+v", r)
	}
	for _, bad := range []string{"{unlimited: true, capacity: 3}", "{capacity: 1, window: 1m, retryAfter: -1s}", "{}"} {
		text := "gateway: {subscription: {reads: " + bad + "}}"
		if _, err := ParsePolicy([]byte(text)); err == nil {
			t.Errorf("%s: no error", text)
		}
	}
}
