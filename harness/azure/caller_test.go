package azure

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/identity"
	"drydock.dev/drydock/harness/azure/throttle"
)

const testSubscription = "11111111-0000-4000-8000-000000000001"

// client talks to a twin whose clock stands still.
type client struct {
	t         testing.TB
	twin      *Twin
	clock     *arm.VirtualClock
	principal string
	tokens    *sync.Map // by principal
}

func newClient(t *testing.T) *client {
	t.Helper()
	return newClientOf(t, Options{})
}

// oneKey is for all twins of the tests: a key of its own takes each a moment.
var oneKey = sync.OnceValues(identity.NewSigner)

// signed adds the tests' key to a twin's options.
func signed(tb testing.TB, o Options) Options {
	tb.Helper()
	key, err := oneKey()
	if err != nil {
		tb.Fatal(err)
	}
	o.Signer = key
	return o
}

// newClientOf is one of a twin of some options: the clock and the policy are the test's.
func newClientOf(tb testing.TB, o Options) *client {
	tb.Helper()
	p, err := throttle.LoadPolicy("current")
	if err != nil {
		tb.Fatal(err)
	}
	clock := arm.NewVirtualClock(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	if o.Clock = clock; o.Policy == nil {
		o.Policy = p
	}
	twin, err := New(signed(tb, o))
	if err != nil {
		tb.Fatal(err)
	}
	return &client{tb, twin, clock, "client-a", &sync.Map{}}
}

// bearer is the principal's token.
func (c *client) bearer() string {
	c.t.Helper()
	if token, ok := c.tokens.Load(c.principal); ok {
		return token.(string) //nolint:forcetypeassert // nothing else is stored
	}
	token, err := c.twin.identity.Tokens.Issue(c.principal, "https://management.azure.com/", DefaultTenant)
	if err != nil {
		c.t.Fatal(err)
	}
	c.tokens.Store(c.principal, token)
	return token
}

func (c *client) as(principal string) *client {
	other := *c
	other.principal = principal
	return &other
}

// do sends a request; path is below the test's subscription, or absolute with a leading slash and "subscriptions".
func (c *client) do(method, path, body string) *httptest.ResponseRecorder {
	c.t.Helper()
	return c.doWith(nil, method, path, body)
}

// doWith is that with headers.
func (c *client) doWith(h http.Header, method, path, body string) *httptest.ResponseRecorder {
	c.t.Helper()
	if !strings.HasPrefix(path, "/") {
		path = "/subscriptions/" + testSubscription + "/" + path
	}
	if !strings.Contains(path, "api-version") {
		sep := "?"
		if strings.Contains(path, "?") {
			sep = "&"
		}
		path += sep + "api-version=2024-03-01"
	}
	r := httptest.NewRequestWithContext(c.t.Context(), method, "https://management.example"+path, strings.NewReader(body))
	for k, v := range h {
		r.Header[k] = v
	}
	r.Header.Set("Authorization", "Bearer "+c.bearer())
	w := httptest.NewRecorder()
	c.twin.ServeHTTP(w, r)
	return w
}

// control asks the control listener's handler, whoever may.
func (c *client) control(method, path, body string) {
	r := httptest.NewRequestWithContext(c.t.Context(), method, "http://control/_twin/"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	c.twin.control().ServeHTTP(httptest.NewRecorder(), r)
}

// group makes the resource group.
func (c *client) group() { c.do(http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`) }

// decoded is the body of an answer; empty: it has none.
func decoded(tb testing.TB, w *httptest.ResponseRecorder) map[string]any {
	tb.Helper()
	var out map[string]any
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			tb.Fatalf("%v: %s", err, w.Body)
		}
	}
	return out
}

// want does a call whose status must be as told, and gives its body.
func (c *client) want(status int, method, path, body string) map[string]any {
	c.t.Helper()
	w := c.do(method, path, body)
	if w.Code != status {
		c.t.Fatalf("%s %s: %d instead of %d: %s", method, path, w.Code, status, w.Body)
	}
	return decoded(c.t, w)
}

// pass lets every running operation end.
func (c *client) pass() { c.clock.Advance(2 * time.Minute); c.twin.store.Settle() }

// machine makes a group, a network, an interface and a virtual machine.
func (c *client) machine(name string) {
	c.t.Helper()
	const rg = "resourceGroups/g"
	c.do(http.MethodPut, rg, `{"location":"westeurope"}`)
	c.do(http.MethodPut, rg+"/providers/Microsoft.Network/virtualNetworks/net", `{"location":"westeurope","properties":{"subnets":[{"name":"default","properties":{"addressPrefix":"10.0.0.0/16"}}]}}`)
	c.want(http.StatusCreated, http.MethodPut, rg+"/providers/Microsoft.Network/networkInterfaces/"+name+"-nic", fmt.Sprintf(
		`{"location":"westeurope","properties":{"ipConfigurations":[{"name":"ipconfig1","properties":{"subnet":{"id":"/subscriptions/%s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/net/subnets/default"}}}]}}`, testSubscription))
	c.want(http.StatusCreated, http.MethodPut, rg+"/providers/Microsoft.Compute/virtualMachines/"+name, fmt.Sprintf(
		`{"location":"westeurope","tags":{"orchestrator":"Kubernetes:1.35.4"},"properties":{"hardwareProfile":{"vmSize":"Standard_D2s_v3"},"storageProfile":{"osDisk":{"createOption":"FromImage","name":"%[1]s-os"}},"networkProfile":{"networkInterfaces":[{"id":"/subscriptions/%[2]s/resourceGroups/g/providers/Microsoft.Network/networkInterfaces/%[1]s-nic"}]}}}`, name, testSubscription))
	c.pass()
}

// header is a header as it was set: the twin writes names as Azure does.
func header(w *httptest.ResponseRecorder, name string) string {
	if v := w.Header()[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func code(w *httptest.ResponseRecorder) string {
	var e struct{ Error struct{ Code string } }
	_ = json.Unmarshal(w.Body.Bytes(), &e)
	return e.Error.Code
}
