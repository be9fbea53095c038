package replace

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/upgrade"
	"drydock.dev/drydock/harness/upgrade/replace/manager"
)

// What the machines of a fleet may do in their resource group.
const (
	roleAssignments = "Microsoft.Authorization/roleAssignments"
	contributor     = "/subscriptions/" + azure.DefaultSubscription + "/providers/Microsoft.Authorization/roleDefinitions/b24988ac-6180-42a0-ab88-20f7382dd24c"
)

// permitted says which machines may not do what they might before, and who may that is gone.
func (f *fleet) permitted(t *testing.T) {
	t.Helper()
	machines, roles := map[string]string{}, map[string]int{} // by principal
	for _, raw := range f.twin.State().Resources {
		var d struct {
			ID, Name   string
			Identity   manager.Identity
			Properties map[string]any
		}
		if err := json.Unmarshal(raw, &d); err != nil {
			t.Fatal(err)
		}
		switch {
		case strings.Contains(d.ID, "/extensions/"):
		case strings.Contains(d.ID, manager.VirtualMachines+"/"):
			if d.Identity.Principal == "" {
				t.Errorf("%s has no identity", d.Name)
			}
			machines[d.Identity.Principal] = d.Name
		case strings.Contains(d.ID, roleAssignments+"/"):
			if principal, _ := d.Properties["principalId"].(string); d.Properties["roleDefinitionId"] == contributor {
				roles[principal]++
			}
		}
	}
	for principal, name := range machines {
		if roles[principal] != 1 {
			t.Errorf("%s has its role %d times", name, roles[principal])
		}
	}
	for principal := range roles {
		if machines[principal] == "" {
			t.Errorf("%s has a role, and is gone", principal)
		}
	}
}

// TestAMachineThatTheCloudDoesNotKnow: a template that gives a machine no identity makes one that is whole, and the upgrade goes no further.
func TestAMachineThatTheCloudDoesNotKnow(t *testing.T) {
	within(t, azure.Options{}, func(t *testing.T, f *fleet) {
		t.Helper()
		dir := scratch(t)
		without := strings.NewReplacer(`, "identity": "[parameters('identity')]"`, "", `    "identity": {"type": "object"},`, "").Replace(string(machineTemplate))
		if err := os.WriteFile(dir+"/t.json", []byte(without), 0o600); err != nil {
			t.Fatal(err)
		}
		a := f.upgrade(dir, upgrade.Spec{Template: dir + "/t.json"}, 0, false)
		if a.err == nil || !strings.Contains(a.said("control-plane/1/gate"), "control-plane-1 lacks an identity of its own") || !strings.Contains(a.err.Error(), "must take identity") {
			t.Errorf("%v", a.err)
		}
		if h := f.hosts["control-plane-2"]; h == nil || h.version != from {
			t.Errorf("it went on: %+v", h)
		}
	})
}
