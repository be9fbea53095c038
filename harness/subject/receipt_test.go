package subject

import (
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/plan"
)

func TestAFaultIsClearedByWhatItStruckOnly(t *testing.T) {
	began := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	const vmss, vm = "LIST Microsoft.Compute/virtualMachineScaleSets", "GET Microsoft.Compute/virtualMachines"
	call := func(minute int, operation string, status int, fault string) arm.Call {
		return arm.Call{Time: began.Add(time.Duration(minute) * time.Minute), Operation: operation, Status: status, Fault: fault}
	}
	throttled := func(minute int) arm.Call {
		c := call(minute, vmss, 429, "")
		c.Throttled = "HighCostGet"
		return c
	}
	f := azure.Fault{ID: "f", Kind: azure.FaultError, Began: began, For: 10 * time.Minute}
	load := azure.Fault{ID: "l", Kind: azure.FaultLoad, Began: began, For: 10 * time.Minute}
	for name, c := range map[string]struct {
		fault azure.Fault
		calls []arm.Call
		want  string
		says  string
	}{
		"struck and back":              {f, []arm.Call{call(1, vmss, 503, "f"), call(11, vmss, 200, "")}, plan.Confirmed, ""},
		"another call got through":     {f, []arm.Call{call(1, vmss, 503, "f"), call(11, vm, 200, "")}, plan.NotInjected, "nobody asked"},
		"it got through before":        {f, []arm.Call{call(1, vmss, 503, "f"), call(9, vmss, 200, "")}, plan.NotInjected, "nobody asked"},
		"one of two is back":           {f, []arm.Call{call(1, vmss, 503, "f"), call(2, vm, 503, "f"), call(11, vmss, 200, ""), call(11, vm, 503, "")}, plan.NotInjected, vm},
		"one of two is asked for":      {f, []arm.Call{call(1, vmss, 503, "f"), call(2, vm, 503, "f"), call(11, vmss, 200, "")}, plan.Confirmed, ""},
		"fails still":                  {f, []arm.Call{call(1, vmss, 503, "f"), call(11, vmss, 503, "")}, plan.NotInjected, vmss},
		"nothing struck":               {f, []arm.Call{call(1, vmss, 200, ""), call(11, vmss, 200, "")}, plan.Mismatch, "no call"},
		"somebody else's":              {f, []arm.Call{call(1, vmss, 503, "g"), call(11, vmss, 200, "")}, plan.Mismatch, "no call"},
		"load: throttled":              {load, []arm.Call{throttled(3), call(11, vmss, 200, "")}, plan.Confirmed, ""},
		"load: throttled before it":    {load, []arm.Call{throttled(-3), call(11, vmss, 200, "")}, plan.Mismatch, "no call"},
		"load: throttled after it too": {load, []arm.Call{throttled(3), throttled(12)}, plan.NotInjected, vmss},
	} {
		r := plan.Receipt{State: plan.NotInjected}
		proven(&r, c.fault, c.calls)
		if r.State != c.want || !strings.Contains(r.Error, c.says) || (r.State == plan.Confirmed) == r.ClearedAt.IsZero() {
			t.Errorf("%s: %+v, want %s saying %q", name, r, c.want, c.says)
		}
	}
}
