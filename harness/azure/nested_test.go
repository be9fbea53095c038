package azure

import (
	"net/http"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
)

// around is a deployment with another within it, in a group of its own, that makes a disk.
const around = `{"$schema":"x","contentVersion":"1.0.0.0","resources":[{"type":"Microsoft.Resources/deployments","apiVersion":"2021-04-01","name":"inner","resourceGroup":"other","properties":{"mode":"Incremental","expressionEvaluationOptions":{"scope":"inner"},
	"template":{"$schema":"x","contentVersion":"1.0.0.0","resources":[{"type":"Microsoft.Compute/disks","apiVersion":"2021-04-01","name":"d","location":"westeurope","properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":4}}]}}}]}`

// TestADeploymentWithinAnotherEndsWithIt: one whose group went left the one around it Running for ever, one whose outer was canceled stayed Running itself,
// and while it ran it could be replaced and deleted, for it has no operation of its own.
func TestADeploymentWithinAnotherEndsWithIt(t *testing.T) {
	const inner, outer = "resourceGroups/other/providers/Microsoft.Resources/deployments/inner", "resourceGroups/g/providers/Microsoft.Resources/deployments/outer"
	for _, x := range []struct {
		about, method, path, body string
		status                    int
		inner, outer              string // at the end; empty: it is gone
	}{
		{"its group goes", http.MethodDelete, "resourceGroups/other", "", http.StatusAccepted, "", arm.Failed},
		{"the outer's group goes", http.MethodDelete, "resourceGroups/g", "", http.StatusAccepted, arm.Canceled, ""},
		{"the outer is canceled", http.MethodPost, outer + "/cancel", "", http.StatusNoContent, arm.Canceled, arm.Canceled},
		{"it is deleted", http.MethodDelete, inner, "", http.StatusConflict, arm.Succeeded, arm.Succeeded},
		{"it is replaced", http.MethodPut, inner, `{"properties":{"mode":"Incremental","template":{"$schema":"x","contentVersion":"1.0.0.0","resources":[]}}}`, http.StatusConflict, arm.Succeeded, arm.Succeeded},
	} {
		t.Run(x.about, func(t *testing.T) {
			c := grouped(t)
			c.want(http.StatusCreated, http.MethodPut, "resourceGroups/other", `{"location":"westeurope"}`)
			c.twin.SetTiming("Microsoft.Compute/disks", state.Timing{Create: state.Span{Min: 20 * time.Minute, Max: 20 * time.Minute}})
			if status, body := c.deploy("outer", around, nil); status >= http.StatusBadRequest {
				t.Fatalf("%d %s", status, arm.Marshal(body))
			}
			c.want(http.StatusOK, http.MethodGet, inner, "")
			if w := c.do(x.method, x.path, x.body); w.Code != x.status {
				t.Errorf("%d %s, want %d", w.Code, w.Body, x.status)
			}
			for range 15 {
				c.pass()
			}
			for path, want := range map[string]string{inner: x.inner, outer: x.outer} {
				if got := arm.Text(decoded(t, c.do(http.MethodGet, path, "")), "properties", "provisioningState"); got != want {
					t.Errorf("%s ended %q, want %q", path, got, want)
				}
			}
		})
	}
}
