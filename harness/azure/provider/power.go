package provider

import (
	"cmp"
	"context"
	"net/http"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
	"drydock.dev/drydock/harness/azure/state"
)

// powerTag is where a machine's power state is kept, hidden from clients.
const powerTag = "drydockPowerState"

// powerStates are the power actions and the state each leaves; an empty one leaves it as it was.
func powerStates() map[string]string {
	return map[string]string{
		"powerOff": "stopped", "start": "running", "restart": "running", "deallocate": "deallocated", "reimage": "running", "redeploy": "running", "reapply": "",
	}
}

// evict takes a machine away as a spot machine's eviction does. Azure does it within half an hour of its 204, the twin before it.
func (m machinery) evict() resource.Action {
	return resource.Action{Code: http.StatusNoContent, Now: func(tx *resource.Tx, r *resource.Request, _ map[string]any) (map[string]any, *arm.Error) {
		return nil, m.power(tx, r.ID.Parent(), "simulateEviction", "deallocated")
	}}
}

func (m machinery) power(tx *resource.Tx, id arm.ID, name, state string) *arm.Error {
	if name == "start" && tx.Get(id) != nil {
		for _, d := range disksOf(tx.Get(id).Body()) {
			if ref, ok := arm.ParseID(arm.Text(d, "managedDisk", "id")); ok && tx.Get(ref) != nil {
				if bad := accessed(ref, tx.Get(ref).Body()); bad != nil {
					return bad
				}
			}
		}
	}
	if d := tx.Get(id); d != nil {
		machine := machineOf(d.ID, d.Body(), false)
		for i := range machine.Disks {
			machine.Disks[i].Fresh = false // it has been there
		}
		if err := m.do(tx, func(ctx context.Context, all Machines) error { return all.Power(ctx, machine, name) }); err != nil {
			return arm.Errorf(http.StatusConflict, "VMOperationFailed", "%s of '%s' failed: %v", name, id.Name(), err)
		}
	}
	if state == "" {
		return nil
	}
	tx.Edit(id, func(body map[string]any) { body[powerTag] = state })
	if d := tx.Get(id); d != nil {
		reserve(tx, d.Body(), state == "deallocated")
	}
	return nil
}

// going is the power state a machine is in while an action runs on it.
func going(v resource.View, id arm.ID) string {
	op, running := v.Running(id)
	if !running {
		return ""
	}
	return map[string]string{"action/poweroff": "stopping", "action/deallocate": "deallocating", "action/start": "starting"}[strings.ToLower(op.Verb)]
}

// viewVM is the instance view: what the machine does now.
func viewVM(v resource.View, id arm.ID) map[string]any {
	if d := v.Get(id.Top(1)); d != nil {
		return instanceView(v, d)
	}
	return nil
}

func instanceView(v resource.View, d *state.Document) map[string]any {
	body := d.Body()
	power, state := cmp.Or(going(v, d.ID), arm.Text(body, powerTag)), arm.Text(body, "properties", "provisioningState")
	now := arm.Timestamp(v.Now())
	return map[string]any{
		"vmAgent": map[string]any{"vmAgentVersion": "2.9.1.1", "statuses": []any{map[string]any{"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Ready", "time": now}}},
		"statuses": []any{
			map[string]any{"code": "ProvisioningState/" + strings.ToLower(state), "level": "Info", "displayStatus": "Provisioning " + strings.ToLower(state), "time": now},
			map[string]any{"code": "PowerState/" + power, "level": "Info", "displayStatus": "VM " + power},
		},
	}
}
