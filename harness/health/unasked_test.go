package health

import (
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// TestWhoCannotBeAskedMakesTheEndUnknown: a machine nobody can dial from is neither whole nor broken, whatever the time to settle was spent on.
func TestWhoCannotBeAskedMakesTheEndUnknown(t *testing.T) {
	const why = "machine worker-1: not supported by this provider"
	r := &Record{
		Topology: cluster.Topology{ControlPlanes: 1, Workers: 1}.Complete(), Unwhole: "kubelet on worker-1 does not answer: " + why,
		Final: observe.Observation{Time: time.Now(), Components: []observe.Component{{Name: observe.Kubelet, Machine: "worker-1", Error: why, Failure: cluster.Unasked}}},
	}
	if v, said := wholeAtEnd(r, nil, Params{}); v != plan.Unknown || !strings.Contains(said, why) {
		t.Errorf("%s: %s", v, said)
	}
	r.Final.Components[0].Failure = cluster.Refused
	if v, said := wholeAtEnd(r, nil, Params{}); v != plan.Fail {
		t.Errorf("%s: %s", v, said)
	}
}
