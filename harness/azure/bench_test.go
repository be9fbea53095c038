package azure

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"syscall"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/throttle"
)

// machines is a state of n virtual machines, as large as real ones are.
func machines(n int) State {
	group := "/subscriptions/" + testSubscription + "/resourceGroups/g"
	s := State{Resources: []json.RawMessage{json.RawMessage(fmt.Sprintf(`{"id":%q,"name":"g","location":"westeurope","properties":{"provisioningState":"Succeeded"}}`, group))}}
	for i := range n {
		s.Resources = append(s.Resources, json.RawMessage(fmt.Sprintf(`{"id":"%[1]s/providers/Microsoft.Compute/virtualMachines/vm-%05[2]d","name":"vm-%05[2]d","type":"Microsoft.Compute/virtualMachines","location":"westeurope","tags":{"orchestrator":"Kubernetes:1.35.4","poolName":"agents"},"properties":{"vmId":"0f0f0f0f-0000-4000-8000-%012[2]d","hardwareProfile":{"vmSize":"Standard_D2s_v3"},"provisioningState":"Succeeded","storageProfile":{"osDisk":{"osType":"Linux","name":"vm-%05[2]d-os","createOption":"FromImage","managedDisk":{"id":"%[1]s/providers/Microsoft.Compute/disks/vm-%05[2]d-os"}},"dataDisks":[]},"osProfile":{"computerName":"vm-%05[2]d","adminUsername":"azureuser"},"networkProfile":{"networkInterfaces":[{"id":"%[1]s/providers/Microsoft.Network/networkInterfaces/vm-%05[2]d-nic"}]}}}`, group, i)))
	}
	return s
}

// served is a server over TLS and HTTP/2, and a client of it.
func served(b *testing.B, h http.Handler) (string, *http.Client) {
	b.Helper()
	a, err := newAuthority()
	if err != nil {
		b.Fatal(err)
	}
	l, err := listen(b.Context(), "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &http.Server{Handler: h, TLSConfig: a.config(), ReadHeaderTimeout: headerWithin}
	b.Cleanup(func() { _ = server.Close() })
	go func() { _ = server.ServeTLS(l, "", "") }()
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return "https://" + l.Addr().String(), &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}}
}

// BenchmarkGet compares a GET of a machine, both throttles on, with a handler that does nothing but answer as many bytes, with one that sends the same
// headers too, in the same words each time, and with one whose ids and counts are others each time, as the twin's are: what they cost on the wire and in the
// client, which packs what it has seen before, is no work of the twin's. All have the same client in the same process.
func BenchmarkGet(b *testing.B) {
	p, err := throttle.LoadPolicy("current")
	if err != nil {
		b.Fatal(err)
	}
	for _, l := range []*throttle.Limit{&p.Gateway.Subscription.Reads, &p.Gateway.Tenant.Reads} {
		l.Capacity, l.Refill = 1<<40, 1<<40 // counted all the same
	}
	for i := range p.Providers {
		for _, l := range []*throttle.Limit{p.Providers[i].Resource, p.Providers[i].Subscription} {
			if l != nil {
				l.Capacity = 1 << 40
			}
		}
	}
	clock, err := arm.ParseClock("wall")
	if err != nil {
		b.Fatal(err)
	}
	twin, err := New(signed(b, Options{Clock: clock, Policy: p}))
	if err != nil {
		b.Fatal(err)
	}
	state := machines(1)
	if err := twin.Load(state); err != nil {
		b.Fatal(err)
	}
	token, err := twin.identity.Tokens.Issue("me", "https://management.azure.com/", DefaultTenant)
	if err != nil {
		b.Fatal(err)
	}
	id, _ := arm.ParseID("/subscriptions/" + testSubscription + "/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm-00000")
	body := twin.store.View().Get(id).Raw
	bare := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = w.Write(body)
	})
	samples := make([]http.Header, 500)
	for i := range samples {
		sample := httptest.NewRecorder()
		asked := httptest.NewRequestWithContext(b.Context(), http.MethodGet, id.String()+"?api-version=2024-03-01", nil)
		asked.Header.Set("Authorization", "Bearer "+token)
		twin.ServeHTTP(sample, asked)
		if sample.Code != http.StatusOK {
			b.Fatal(sample.Code, sample.Body)
		}
		samples[i] = sample.Header()
	}
	headed := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		maps.Copy(w.Header(), samples[0])
		_, _ = w.Write(body)
	})
	n := 0
	changing := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n++
		maps.Copy(w.Header(), samples[n%len(samples)])
		_, _ = w.Write(body)
	})
	getter := func(h http.Handler) func() {
		url, client := served(b, h)
		return func() {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url+id.String()+"?api-version=2024-03-01", nil)
			if err != nil {
				b.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+token)
			resp, err := client.Do(req)
			if err != nil {
				b.Fatal(err)
			}
			n, err := io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if err != nil || resp.StatusCode != http.StatusOK || int(n) != len(body) {
				b.Fatalf("%d, %d bytes, %v", resp.StatusCode, n, err)
			}
		}
	}
	for _, c := range []struct {
		name string
		h    http.Handler
	}{{"bare", bare}, {"headed", headed}, {"changing", changing}, {"twin", twin}} {
		b.Run(c.name, func(b *testing.B) {
			get := getter(c.h)
			b.ReportAllocs()
			for b.Loop() {
				get()
			}
		})
	}
	b.Run("ratio-headed", func(b *testing.B) { ratio(b, getter(headed), getter(twin)) })
	b.Run("ratio-changing", func(b *testing.B) { ratio(b, getter(changing), getter(twin)) })
}

// ratio does two things by turns, so that both meet the same machine whatever else runs on it, and tells how many of the second it does in the time of the
// first: by the clock, and by what the process took of its processors.
func ratio(b *testing.B, one, other func()) {
	b.Helper()
	const turn = 100
	var took [2]struct{ wall, cpu time.Duration }
	for b.Loop() {
		for i, do := range []func(){one, other} {
			wall, cpu := time.Now(), used(b)
			for range turn {
				do()
			}
			took[i].wall += time.Since(wall)
			took[i].cpu += used(b) - cpu
		}
	}
	b.ReportMetric(float64(took[0].wall)/float64(took[1].wall), "ratio")
	b.ReportMetric(float64(took[0].cpu)/float64(took[1].cpu), "ratio-cpu")
	b.ReportMetric(float64(took[1].cpu)/float64(b.N*turn), "cpu-ns/GET")
}

// used is what the process has had of its processors.
func used(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkMemory tells what a virtual machine takes.
func BenchmarkMemory(b *testing.B) {
	const n = 10_000
	state := machines(n)
	policy, err := throttle.LoadPolicy("current")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := New(Options{Clock: arm.NewVirtualClock(time.Now()), Policy: policy})
		if err != nil {
			b.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		if err := s.Load(state); err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/machine")
		runtime.KeepAlive(s)
	}
}
