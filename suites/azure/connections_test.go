package azure

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
)

// never is a policy by which nobody is throttled.
const never = `
gateway:
  subscription: &k {reads: {capacity: 1000000, window: 1m}, writes: {capacity: 1000000, window: 1m}, deletes: {capacity: 1000000, window: 1m}}
  tenant: *k
`

// caller is a connection that is kept, of a client that does nothing but ask.
type caller struct {
	conn  *tls.Conn
	read  *bufio.Reader
	asked string // the request, as it is sent
}

// call asks once and reads the answer.
func (c *caller) call() error {
	if err := c.conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return err
	}
	if _, err := io.WriteString(c.conn, c.asked); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.read, nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK || resp.Close {
		return fmt.Errorf("%s, to be closed: %v: %w", resp.Status, resp.Close, err)
	}
	return nil
}

// each does something with all callers, so many at a time, and tells how many failed and how the first did.
func each(all []*caller, atATime int, do func(i int) error) (failed int64, first error) {
	var next, bad atomic.Int64
	var once sync.Once
	var running sync.WaitGroup
	for range atATime {
		running.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(all); i = next.Add(1) - 1 {
				if err := do(int(i)); err != nil {
					bad.Add(1)
					once.Do(func() { first = err })
				}
			}
		})
	}
	running.Wait()
	return bad.Load(), first
}

// resident is what a process has in memory, in MB; 0: nobody tells.
func resident(pid int) (mb int) {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(raw), "VmRSS:")
	_, _ = fmt.Sscan(rest, &mb)
	return mb / 1024
}

// machineToken is one of the metadata service.
func (t *twin) machineToken(ctx context.Context) string {
	GinkgoHelper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.IMDS+"/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F", nil)
	Expect(err).NotTo(HaveOccurred())
	req.Header.Set("Metadata", "true")
	resp, err := http.DefaultClient.Do(req)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = resp.Body.Close() }()
	var body struct {
		Token string `json:"access_token"`
	}
	Expect(json.NewDecoder(resp.Body).Decode(&body)).To(Succeed())
	return body.Token
}

var _ = Describe("many clients at a time", Label("tier: full"), func() {
	const connections, working = 10_000, 1000

	It("keeps ten thousand connections, idle and working, without an error", func(ctx context.Context) {
		dir := GinkgoT().TempDir()
		Expect(os.WriteFile(dir+"/never.yaml", []byte(never), 0o600)).To(Succeed())
		t := start(10, "--policy", dir+"/never.yaml")
		before := resident(t.PID)
		pool := x509.NewCertPool()
		Expect(pool.AppendCertsFromPEM(t.ca)).To(BeTrueBecause("the authority of the twin can be read"))
		address := strings.TrimPrefix(t.Endpoint, "https://")
		dialer := &tls.Dialer{Config: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}}}
		asked := fmt.Sprintf("GET /subscriptions/%s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm-00001?api-version=2024-03-01 HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n",
			azure.DefaultSubscription, address, t.machineToken(ctx))
		all := make([]*caller, connections)
		DeferCleanup(func() {
			for _, one := range all {
				if one != nil {
					_ = one.conn.Close()
				}
			}
		})
		begun := time.Now()
		failed, first := each(all, 64, func(i int) error {
			conn, err := dialer.DialContext(ctx, "tcp", address)
			if err != nil {
				return err
			}
			secure, _ := conn.(*tls.Conn)
			all[i] = &caller{secure, bufio.NewReaderSize(conn, 4096), asked}
			return all[i].call()
		})
		opened, idle := time.Since(begun), resident(t.PID)
		Expect(failed).To(BeZero(), "connections that could not be made or were not answered, the first: %v", first)

		begun = time.Now()
		failed, first = each(all[:working], working, func(i int) error {
			for range 10 {
				if err := all[i].call(); err != nil {
					return err
				}
			}
			return nil
		})
		worked, busy := time.Since(begun), resident(t.PID)
		Expect(failed).To(BeZero(), "connections that were not answered while many worked, the first: %v", first)
		failed, first = each(all, 256, func(i int) error { return all[i].call() })
		Expect(failed).To(BeZero(), "connections that were idle, and then not answered, the first: %v", first)

		var log struct{ Calls []arm.Call }
		t.control(ctx, http.MethodGet, "calls?outcome=ok&operation=GET%20Microsoft.Compute/virtualMachines", nil, &log)
		seen := map[int]bool{}
		for _, call := range log.Calls {
			seen[call.Connection] = true
		}
		Expect(log.Calls).To(HaveLen(2*connections + 10*working))
		Expect(seen).To(HaveLen(connections), "connections that the twin saw")
		AddReportEntry("ten thousand connections", fmt.Sprintf("opened and asked once in %s, %d calls of %d at a time in %s; resident %d MB before, %d idle, %d after work, %d at the end; errors 0",
			opened.Round(time.Millisecond), 10*working, working, worked.Round(time.Millisecond), before, idle, busy, resident(t.PID)))
		Expect(busy).To(BeNumerically("<", 1024), "MB")
	})
})
