package azure

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
)

const tokenPath = "/" + DefaultTenant + "/oauth2/v2.0/token"

// login asks the token service, as any client of a name does.
func (c *client) login(id string) *httptest.ResponseRecorder {
	c.t.Helper()
	r := httptest.NewRequestWithContext(c.t.Context(), http.MethodPost, "https://management.example"+tokenPath,
		strings.NewReader("grant_type=client_credentials&client_id="+id+"&client_secret=s3cr3t&scope=https%3A%2F%2Fmanagement.azure.com%2F.default"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	c.twin.ServeHTTP(w, r)
	return w
}

// metadata asks the metadata service of a machine.
func (c *client) metadata(path, machine string) *httptest.ResponseRecorder {
	c.t.Helper()
	r := httptest.NewRequestWithContext(c.t.Context(), http.MethodGet, "http://169.254.169.254/metadata/"+path, nil)
	q := r.URL.Query()
	q.Set("vm", machine)
	r.URL.RawQuery = q.Encode()
	r.Header.Set("Metadata", "true")
	w := httptest.NewRecorder()
	c.twin.metadata().ServeHTTP(w, r)
	return w
}

const identityToken = "identity/oauth2/token?api-version=2018-02-01&client_id=mine&resource=https%3A%2F%2Fmanagement.azure.com%2F"

func TestCallsForTokensAndMetadataAreInTheLogAndTheirSecretsAreNot(t *testing.T) {
	c := newClient(t)
	c.machine("vm-1")
	c.twin.Calls().Reset()
	first := c.twin.calls.first
	given := decoded(t, c.login("me"))
	mine := decoded(t, c.metadata(identityToken, "vm-1"))
	c.metadata("instance?api-version=2021-02-01", "vm-1")
	c.do(http.MethodGet, "/common/v2.0/.well-known/openid-configuration", "")
	c.do(http.MethodGet, "/common/discovery/keys", "")
	c.do(http.MethodGet, "/common/discovery/instance", "")
	c.do(http.MethodGet, "/metadata/endpoints?api-version=1.0", "")
	calls, _ := c.twin.Calls().Since(first)
	var saw []string
	for _, call := range calls {
		saw = append(saw, fmt.Sprint(call.Operation, " by ", call.Principal, ": ", call.Status))
		if !call.Beside() {
			t.Errorf("%+v is said to be about a resource", call)
		}
	}
	if want := []string{"POST identity/token by me: 200", "GET imds/token by mine: 200", "GET imds/instance by : 200", "GET identity/openid-configuration by : 200", "GET identity/keys by : 200",
		"GET identity/discovery by : 200", "GET identity/endpoints by : 200"}; !slices.Equal(saw, want) {
		t.Errorf("the log has %q", saw)
	}
	told, err := json.Marshal([]any{calls, c.twin.Calls().Summary()})
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"s3cr3t", arm.Text(given, "access_token"), arm.Text(mine, "access_token"), "eyJ"} {
		if secret == "" || strings.Contains(string(told), secret) {
			t.Errorf("the log tells %q", secret)
		}
	}
	for _, row := range c.twin.Calls().Summary() {
		if row.OK != 1 || row.Budget != "" {
			t.Errorf("counted as %+v", row)
		}
	}
}

func TestTheTokenServiceFailsAsTheRealOneDoes(t *testing.T) {
	token := []string{"POST identity/token"}
	for name, x := range map[string]struct {
		fault  Fault
		status int
		after  string
		says   string
	}{
		"throttled":             {Fault{Kind: FaultThrottle, Operations: token}, 429, "60", "Too Many Requests"},
		"throttled for as long": {Fault{Kind: FaultThrottle, Operations: []string{"* identity/*"}, RetryAfter: 5}, 429, "5", "Too Many Requests"},
		"throttled, and nobody says for how long": {Fault{Kind: FaultThrottle, Operations: token, RetryAfter: NoRetryAfter}, 429, "", "Too Many Requests"},
		"failing":            {Fault{Kind: FaultError, Operations: token, Status: 500}, 500, "", `"error":"server_error","error_codes":[90041],"error_description":"AADSTS90041: A transient error has occurred. Please try again.`},
		"unavailable":        {Fault{Kind: FaultError, Operations: token}, 503, "", `"error":"temporarily_unavailable","error_codes":[90033]`},
		"of one client only": {Fault{Kind: FaultError, Operations: token, Principal: "somebody"}, 200, "", "access_token"},
		"refused in other words": {Fault{Kind: FaultError, Operations: token, Status: 401, Code: "invalid_client", Message: "AADSTS7000222: The provided client secret keys for app 'me' are expired."}, 401, "",
			`"error":"invalid_client","error_codes":[7000222],"error_description":"AADSTS7000222: The provided`},
		"all of Resource Manager": {Fault{Kind: FaultThrottle}, 200, "", "access_token"},
		"what else there is":      {Fault{Kind: FaultThrottle, Operations: []string{"* *", "GET identity/keys"}}, 200, "", "access_token"},
		"all of whatever type":    {Fault{Kind: FaultThrottle, Operations: []string{"* *"}}, 200, "", "access_token"},
		"a budget of the gateway": {Fault{Kind: FaultThrottle, OperationGroup: "gateway/writes"}, 200, "", "access_token"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t)
			f, err := c.twin.Arm(x.fault)
			if err != nil {
				t.Fatal(err)
			}
			w := c.login("me")
			if w.Code != x.status || w.Header().Get("Retry-After") != x.after || !strings.Contains(w.Body.String(), x.says) || w.Header().Get("x-ms-failure-cause") != "" || header(w, "x-ms-failure-cause") != "" {
				t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
			}
			calls, _ := c.twin.Calls().Since(0)
			if struck := x.status != 200; (calls[0].Fault == f.ID) != struck || (c.twin.Faults()[0].Struck > 0) != struck {
				t.Errorf("%+v, %+v", calls[0], c.twin.Faults())
			}
		})
	}
}

// The metadata service counts for each machine ("Azure Instance Metadata Service for virtual machines": 5 requests a second, for tokens 20, and 5 of these
// at a time).
func TestTheMetadataServiceHasLimitsOfItsOwn(t *testing.T) {
	for path, n := range map[string]int{"instance?api-version=2021-02-01": 5, identityToken: 20} {
		c := newClient(t)
		for i := range n {
			if w := c.metadata(path, "vm-1"); w.Code != http.StatusOK {
				t.Fatalf("%s, call %d: %d %s", path, i+1, w.Code, w.Body)
			}
		}
		w := c.metadata(path, "vm-1")
		if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "" || path == identityToken && !strings.Contains(w.Body.String(), `"error_description":"Temporarily throttled, too many requests"`) {
			t.Errorf("%s, call %d: %d %v %s", path, n+1, w.Code, w.Header(), w.Body)
		}
		if w := c.metadata(path, "vm-2"); w.Code != http.StatusOK {
			t.Errorf("%s, of another machine: %d", path, w.Code)
		}
		calls, _ := c.twin.Calls().Since(0)
		if !strings.HasPrefix(calls[n].Throttled, "imds/") || c.twin.Calls().Summary()[0].Throttled != 1 {
			t.Errorf("the log has %+v", calls[n])
		}
		c.clock.Advance(time.Second)
		if w := c.metadata(path, "vm-1"); w.Code != http.StatusOK {
			t.Errorf("%s, a second later: %d", path, w.Code)
		}
	}
}

func TestTheMetadataServiceFailsAsTheRealOneDoes(t *testing.T) {
	for name, x := range map[string]struct {
		fault  Fault
		path   string
		status int
		says   string
	}{
		"tokens throttled": {Fault{Kind: FaultThrottle, Operations: []string{"GET imds/token"}}, identityToken, 429, `"error":"invalid_request"`},
		"it is updated":    {Fault{Kind: FaultError, Operations: []string{"GET imds/*"}, Status: 410}, "instance", 410, "error"},
		"no token to be had": {Fault{Kind: FaultError, Operations: []string{"GET imds/token"}, Status: 500}, identityToken, 500,
			`"error":"unknown","error_description":"Failed to retrieve token from the Active directory`},
		"tokens only": {Fault{Kind: FaultError, Operations: []string{"GET imds/token"}}, "instance", 200, "compute"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t)
			if _, err := c.twin.Arm(x.fault); err != nil {
				t.Fatal(err)
			}
			if w := c.metadata(x.path, "vm-1"); w.Code != x.status || !strings.Contains(w.Body.String(), x.says) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
}

func TestTheMetadataServiceGivesFewTokensAtATime(t *testing.T) {
	c := newClient(t)
	if _, err := c.twin.Arm(Fault{Kind: FaultSlow, Operations: []string{"GET imds/token"}, Delay: 2 * time.Second}); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	told := make([]int, 8)
	for i := range told {
		all.Go(func() { told[i] = c.metadata(identityToken, "vm-1").Code })
	}
	all.Wait()
	slices.Sort(told)
	if told[4] != http.StatusOK || told[5] != http.StatusTooManyRequests || told[0] != http.StatusOK {
		t.Errorf("%v", told)
	}
}

// A machine is found without a look at everything there is.
func TestAMachineIsFoundByItsName(t *testing.T) {
	c := newClient(t)
	const n = 3000
	if err := c.twin.Load(machines(n)); err != nil {
		t.Fatal(err)
	}
	if err := c.twin.Load(State{Resources: []json.RawMessage{json.RawMessage(`{"id":"/subscriptions/s2/resourceGroups/zz/providers/Microsoft.Compute/virtualMachines/Other","name":"Other","location":"northeurope"}`)}}); err != nil {
		t.Fatal(err)
	}
	c.metadata("versions", "") // the log takes its room
	var before, after runtime.MemStats
	for name, want := range map[string]string{"vm-00000": "vm-00000", "VM-02999": "vm-02999", "other": "Other", "": "vm-00000", "none": "none", "vm-0000": "vm-0000"} {
		c.clock.Advance(time.Second)
		runtime.ReadMemStats(&before)
		w := c.metadata("instance", name)
		runtime.ReadMemStats(&after)
		body := decoded(t, w)
		if got := arm.Text(body, "compute", "name"); got != want || (arm.Text(body, "compute", "resourceId") != "") != (name != "none" && name != "vm-0000") {
			t.Errorf("%q: %v", name, body)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 30_000 {
			t.Errorf("to find %q among %d took %d bytes", name, n, took)
		}
	}
}
