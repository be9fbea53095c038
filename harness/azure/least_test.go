package azure

import (
	"net/http"
	"testing"

	"drydock.dev/drydock/harness/azure/arm"
)

func TestTheLogTellsHowLittleWasLeft(t *testing.T) {
	c := newClient(t)
	c.group()
	least := func(budget string) (Least, bool) {
		for _, l := range c.twin.Calls().Least() {
			if l.Budget == budget {
				return l, true
			}
		}
		return Least{}, false
	}
	const reads = "x-ms-ratelimit-remaining-subscription-reads"
	for range 5 {
		c.do(http.MethodGet, "resourceGroups/g", "")
	}
	first, ok := least(reads)
	if !ok || first.Of == 0 || first.Left >= first.Of || first.Principal == "" {
		t.Fatalf("%+v, %v", first, ok)
	}
	calls, _ := c.twin.Calls().Since(0)
	if told := calls[len(calls)-1].Left; len(told) == 0 || told[0] != (arm.Left{Budget: reads, Left: first.Left, Of: first.Of}) {
		t.Errorf("the last call is told to have left %+v", told)
	}
	c.clock.Advance(3600e9) // full again: the lowest stays
	c.do(http.MethodGet, "resourceGroups/g", "")
	if now, _ := least(reads); now != first {
		t.Errorf("%+v, it was %+v", now, first)
	}
	f, err := c.twin.Arm(Fault{Kind: FaultThrottle, OperationGroup: "gateway/reads"})
	if err != nil {
		t.Fatal(err)
	}
	if w := c.do(http.MethodGet, "resourceGroups/g", ""); w.Code != http.StatusTooManyRequests {
		t.Fatal(w.Code)
	}
	c.twin.Disarm(f.ID)
	if now, _ := least(reads); now != first {
		t.Errorf("what a fault plays is told for a budget's own: %+v, it was %+v", now, first)
	}
	if global, ok := least("x-ms-ratelimit-remaining-subscription-global-reads"); !ok || global.Principal != "" {
		t.Errorf("of all together: %+v, %v", global, ok)
	}
	c.twin.Calls().Reset()
	if all := c.twin.Calls().Least(); len(all) > 0 {
		t.Errorf("%+v", all)
	}
}
