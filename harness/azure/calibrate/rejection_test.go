package calibrate

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/proxy"
)

// The bodies are as users reported them of the real service: Azure/AKS#1278 (hourly), elastic/integrations#8575 (of an action), aks-engine#3097 (of
// Microsoft.Compute), pulumi-azure-native#3720 (a lock), the documentation's of the gateway, and the support article's of its storage.
func TestARejectionIsReadInTheRealOnesWords(t *testing.T) {
	const vms = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines"
	left := func(policies ...string) http.Header {
		return http.Header{"X-Ms-Ratelimit-Remaining-Resource": policies}
	}
	for name, c := range map[string]struct {
		path, body string
		header     http.Header
		want       rejection
	}{
		"of the gateway": {vms, `{"error":{"code":"SubscriptionRequestsThrottled","message":"Number of 'read' requests for subscription 's' actor 'a' exceeded. Please try again after '10' seconds after additional tokens are available."}}`,
			nil, rejection{gateway: true, scope: ofPrincipal}},
		"of the gateway, for all": {vms, `{"error":{"code":"SubscriptionRequestsThrottled","message":"x"}}`,
			http.Header{"X-Ms-Ratelimit-Remaining-Subscription-Reads": {"17"}, "X-Ms-Ratelimit-Remaining-Subscription-Global-Reads": {"0"}}, rejection{gateway: true, scope: ofGlobal}},
		"of the gateway, in an hour": {vms, `{"error":{"code":"SubscriptionRequestsThrottled","message":"Number of read requests for subscription 's' exceeded the limit of '12000' for time interval '01:00:00'. Please try again after '300' seconds."}}`,
			nil, rejection{gateway: true, scope: ofPrincipal, allowed: 12000, interval: time.Hour}},
		"outside subscriptions": {"/subscriptions", `{"error":{"code":"TenantRequestsThrottled","message":"x"}}`, nil, rejection{gateway: true, scope: ofTenant}},
		"of the gateway's storage": {vms, `{"error":{"code":"SubscriptionRequestsThrottled","message":"Number of requests for subscription 's' and operation 'GET/X' exceeded the backend storage limit. Please try again after '6' seconds."}}`,
			nil, rejection{other: "the backend storage limit, which no header counts"}},
		"of an action": {"/subscriptions/s/providers/Microsoft.Insights/metricDefinitions", `{"error":{"code":"ResourceRequestsThrottled","message":"Number of requests for action 'Microsoft.Insights/metricDefinitions/read' exceeded the limit of '400' for time interval '00:05:00'. Please try again after '309' seconds."}}`,
			nil, rejection{policy: "Microsoft.Insights/metricDefinitions/read", scope: ofSubscription, allowed: 400, interval: 5 * time.Minute}},
		"of Microsoft.Compute": {vms, `{"error":{"code":"OperationNotAllowed","message":"The server rejected the request because too many requests have been received for this subscription.","details":[{"code":"TooManyRequests","target":"HighCostGet30Min","message":"{\"operationGroup\":\"HighCostGet30Min\",\"startTime\":\"2018-06-29T19:54:21.0914017+00:00\",\"endTime\":\"2018-06-29T20:14:21.0914017+00:00\",\"allowedRequestCount\":800,\"measuredRequestCount\":1238}"}],"innererror":{"internalErrorCode":"TooManyRequestsReceived"}}}`,
			left("Microsoft.Compute/HighCostGet3Min;46,Microsoft.Compute/HighCostGet30Min;0"), rejection{policy: "Microsoft.Compute/HighCostGet30Min", scope: ofSubscription, allowed: 800, interval: 30 * time.Minute}},
		"of one machine, unwrapped": {vms + "/vm", `{"code":"OperationNotAllowed","details":[{"code":"TooManyRequests","target":"UpdateVM","message":"{\"allowedRequestCount\":12}"}]}`,
			left("Microsoft.Compute/UpdateVM;1400"), rejection{policy: "Microsoft.Compute/UpdateVM", scope: ofResource, allowed: 12}},
		"of the network, by its header": {"/subscriptions/s/providers/Microsoft.Network/virtualNetworks", `{"error":{"code":"TooManyRequests"}}`, left("Microsoft.Network/Read;0"), rejection{policy: "Microsoft.Network/Read", scope: ofSubscription}},
		"a lock":                        {vms, `{"error":{"code":"RetryableError","message":"A retryable error occurred.","details":[{"code":"RetryableErrorDueToAnotherOperation","message":"x"}]}}`, nil, rejection{other: "another operation on the same resource, no budget"}},
		"a body that was left out":      {vms, "", nil, rejection{other: "a limit that neither its body nor its headers name"}},
	} {
		read := newReader()
		calls := read.calls([]proxy.Exchange{{Time: time.Unix(1, 0), Method: http.MethodGet, URL: "https://management.azure.com" + c.path, Status: 429, Response: c.header, Got: c.body}})
		got := *calls[0].rejected
		if c.want.other != "" {
			got = rejection{other: got.other}
		}
		if got != c.want {
			t.Errorf("%s: %+v; wanted %+v", name, got, c.want)
		}
		if text := newLedger(calls).measured(); c.want.other == "" && len(text) == 0 {
			t.Errorf("%s: no budget", name)
		}
	}
}

func TestAnOperationIsNamedByWhatIsKnownOfItsResource(t *testing.T) {
	at := time.Unix(0, 0)
	do := func(method, path string, status int, body string) proxy.Exchange {
		at = at.Add(time.Second)
		return proxy.Exchange{Time: at, Method: method, URL: "https://management.azure.com/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/" + path + "?api-version=1", Status: status, Got: body}
	}
	all := []proxy.Exchange{
		do("PUT", "disks/a", 202, ""), do("PUT", "disks/A", 200, ""), do("DELETE", "disks/a", 202, ""), do("PUT", "disks/a", 202, ""), do("GET", "disks/b", 404, ""), do("PUT", "disks/b", 200, ""),
		do("PUT", "disks/c", 200, ""), do("PUT", "virtualMachines/v", 201, ""), do("GET", "virtualMachines", 200, `{"value":[]}`), do("GET", "virtualMachines/v/instanceView", 200, `{"statuses":[]}`),
		do("POST", "virtualMachines/v/restart", 202, ""), do("GET", "locations/westeurope/operations/1", 200, ""), do("PATCH", "virtualMachines/v", 200, ""), do("GET", "virtualMachines/v/instanceView", 429, ""),
	}
	read := newReader()
	var got []string
	for _, c := range read.calls(all) {
		got = append(got, strings.ReplaceAll(c.operation, "Microsoft.Compute/", ""))
	}
	want := "CREATE disks, UPDATE disks, DELETE disks, CREATE disks, GET disks, CREATE disks, UPDATE disks, CREATE virtualMachines, LIST virtualMachines, GET virtualMachines/instanceView, " +
		"POST virtualMachines/restart, GET locations/operations, UPDATE virtualMachines, GET virtualMachines/instanceView"
	if strings.Join(got, ", ") != want || read.guessed != 1 {
		t.Errorf("%q, %d guessed; wanted %q", got, read.guessed, want)
	}
}
