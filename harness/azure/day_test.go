package azure

import (
	"fmt"
	"net/http"
	"runtime"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/throttle"
)

// perHour is how many calls there are in an hour at a hundred a second.
const perHour = 360_000

// plenty is the current policy with as many meters as it has, of which none is ever empty.
func plenty(tb testing.TB) *throttle.Policy {
	tb.Helper()
	providers := generous(tb)
	p, err := throttle.LoadPolicy("current")
	if err != nil {
		tb.Fatal(err)
	}
	p.Gateway, p.Metadata = providers.Gateway, nil
	for i := range p.Providers {
		for _, l := range []*throttle.Limit{p.Providers[i].Resource, p.Providers[i].Subscription} {
			if l != nil {
				l.Capacity = 1 << 40
			}
		}
	}
	return p
}

// BenchmarkDay is so many calls of a hundred a second: two thirds reads, the rest writes, deletes, polls, and a call for a machine's metadata now and then, of
// a hundred clusters with a principal each that is another every hour and gets its token from the token service. A day is -benchtime 8640000x. What it
// reports does not depend on how many they are, from an hour's on; grown is how much more there is at the end than after the first hour.
func BenchmarkDay(b *testing.B) {
	c := newClientOf(b, Options{Policy: plenty(b)})
	if err := c.twin.Load(machines(100)); err != nil {
		b.Fatal(err)
	}
	heap := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / 1e6
	}
	var first float64
	n := 0
	for b.Loop() {
		if n%perHour == 0 && n > 0 {
			now := heap()
			if b.Logf("after %d hours: %.1f MB, %d operations", n/perHour, now, len(c.twin.store.View().Operations())); first == 0 {
				first = now
			}
			c.tokens.Clear()
		}
		c.clock.Advance(10 * time.Millisecond)
		one := c.as(fmt.Sprint("cluster-", n%100, "-", n/perHour))
		if n%perHour < 100 {
			c.tokens.Store(one.principal, arm.Text(decoded(b, one.login(one.principal)), "access_token"))
		}
		disk := fmt.Sprintf("resourceGroups/g/providers/Microsoft.Compute/disks/d%d", n%500)
		vm := fmt.Sprintf("resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm-%05d", n/12%100)
		switch n % 12 {
		case 0, 1:
			one.do(http.MethodPut, disk, `{"location":"westeurope","properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":1}}`)
		case 2:
			one.do(http.MethodDelete, disk, "")
		case 3:
			one.do(http.MethodGet, "resourceGroups/g/providers/Microsoft.Compute/disks?$top=10", "")
		case 4:
			one.do(http.MethodPost, vm+"/restart", "")
		case 5:
			c.metadata("instance", fmt.Sprintf("vm-%05d", n/12%100))
		case 6, 7:
			one.do(http.MethodGet, disk, "")
		default:
			one.do(http.MethodGet, vm, "")
		}
		n++
	}
	last := heap()
	b.ReportMetric(last, "MB")
	if first > 0 {
		b.ReportMetric(last-first, "MB-grown")
	}
	b.ReportMetric(float64(len(c.twin.store.View().Operations())), "operations")
	calls, throttled := 0, 0
	for _, row := range c.twin.calls.Summary() {
		calls, throttled = calls+row.OK, throttled+row.Throttled
	}
	b.ReportMetric(float64(calls)/float64(max(1, n)), "answered")
	if throttled > 0 {
		b.Errorf("%d calls throttled", throttled)
	}
	runtime.KeepAlive(c)
}
