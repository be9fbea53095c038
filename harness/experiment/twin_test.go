package experiment

import (
	"strings"
	"testing"

	"drydock.dev/drydock/harness/azure/arm"
)

// besides is a scenario with a twin beside its cluster, or what is said instead of that.
func besides(t *testing.T, twin, steps, finally string) (*Scenario, error) {
	t.Helper()
	return Parse("beside.yaml", []byte(`apiVersion: drydock.dev/v1alpha1
kind: Scenario
metadata: {name: beside, about: of two}
spec:
  cluster: {controlPlanes: 3, workers: 2, version: v1.35}
  `+twin+`
  steps: [`+steps+`]
  finally: [`+finally+`]
`))
}

const observed = "observe: 2s"

func TestAScenarioWithATwinBesideItsCluster(t *testing.T) {
	const (
		throttle = `fault: {arm: {kind: throttle, operations: [DELETE Microsoft.Compute/virtualMachines], polls: true, resource: "*-1", retryAfter: 5, for: 3m}}`
		placed   = `{upgrade: {to: v1.36}, faults: [{at: control-plane/2/kubeadm, arm: {kind: throttle, for: 3m}}, {at: verify, arm: {kind: error}}]}`
	)
	for name, x := range map[string]struct {
		twin, steps, finally string
		wrong                string // what is said of it; empty: nothing is
		planned              []string
	}{
		"the plainest":  {"twin: {}", observed, "armResidue", "", []string{"start a twin of Azure Resource Manager beside it: current policy", "end the twin"}},
		"all of it":     {`twin: {policy: legacy, hostile: true, clock: "20", coTenants: [{model: L2, clusters: 5, scaleSets: 10}]}`, "{" + throttle + "}", "{armAmplification: {max: 1.2, principal: p}}, {armUnthrottled: {window: 30s}}, armThrottled", "", []string{"legacy policy, hostile, clock ×20, co-tenants: load of 5 clusters with 10 scale sets each, L2", "on *-1, on polls for 3m0s"}},
		"versions":      {"twin: {versions: {1.23.17: v1.35, 1.24.17: v1.36.3}}", observed, "", "", []string{"current policy, 1.23.17 stands for v1.35.4, 1.24.17 stands for v1.36.3"}},
		"no version":    {"twin: {versions: {1.23.17: v1.99}}", observed, "", "spec.twin: versions: 1.23.17", nil},
		"no twin":       {"workload: {}", observed, "", "", nil},
		"at steps":      {"twin: {}", placed, "", "", []string{"the fault (", "hold for 3m0s"}},
		"no policy":     {"twin: {policy: gentle}", observed, "", `throttling policy "gentle"`, nil},
		"a still clock": {"twin: {clock: virtual}", observed, "", "nobody would advance it", nil},
		"a bad clock":   {`twin: {clock: "-1"}`, observed, "", "clock is", nil},
		"a bad field":   {"twin: {policies: legacy}", observed, "", "known: policy, timings, hostile", nil},
		"a bad tenant":  {"twin: {coTenants: [{model: L9}]}", observed, "", "coTenants[0]: model", nil},
		"fault alone":   {"workload: {}", "{" + throttle + "}", "", "there is none: say `twin: {}`", nil},
		"placed alone":  {"workload: {}", placed, "", "there is none: say `twin: {}`", nil},
		"replace alone": {"workload: {}", "upgrade: {to: v1.36, strategy: replace}", "", "there is none: say `twin: {}`", nil},
		"replace":       {"twin: {}", "upgrade: {to: v1.36, strategy: replace}", "", "", []string{"control-plane/3/deploy: a new machine of that name at v1.36.3, by template", "surge/delete", "new machines, workers by surge"}},
		"dead":          {"twin: {}", `{upgrade: {to: v1.36}, faults: [{at: control-plane/2/kubeadm, machineDeadOnArrival: {resource: "*-2", for: 30s}}]}`, "", "", []string{"machineDeadOnArrival of *-2 for 30s"}},
		"dead alone":    {"workload: {}", `{fault: {machineDeadOnArrival: {resource: "*-2"}}}`, "", "there is none: say `twin: {}`", nil},
		"check alone":   {"workload: {}", observed, "armThrottled", "there is none: say `twin: {}`", nil},
		"a bad kind":    {"twin: {}", "{fault: {arm: {kind: thorttle}}}", "", "fault kind is", nil},
		"no kind":       {"twin: {}", "{fault: {arm: {for: 3s}}}", "", "fault kind is", nil},
		"a target":      {"twin: {}", "{fault: {arm: {kind: throttle, target: leader}}}", "", "", nil},
		"max of none":   {"twin: {}", observed, "{armThrottled: {max: 2}}", "takes no max", nil},
		"a small max":   {"twin: {}", observed, "{armAmplification: {max: 0.5}}", "one call is the least", nil},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := besides(t, x.twin, x.steps, x.finally)
			if (err == nil) != (x.wrong == "") || err != nil && !strings.Contains(err.Error(), x.wrong) {
				t.Fatalf("%v; want %q", err, x.wrong)
			}
			if name == "a target" {
				if _, err := s.Plan(1); err == nil || !strings.Contains(err.Error(), "its target is cluster") {
					t.Error(err)
				}
				return
			}
			if err != nil {
				return
			}
			text := planText(t, s, 1)
			for _, p := range x.planned {
				if !strings.Contains(text, p) {
					t.Errorf("%q is not planned:\n%s", p, text)
				}
			}
			if has := strings.Contains(text, "the twin"); has != (s.Spec.Twin != nil) {
				t.Errorf("the plan tells of a twin: %v\n%s", has, text)
			}
		})
	}
}

func TestWhatChecksNeedOfADocument(t *testing.T) {
	const vm = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/k8s-1"
	got := arm.ReadResource(map[string]any{"id": vm, "tags": map[string]any{"secret": "x"}, "properties": map[string]any{
		"provisioningState": "Succeeded", "osProfile": map[string]any{"computerName": "node-1", "adminPassword": "x"},
		"networkProfile": map[string]any{"networkInterfaces": []any{map[string]any{"id": "/nic"}}},
		"storageProfile": map[string]any{"osDisk": map[string]any{"managedDisk": map[string]any{"id": "/os"}}, "dataDisks": []any{map[string]any{"managedDisk": map[string]any{"id": "/data"}}}},
	}})
	if got.Machine != "node-1" || got.State != "Succeeded" || strings.Join(got.Has, " ") != "/nic /os /data" {
		t.Errorf("%+v", got)
	}
	const instance = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/set/virtualMachines/7"
	got = arm.ReadResource(map[string]any{"id": instance, "properties": map[string]any{
		"osProfile": map[string]any{"computerName": "set000007"}, "networkProfile": map[string]any{"networkInterfaces": []any{map[string]any{"id": instance + "/networkInterfaces/nic"}}},
		"storageProfile": map[string]any{"dataDisks": []any{map[string]any{"managedDisk": map[string]any{"id": "/data"}}}},
	}})
	if got.Machine != "set000007" || strings.Join(got.Has, " ") != "/data" {
		t.Errorf("%+v: an interface within an instance is no resource of its own", got)
	}
	disk := arm.ReadResource(map[string]any{"id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/disks/d", "managedBy": vm})
	nic := arm.ReadResource(map[string]any{"id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/networkInterfaces/n", "properties": map[string]any{"virtualMachine": map[string]any{"id": vm}}})
	if disk.By != vm || nic.By != vm || disk.Machine+nic.Machine != "" {
		t.Errorf("%+v, %+v", disk, nic)
	}
}
