package azure

import (
	"fmt"
	"net/http"
	"runtime"
	"testing"
	"time"
)

// BenchmarkDay is so many calls of a hundred a second: two thirds reads, the rest writes, deletes and polls, of a hundred clusters with a principal each
// that is another every hour. What it reports does not depend on how many they are, from an hour's on.
func BenchmarkDay(b *testing.B) {
	c := newClientOf(b, Options{Policy: generous(b)})
	c.do(http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`)
	n := 0
	for b.Loop() {
		c.clock.Advance(10 * time.Millisecond)
		one := c.as(fmt.Sprint("cluster-", n%100, "-", n/360_000))
		disk := fmt.Sprintf("resourceGroups/g/providers/Microsoft.Compute/disks/d%d", n%500)
		switch n % 12 {
		case 0, 1:
			one.do(http.MethodPut, disk, `{"location":"westeurope","properties":{}}`)
		case 2:
			one.do(http.MethodDelete, disk, "")
		case 3:
			one.do(http.MethodGet, "resourceGroups/g/providers/Microsoft.Compute/disks", "")
		default:
			one.do(http.MethodGet, disk, "")
		}
		n++
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapAlloc)/1e6, "MB")
	b.ReportMetric(float64(len(c.twin.store.View().Operations())), "operations")
	runtime.KeepAlive(c)
}
