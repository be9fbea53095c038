package azure

import (
	"strconv"
	"testing"

	"drydock.dev/drydock/harness/azure/arm"
)

func TestTheLogKeepsTheLastCalls(t *testing.T) {
	l := newCallLog()
	for i := range maxCalls + 3*chunk/2 {
		l.add(arm.Call{Method: "GET", Operation: "GET x" + strconv.Itoa(i%(2*maxCounts)), Connection: i})
		if i == 2*chunk {
			if calls, next := l.Since(chunk - 1); next != i+1 || len(calls) != chunk+2 || calls[0].Connection != chunk-1 || calls[len(calls)-1].Connection != i {
				t.Fatalf("%d calls until %d", len(calls), next)
			}
		}
	}
	calls, next := l.Since(0)
	if len(calls) > maxCalls || len(calls) < maxCalls-chunk || next != maxCalls+3*chunk/2 || calls[len(calls)-1].Connection != next-1 || calls[0].Connection != next-len(calls) {
		t.Errorf("%d calls until %d", len(calls), next)
	}
	if none, _ := l.Since(next + 5); len(none) != 0 {
		t.Errorf("%d calls that were never made", len(none))
	}
	if len(l.counts) > maxCounts+10 {
		t.Errorf("%d kinds are counted", len(l.counts))
	}
	total := 0
	for _, r := range l.Summary() {
		total += r.OK
	}
	if total != next {
		t.Errorf("%d of %d calls are counted", total, next)
	}
	l.Reset()
	l.add(arm.Call{Method: "GET"})
	if calls, again := l.Since(next); len(calls) != 1 || again != next+1 {
		t.Errorf("after a reset %d calls until %d", len(calls), again)
	}
}
