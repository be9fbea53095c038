package azure

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/throttle"
)

// FuzzRouter sends whatever there is: the twin must not panic, and must not answer 5xx where Azure would not.
func FuzzRouter(f *testing.F) {
	p, err := throttle.LoadPolicy("current")
	if err != nil {
		f.Fatal(err)
	}
	const vm = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm"
	for _, seed := range [][3]string{
		{"GET", vm + "?api-version=2024-03-01&$expand=instanceView", ""},
		{"PUT", vm, `{"location":"westeurope","properties":{"networkProfile":{"networkInterfaces":[{"id":7}]},"storageProfile":{"dataDisks":[{"lun":0,"createOption":"Attach"}]}}}`},
		{"PUT", "/subscriptions/s/resourceGroups/g", `{"location":"westeurope"}`},
		{"POST", vm + "/restart", ""},
		{"PATCH", vm, `{"properties":null}`},
		{"DELETE", vm + "/extensions/e", ""},
		{"GET", "/subscriptions/s/providers/Microsoft.Compute/virtualMachines?$top=x&$skiptoken=%00&$filter=a eq 'b'", ""},
		{"PUT", "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/v", `{"location":"westeurope","sku":{"capacity":2}}`},
		{"GET", "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/v/virtualMachines/0/networkInterfaces", ""},
		{"PUT", "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n/subnets/a", `{"properties":[]}`},
		{"GET", "/subscriptions/s/providers/Microsoft.Compute/locations/l/operations/o", ""},
		{"POST", "/subscriptions/s/providers/Microsoft.Compute/register", ""},
		{"GET", "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm/providers/Microsoft.Authorization/roleAssignments/r", ""},
		{"PUT", "/subscriptions/s/providers/Microsoft.Authorization/roleAssignments/r", `{"properties":{"roleDefinitionId":"d","principalId":"p"}}`},
		{"POST", "/t/oauth2/v2.0/token", "grant_type=client_credentials&client_id=c"},
		{"GET", "/metadata/endpoints", ""},
		{"PUT", "/subscriptions/s/resourceGroups/g/providers/Microsoft.Resources/deployments/d", `{"properties":{"mode":"Incremental","parameters":{"p":{"value":1}},"template":{"$schema":"x","contentVersion":"1.0.0.0","parameters":{"p":{"type":"int"}},"resources":[{"apiVersion":"1","type":"Microsoft.Network/publicIPAddresses","name":"[concat('a',copyIndex())]","copy":{"name":"c","count":2},"location":"westeurope"}],"outputs":{"o":{"type":"string","value":"[reference('a0').ipAddress]"}}}}}`},
		{"GET", "/subscriptions/s/resourceGroups/g/providers/Microsoft.Resources/deployments/d/operations/o", ""},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, method, path, body string) {
		if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, " \x7f") || len(method) > 10 {
			return
		}
		clock := arm.NewVirtualClock(time.Now())
		twin, err := New(signed(t, Options{Clock: clock, Policy: p}))
		if err != nil {
			t.Fatal(err)
		}
		token, err := twin.identity.Tokens.Issue("me", "https://management.azure.com/", DefaultTenant)
		if err != nil {
			t.Fatal(err)
		}
		send := func(method, path, body string) {
			r, err := http.NewRequestWithContext(t.Context(), method, "https://h"+path, strings.NewReader(body))
			if err != nil {
				return
			}
			r.Host = "h"
			r.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			twin.ServeHTTP(w, r)
			if w.Code >= 500 {
				t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
			}
		}
		const v = "?api-version=2024-03-01"
		send("PUT", "/subscriptions/s/resourceGroups/g"+v, `{"location":"westeurope"}`)
		send("PUT", vm+v, `{"location":"westeurope","properties":{}}`)
		send("PUT", "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/v"+v, `{"location":"westeurope","sku":{"capacity":1}}`)
		clock.Advance(5 * time.Minute)
		if !strings.Contains(path, "api-version") {
			path += map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")] + v[1:]
		}
		send(method, path, body)
		clock.Advance(5 * time.Minute)
		send("GET", vm+v, "")
		for _, op := range twin.store.View().Operations() { // a mistake made in an operation is told by it alone
			if op.Failure != nil && op.Failure.Code == arm.MistakeCode {
				t.Fatalf("%s %s: %s of %s: %v", method, path, op.Verb, op.Target, op.Failure)
			}
		}
		for _, doc := range twin.State().Resources {
			if strings.Contains(string(doc), arm.MistakeCode) {
				t.Fatalf("%s %s: %s", method, path, doc)
			}
		}
	})
}
