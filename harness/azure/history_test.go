package azure

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
)

// past has a group remember so many deployments, a second apart.
func (c *client) past(n int) {
	for i := range n {
		c.twin.store.Write(testSubscription, func(tx *state.Tx) {
			id := arm.ID{Subscription: testSubscription, ResourceGroup: "g", Provider: "Microsoft.Resources", Types: []string{"deployments"}, Names: []string{"d" + strconv.Itoa(i)}}
			tx.Put(id, map[string]any{"properties": map[string]any{"provisioningState": arm.Succeeded, "timestamp": arm.Timestamp(c.clock.Now().Add(time.Duration(i-n) * time.Second))}})
		})
	}
}

func (c *client) deployments() int {
	n := 0
	for _, doc := range c.twin.store.View().All() {
		if doc.ID.Type() == "Microsoft.Resources/deployments" {
			n++
		}
	}
	return n
}

// The oldest deployments go by themselves, unless a lock keeps them.
func TestOldDeploymentsAreDeleted(t *testing.T) {
	const empty = `{"properties":{"mode":"Incremental","template":{"$schema":"x","contentVersion":"1.0.0.0","resources":[]}}}`
	const root = "resourceGroups/g/providers/Microsoft.Resources/deployments/"
	c := grouped(t)
	c.past(699)
	c.want(http.StatusCreated, http.MethodPut, root+"new", empty)
	c.pass()
	if n := c.deployments(); n != 700 {
		t.Errorf("of 700, %d are left", n)
	}
	c.want(http.StatusCreated, http.MethodPut, root+"newer", empty)
	c.want(http.StatusOK, http.MethodPost, root+"asked/validate", empty)
	c.pass()
	if n := c.deployments(); n != 600 {
		t.Errorf("of 701, %d are left", n)
	}
	c.want(http.StatusOK, http.MethodGet, root+"new", "")
	c.want(http.StatusNotFound, http.MethodGet, root+"d100", "")
	c.want(http.StatusOK, http.MethodGet, root+"d101", "")

	locked := grouped(t)
	locked.past(800)
	locked.do(http.MethodPut, "resourceGroups/g/providers/Microsoft.Authorization/locks/l", `{"properties":{"level":"CanNotDelete"}}`)
	for range 2 {
		if w := locked.do(http.MethodPut, root+"new", empty); w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "DeploymentQuotaExceeded") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		locked.pass()
	}
	locked.do(http.MethodDelete, "resourceGroups/g/providers/Microsoft.Authorization/locks/l", "")
	locked.do(http.MethodPut, root+"new", empty)
	locked.pass()
	locked.want(http.StatusCreated, http.MethodPut, root+"new", empty)
}

// A deployment that fails has the last that succeeded deployed again, as it was and in complete mode, or the one it names.
func TestADeploymentThatFailsFallsBack(t *testing.T) {
	const root, ips = "resourceGroups/g/providers/Microsoft.Resources/deployments/", netRoot + "publicIPAddresses/"
	body := func(more, tag, resources string) string {
		return `{"tags":{"team":"a"},"properties":{"mode":"Incremental"` + more + `,"parameters":{"tag":{"value":"` + tag + `"},"secret":{"value":"hidden"}},"template":{"$schema":"x","contentVersion":"1.0.0.0","parameters":{"tag":{"type":"string"},"secret":{"type":"securestring"}},"resources":[` + resources + `]}}}`
	}
	ip := func(name string) string {
		return `{"type":"Microsoft.Network/publicIPAddresses","apiVersion":"1","name":"` + name + `","location":"westeurope","tags":{"tag":"[parameters('tag')]","length":"[string(length(parameters('secret')))]"}}`
	}
	const bad = `,{"type":"Microsoft.Network/networkInterfaces","apiVersion":"1","name":"nic","location":"westeurope","dependsOn":["b"],"properties":{"ipConfigurations":[{"name":"c","properties":{"subnet":{"id":"/subscriptions/` + testSubscription + `/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/nope/subnets/s"}}}]}}`
	for _, x := range []struct{ about, onError, name, tag string }{
		{"last", `,"onErrorDeployment":{"type":"LastSuccessful"}`, "second", "two"},
		{"named", `,"onErrorDeployment":{"type":"specificDeployment","deploymentName":"first"}`, "first", "one"},
	} {
		t.Run(x.about, func(t *testing.T) {
			c := grouped(t)
			for i, name := range []string{"first", "second"} {
				c.want(http.StatusCreated, http.MethodPut, root+name, body("", []string{"one", "two"}[i], ip("a")))
				c.pass()
			}
			c.want(http.StatusCreated, http.MethodPut, root+"third", body(x.onError, "three", ip("b")+bad))
			for range 6 {
				c.pass()
			}
			d := c.want(http.StatusOK, http.MethodGet, root+"third", "")
			if arm.Text(d, "properties", "provisioningState") != arm.Failed || arm.Text(d, "properties", "onErrorDeployment", "deploymentName") != x.name || arm.Text(d, "properties", "onErrorDeployment", "provisioningState") != arm.Succeeded || arm.Text(d, "tags", "team") != "a" {
				t.Errorf("%s", arm.Marshal(d))
			}
			if again := c.want(http.StatusOK, http.MethodGet, root+x.name, ""); arm.Text(again, "properties", "mode") != "Complete" {
				t.Errorf("%s", arm.Marshal(again))
			}
			c.want(http.StatusNotFound, http.MethodGet, ips+"b", "")
			if a := c.want(http.StatusOK, http.MethodGet, ips+"a", ""); arm.Text(a, "tags", "tag") != x.tag || arm.Text(a, "tags", "length") != "6" {
				t.Errorf("%s", arm.Marshal(a))
			}
		})
	}
	c := grouped(t)
	for more, want := range map[string]string{
		`,"onErrorDeployment":{"type":"SpecificDeployment","deploymentName":"none"}`: "DeploymentNotFound",
		`,"onErrorDeployment":{"type":"Undo"}`:                                       "Path 'properties.onErrorDeployment.type'",
	} {
		if w := c.do(http.MethodPut, root+"d", body(more, "x", "")); w.Code < 400 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", more, w.Code, w.Body)
		}
	}
}

// debugSetting has operations tell what was sent and answered; passwords are in neither.
func TestOperationsTellRequestsAndResponses(t *testing.T) {
	c := grouped(t)
	const d = "resourceGroups/g/providers/Microsoft.Resources/deployments/d"
	c.want(http.StatusCreated, http.MethodPut, d, `{"properties":{"mode":"Incremental","debugSetting":{"detailLevel":"requestContent, responseContent"},"template":{"$schema":"x","contentVersion":"1.0.0.0","resources":[
		{"type":"Microsoft.Compute/virtualMachines","apiVersion":"1","name":"vm","location":"westeurope","properties":{"osProfile":{"computerName":"vm","adminPassword":"hunter2"}}}]}}}`)
	for range 5 {
		c.pass()
	}
	w := c.do(http.MethodGet, d+"/operations", "")
	op := arm.Objects(decoded(t, w), "value")[0]
	if arm.Text(op, "properties", "request", "content", "properties", "osProfile", "computerName") != "vm" || arm.Text(op, "properties", "response", "content", "properties", "provisioningState") != arm.Succeeded || strings.Contains(w.Body.String(), "hunter2") {
		t.Errorf("%s", w.Body)
	}
	if got := c.want(http.StatusOK, http.MethodGet, d, ""); arm.Text(got, "properties", "debugSetting", "detailLevel") != "requestContent, responseContent" {
		t.Errorf("%s", arm.Marshal(got))
	}
}
