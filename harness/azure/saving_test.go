package azure

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
)

// savedOuter runs for a while: a public address, a machine with a secret, and deployments within it, one in the scope of its own, one in the outer's.
const savedOuter = `{"$schema":"x","contentVersion":"1.0.0.0","parameters":{"secret":{"type":"securestring","defaultValue":"hunter0"},"given":{"type":"secureObject"},"id":{"type":"string","defaultValue":"[newGuid()]"}},
	"variables":{"all":"[concat('x-', parameters('secret'))]"},
	"resources":[
	{"type":"Microsoft.Compute/disks","apiVersion":"1","name":"first","location":"westeurope","tags":{"id":"[parameters('id')]"},"properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":4}},
	{"type":"Microsoft.Compute/disks","apiVersion":"1","name":"late","location":"westeurope","dependsOn":["first"],"tags":{"id":"[parameters('id')]"},"properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":4}},
	{"type":"Microsoft.Resources/deployments","apiVersion":"1","name":"inner","properties":{"mode":"Incremental","expressionEvaluationOptions":{"scope":"inner"},"parameters":{"q":{"value":"[parameters('secret')]"},"n":{"value":"a"}},
		"template":{"$schema":"x","contentVersion":"1.0.0.0","parameters":{"q":{"type":"securestring","defaultValue":"hunter1"},"n":{"type":"string"},"own":{"type":"string","defaultValue":"[newGuid()]"}},"resources":[
			{"type":"Microsoft.Compute/disks","apiVersion":"1","name":"[concat('in-', parameters('n'))]","location":"westeurope","tags":{"own":"[parameters('own')]"},"properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":4}},
			{"type":"Microsoft.Compute/disks","apiVersion":"1","name":"in-b","location":"westeurope","dependsOn":["[concat('in-', parameters('n'))]"],"tags":{"own":"[parameters('own')]"},"properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":4}}],
			"outputs":{"own":{"type":"string","value":"[parameters('own')]"},"q":{"type":"securestring","value":"[parameters('q')]"}}}}},
	{"type":"Microsoft.Resources/deployments","apiVersion":"1","name":"outer","properties":{"mode":"Incremental","template":{"$schema":"x","contentVersion":"1.0.0.0","resources":[
			{"type":"Microsoft.Compute/disks","apiVersion":"1","name":"out-a","location":"westeurope","properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":4}}]}}}%s],
	"outputs":{"secret":{"type":"securestring","value":"[variables('all')]"},"own":{"type":"string","value":"[reference('inner').outputs.own.value]"}}}`

// A deployment that runs is saved without its secure parameters, and goes on in another process, deployments within it too: what was made is not made again.
func TestADeploymentThatWasSavedGoesOnWithoutItsSecrets(t *testing.T) {
	const deployments, disks = "resourceGroups/g/providers/Microsoft.Resources/deployments/", "resourceGroups/g/providers/Microsoft.Compute/disks/"
	const machine = `,{"type":"Microsoft.Compute/virtualMachines","apiVersion":"1","name":"vm","location":"westeurope","dependsOn":["late"],"properties":{"osProfile":{"adminPassword":"[parameters('secret')]"}}}`
	for _, x := range []struct{ about, more, want string }{
		{"that needs them no more", "", arm.Succeeded},
		{"that needs one", machine, arm.Failed},
	} {
		t.Run(x.about, func(t *testing.T) {
			c := grouped(t)
			c.twin.SetTiming("Microsoft.Compute/disks", state.Timing{Create: state.Span{Min: 10 * time.Minute, Max: 10 * time.Minute}})
			body := `{"properties":{"mode":"Incremental","parameters":{"secret":{"value":"hunter2"},"given":{"value":{"a":"hunter3"}}},"template":` + strings.Replace(savedOuter, "%s", x.more, 1) + `}}`
			c.want(http.StatusCreated, http.MethodPut, deployments+"d", body)
			for range 3 {
				c.clock.Advance(4 * time.Minute)
				c.twin.store.Settle()
			}
			raw, _ := json.Marshal(c.twin.State())
			for _, secret := range []string{"hunter0", "hunter1", "hunter2", "hunter3"} {
				if i := strings.Index(string(raw), secret); i >= 0 {
					t.Fatalf("the state tells it: …%s", raw[max(0, i-300):i+10])
				}
			}
			ids := func(c *client, names ...string) (out string) {
				for _, n := range names {
					d := c.want(http.StatusOK, http.MethodGet, disks+n, "")
					out += n + ":" + arm.Text(d, "properties", "uniqueId") + arm.Text(d, "properties", "timeCreated") + arm.Text(d, "tags", "id") + arm.Text(d, "tags", "own") + " "
				}
				return out
			}
			names := []string{"first", "late", "in-a", "in-b", "out-a"}
			was, begun := ids(c, names...), c.want(http.StatusOK, http.MethodGet, deployments+"inner", "")
			steps := c.want(http.StatusOK, http.MethodGet, deployments+"d/operations", "")

			other := c.again()
			other.twin.SetTiming("Microsoft.Compute/disks", state.Timing{Create: state.Span{Min: 10 * time.Minute, Max: 10 * time.Minute}})
			for range 8 {
				other.clock.Advance(4 * time.Minute)
				other.twin.store.Settle()
			}
			if is := ids(other, names...); is != was {
				t.Errorf("what was made was\n%s and is\n%s", was, is)
			}
			d := other.want(http.StatusOK, http.MethodGet, deployments+"d", "")
			if arm.Text(d, "properties", "provisioningState") != x.want {
				t.Errorf("it ended %s", arm.Marshal(arm.At(d, "properties")))
			}
			if x.want == arm.Failed && arm.Text(d, "properties", "error", "details", "0", "code") != "SecureParameterNotKept" {
				t.Errorf("%s", arm.Marshal(arm.At(d, "properties", "error")))
			}
			if x.want == arm.Succeeded && arm.Text(d, "properties", "outputs", "own", "value") == "" {
				t.Errorf("its outputs: %s", arm.Marshal(arm.At(d, "properties", "outputs")))
			}
			inner := other.want(http.StatusOK, http.MethodGet, deployments+"inner", "")
			if arm.Text(inner, "properties", "provisioningState") != arm.Succeeded || arm.Text(inner, "properties", "correlationId") != arm.Text(begun, "properties", "correlationId") || arm.Text(inner, "properties", "templateHash") != arm.Text(begun, "properties", "templateHash") {
				t.Errorf("within it: %s\nbefore: %s", arm.Marshal(arm.At(inner, "properties")), arm.Marshal(arm.At(begun, "properties")))
			}
			after := string(arm.Marshal(other.want(http.StatusOK, http.MethodGet, deployments+"d/operations", "")))
			for _, s := range arm.Objects(steps, "value") {
				if arm.Text(s, "properties", "provisioningState") == arm.Succeeded && !strings.Contains(after, string(arm.Marshal(s))) {
					t.Errorf("what it did is told otherwise: %s of %s", arm.Marshal(s), after)
				}
			}
		})
	}
}

// Where a name is secret it is not known what was made: the deployment ends, and says why, and the rest of the state is there.
func TestADeploymentWhoseNamesAreSecretEndsWhenItIsLoaded(t *testing.T) {
	c := grouped(t)
	c.deploy("d", `{"parameters":{"name":{"type":"securestring"}},"resources":[{"type":"Microsoft.Compute/disks","apiVersion":"1","name":"[parameters('name')]","location":"westeurope"}]}`, map[string]any{"name": "hidden"})
	other := c.again()
	d := other.want(http.StatusOK, http.MethodGet, "resourceGroups/g/providers/Microsoft.Resources/deployments/d", "")
	if arm.Text(d, "properties", "provisioningState") != arm.Failed || arm.Text(d, "properties", "error", "code") != "SecureParameterNotKept" {
		t.Errorf("%s", arm.Marshal(d))
	}
}
