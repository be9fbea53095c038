package azure

import (
	"net/http"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/azure/arm"
)

const twoMachines = `{"resources":[
	{"type":"Microsoft.Network/publicIPAddresses","apiVersion":"1","name":"ip","location":"westeurope"},
	{"type":"Microsoft.Compute/virtualMachines","apiVersion":"1","name":"a","location":"westeurope","properties":{"hardwareProfile":{"vmSize":"Standard_D4s_v3"}}},
	{"type":"Microsoft.Compute/virtualMachines","apiVersion":"1","name":"b","location":"westeurope","properties":{"hardwareProfile":{"vmSize":"Standard_D8s_v3"}}}]}`

// A quota that has no room, and a size that is not to be had, are seen before anything is made: a resource made before left half a deployment behind.
func TestWhatAProviderWouldRefuseIsToldBeforeAnythingIsMade(t *testing.T) {
	const d = "resourceGroups/g/providers/Microsoft.Resources/deployments/d"
	for _, x := range []struct {
		about, method, path string
		fault               Fault
		codes               string
	}{
		{"quota", http.MethodPut, d, Fault{Kind: FaultQuota}, "QuotaExceeded QuotaExceeded"},
		{"quota of a size", http.MethodPut, d, Fault{Kind: FaultQuota, Size: "Standard_D8s_v3"}, "QuotaExceeded"},
		{"validated", http.MethodPost, d + "/validate", Fault{Kind: FaultQuota}, "QuotaExceeded QuotaExceeded"},
		{"asked what it would do", http.MethodPost, d + "/whatIf", Fault{Kind: FaultSKU}, "SkuNotAvailable SkuNotAvailable"},
		{"code of one's own", http.MethodPut, d, Fault{Kind: FaultSKU, Code: "Mine", Count: 1}, "Mine"},
		{"asynchronous", http.MethodPut, d, Fault{Kind: FaultQuota, Answer: AnswerAsync}, ""},
		{"allocation", http.MethodPut, d, Fault{Kind: FaultAllocation, Answer: AnswerSync}, ""},
	} {
		t.Run(x.about, func(t *testing.T) {
			c := grouped(t)
			if _, err := c.twin.Arm(x.fault); err != nil {
				t.Fatal(err)
			}
			w := c.do(x.method, x.path, `{"properties":{"mode":"Incremental","template":`+whole(twoMachines)+`}}`)
			body := decoded(t, w)
			var codes []string
			for _, e := range arm.Objects(body, "error", "details") {
				codes = append(codes, arm.Text(e, "code"))
			}
			if strings.Join(codes, " ") != x.codes {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if x.codes == "" {
				return
			}
			if w.Code != http.StatusBadRequest || arm.Text(body, "error", "code") != "InvalidTemplateDeployment" || !strings.Contains(arm.Text(body, "error", "message"), "The template deployment 'd' is not valid according to the validation procedure. The tracking id is '") {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if n := len(c.twin.store.View().All()); n != 1 {
				t.Errorf("%d documents are there", n)
			}
		})
	}
}

// What depends on a resource that is not there yet is looked at when its turn comes.
func TestWhatIsNotKnownBeforeIsRefusedInItsTurn(t *testing.T) {
	c := grouped(t)
	if _, err := c.twin.Arm(Fault{Kind: FaultQuota}); err != nil {
		t.Fatal(err)
	}
	c.deploy("d", `{"resources":[{"type":"Microsoft.Network/publicIPAddresses","apiVersion":"1","name":"ip","location":"westeurope"},
		{"type":"Microsoft.Compute/virtualMachines","apiVersion":"1","name":"a","location":"westeurope","tags":{"ip":"[reference('ip').ipAddress]"},"properties":{"hardwareProfile":{"vmSize":"Standard_D4s_v3"}}}]}`, nil)
	for range 5 {
		c.pass()
	}
	d := c.want(http.StatusOK, http.MethodGet, "resourceGroups/g/providers/Microsoft.Resources/deployments/d", "")
	if arm.Text(d, "properties", "error", "code") != "DeploymentFailed" || arm.Text(d, "properties", "error", "details", "0", "code") != "OperationNotAllowed" {
		t.Errorf("%s", arm.Marshal(d))
	}
}
