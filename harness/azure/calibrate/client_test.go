package calibrate_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
)

// client is one principal's, which goes through a recording proxy and waits by the twin's clock.
type client struct {
	t     *testing.T
	http  *http.Client
	base  string
	token string
	clock *arm.VirtualClock
}

func (c *client) do(method, target, body string) (*http.Response, string) {
	c.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = c.base + "/subscriptions/" + azure.DefaultSubscription + target + "?api-version=2024-03-01"
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp, string(raw)
}

func (c *client) burst(n int, method, target string) {
	for range n {
		c.do(method, target, "")
	}
}

// done begins an operation and polls it as it is told, or each second.
func (c *client) done(method, target, body string) {
	c.t.Helper()
	resp, said := c.do(method, target, body)
	if resp.StatusCode >= 300 {
		c.t.Fatalf("%s %s: %d %s", method, target, resp.StatusCode, said)
	}
	at := resp.Header.Get("Azure-AsyncOperation")
	if at == "" {
		at = resp.Header.Get("Location")
	}
	for range 1000 {
		wait := time.Second
		if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
			wait = time.Duration(s) * time.Second
		}
		c.clock.Advance(wait)
		if resp, said = c.do(http.MethodGet, at, ""); resp.StatusCode != http.StatusAccepted && !strings.Contains(said, `"InProgress"`) && resp.StatusCode != http.StatusTooManyRequests {
			return
		}
	}
	c.t.Fatalf("%s %s is not over", method, target)
}
