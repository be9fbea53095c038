package azure

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// TestNoErrorOfADeploymentTellsWhatIsSecure gives secure values to what cannot read them, and looks for them in answers, operations and the saved state.
func TestNoErrorOfADeploymentTellsWhatIsSecure(t *testing.T) {
	const mark = `planted-"Secret-0123`
	disk := func(value string) string {
		return `{"type":"Microsoft.Compute/disks","apiVersion":"2024-03-02","name":"a","location":"westeurope","properties":{"diskSizeGB":"` + value + `"}}`
	}
	nested := func(more, resources string) string {
		return `{"type":"Microsoft.Resources/deployments","apiVersion":"2022-09-01","name":"within","properties":{"mode":"Incremental",` + more + `"template":` + whole(`{"parameters":{"q":{"type":"string","defaultValue":""}},"resources":[`+resources+`]}`) + `}}`
	}
	for name, tpl := range map[string]string{
		"short":   `{"parameters":{"p":{"type":"secureString","minLength":50}},"resources":[]}`,
		"allowed": `{"parameters":{"p":{"type":"secureString","allowedValues":["x"]}},"resources":[]}`,
		"name":    `{"parameters":{"p":{"type":"secureString"}},"resources":[{"type":"Microsoft.Compute/disks","apiVersion":"2024-03-02","name":"[json(parameters('p'))]","location":"westeurope"}]}`,
		"output":  `{"parameters":{"p":{"type":"secureString"}},"resources":[],"outputs":{"o":{"type":"string","value":"[base64ToString(parameters('p'))]"}}}`,
		"number":  `{"parameters":{"p":{"type":"secureString"}},"resources":[` + disk(`[parameters('p')]`) + `]}`,
		"object":  `{"parameters":{"p":{"type":"secureString"}},"resources":[{"type":"Microsoft.Compute/virtualMachines","apiVersion":"2024-03-02","name":"a","location":"westeurope","properties":{"osProfile":"[parameters('p')]"}}]}`,
		"outer":   `{"parameters":{"p":{"type":"secureString"}},"resources":[` + nested("", disk(`[parameters('p')]`)) + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t)
			c.group()
			const d = "resourceGroups/g/providers/Microsoft.Resources/deployments/"
			value, _ := json.Marshal(mark)
			all := c.do(http.MethodPut, d+"d", `{"properties":{"mode":"Incremental","parameters":{"p":{"value":`+string(value)+`}},"template":`+whole(tpl)+`}}`).Body.String()
			for range 4 {
				c.pass()
			}
			for _, path := range []string{d + "d", d + "d/operations", d + "within", d + "within/operations"} {
				all += c.do(http.MethodGet, path, "").Body.String()
			}
			state, err := json.Marshal(c.twin.State())
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(all, `"error"`) {
				t.Errorf("nothing failed: %s", all)
			}
			if all += string(state); strings.Contains(all, "Secret-0123") {
				i := strings.Index(all, "Secret-0123")
				t.Errorf("...%s", all[max(0, i-300):i+20])
			}
		})
	}
}
