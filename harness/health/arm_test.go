package health

import (
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/plan"
)

func armBegan() time.Time { return time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC) }

// armCalls are so many calls of a principal, a second apart from a time of the run on.
func armCalls(principal string, n, status int, from time.Duration) (out []arm.Call) {
	for i := range n {
		out = append(out, arm.Call{Time: armBegan().Add(from + time.Duration(i)*time.Second), Operation: "GET Microsoft.Compute/virtualMachines", Principal: principal, Status: status})
	}
	return out
}

func armRecord(calls ...[]arm.Call) *Record {
	a := &ARM{Policy: "current policy", Began: armBegan(), Ended: armBegan().Add(10 * time.Minute), Machines: []string{"control-plane-1"}}
	for _, c := range calls {
		a.Calls = append(a.Calls, c...)
	}
	return &Record{ARM: a}
}

func TestChecksOfAzureResourceManager(t *testing.T) {
	token := arm.Call{Time: armBegan(), Operation: "POST identity/token", Principal: "p", Status: 200}
	lost := armRecord(armCalls("p", 5, 200, 0))
	lost.ARM.Lost = 4000
	struck := armCalls("p", 3, 503, 0)
	for i := range struck {
		struck[i].Fault = "f"
	}
	for name, x := range map[string]struct {
		check string
		r     *Record
		p     Params
		want  plan.Verdict
		says  string
	}{
		"no twin":                           {"armAmplification", &Record{}, Params{}, plan.Unknown, "no twin"},
		"no calls":                          {"armAmplification", armRecord(), Params{}, plan.Unknown, "nobody called"},
		"tokens are no calls on resources":  {"armAmplification", armRecord([]arm.Call{token}), Params{}, plan.Unknown, "nobody called"},
		"not those of the client":           {"armAmplification", armRecord(armCalls("q", 5, 200, 0)), Params{Principal: "p"}, plan.Unknown, "p never called"},
		"calls were lost":                   {"armAmplification", lost, Params{}, plan.Unknown, "first 4000 calls"},
		"one call for each":                 {"armAmplification", armRecord(armCalls("p", 10, 200, 0)), Params{}, plan.Pass, "10 calls for 10"},
		"one in ten again":                  {"armAmplification", armRecord(armCalls("p", 10, 200, 0), armCalls("p", 1, 429, 0)), Params{}, plan.Pass, "1.10"},
		"two in ten again":                  {"armAmplification", armRecord(armCalls("p", 10, 200, 0), armCalls("p", 2, 429, 0)), Params{}, plan.Fail, "2 answered 429"},
		"two in ten are allowed":            {"armAmplification", armRecord(armCalls("p", 10, 200, 0), armCalls("p", 2, 429, 0)), Params{Max: 1.2}, plan.Pass, ""},
		"lost to a fault":                   {"armAmplification", armRecord(armCalls("p", 10, 200, 0), struck), Params{}, plan.Fail, "3 lost to faults"},
		"what is not there is no waste":     {"armAmplification", armRecord(armCalls("p", 10, 200, 0), armCalls("p", 9, 404, 0)), Params{}, plan.Pass, ""},
		"another client's waste":            {"armAmplification", armRecord(armCalls("p", 10, 200, 0), armCalls("q", 10, 200, 0), armCalls("q", 9, 429, 0)), Params{Principal: "p"}, plan.Pass, ""},
		"any client's waste":                {"armAmplification", armRecord(armCalls("p", 100, 200, 0), armCalls("q", 10, 200, 0), armCalls("q", 9, 429, 0)), Params{}, plan.Fail, "q sent 19"},
		"none passed":                       {"armAmplification", armRecord(armCalls("p", 10, 429, 0)), Params{}, plan.Fail, "none passed"},
		"all were mistakes":                 {"armAmplification", armRecord(armCalls("p", 10, 400, 0)), Params{}, plan.Unknown, "no call passed"},
		"throttled":                         {"armThrottled", armRecord(armCalls("p", 2, 200, 0), armCalls("p", 1, 429, 0)), Params{}, plan.Pass, "1 of 3"},
		"not throttled":                     {"armThrottled", armRecord(armCalls("p", 2, 200, 0)), Params{}, plan.Fail, "none of 2"},
		"nobody to throttle":                {"armThrottled", armRecord(), Params{}, plan.Unknown, ""},
		"never throttled":                   {"armUnthrottled", armRecord(armCalls("p", 2, 200, 0)), Params{}, plan.Pass, "none of 2"},
		"throttled once":                    {"armUnthrottled", armRecord(armCalls("p", 2, 200, 0), armCalls("p", 1, 429, time.Minute)), Params{}, plan.Fail, "1 of 3"},
		"throttled long ago":                {"armUnthrottled", armRecord(armCalls("p", 1, 429, time.Minute), armCalls("p", 2, 200, 9*time.Minute)), Params{Window: 2 * time.Minute}, plan.Pass, "none of 2"},
		"throttled at the end":              {"armUnthrottled", armRecord(armCalls("p", 2, 200, 0), armCalls("p", 1, 429, 9*time.Minute)), Params{Window: 2 * time.Minute}, plan.Fail, "1 of 1"},
		"silent at the end":                 {"armUnthrottled", armRecord(armCalls("p", 2, 200, 0)), Params{Window: 2 * time.Minute}, plan.Unknown, "no call was made"},
		"another calls, and he waits":       {"armUnthrottled", armRecord(armCalls("p", 1, 429, time.Minute), armCalls("q", 2, 200, 9*time.Minute)), Params{Window: 2 * time.Minute}, plan.Unknown, "who was before has not called since: p (GET"},
		"a window that is longer than it":   {"armUnthrottled", armRecord(armCalls("p", 2, 200, 0)), Params{Window: time.Hour}, plan.Unknown, "less than the 1h"},
		"nothing to ask for unthrottled of": {"armUnthrottled", &Record{}, Params{}, plan.Unknown, "no twin"},
	} {
		t.Run(name, func(t *testing.T) { judgedARM(t, x.check, x.r, x.p, x.want, x.says) })
	}
}

func judgedARM(t *testing.T, check string, r *Record, p Params, want plan.Verdict, says string) {
	t.Helper()
	k, err := FindCheck(Checks(), check, "finally")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Fits(check); err != nil {
		t.Fatal(err)
	}
	if got := k.Judge(r, nil, p); got.Verdict != want || !strings.Contains(got.Message, says) {
		t.Errorf("%s: %s; want %s, saying %q", got.Verdict, got.Message, want, says)
	}
}

// armDocs are a machine with its interface and its disks.
func armDocs(name string) []arm.Resource {
	const group = "/subscriptions/s/resourceGroups/g"
	compute, network := group+"/providers/Microsoft.Compute/", group+"/providers/Microsoft.Network/"
	vm := compute + "virtualMachines/" + name
	nic, system, data := network+"networkInterfaces/"+name+"-nic", compute+"disks/"+name+"-os", compute+"disks/"+name+"-etcddisk"
	return []arm.Resource{
		{ID: group, State: "Succeeded"},
		{ID: vm, State: "Succeeded", Machine: name, Has: []string{nic, system, data}},
		{ID: nic, State: "Succeeded", By: vm}, {ID: system, State: "Succeeded", By: vm}, {ID: data, State: "Succeeded", By: strings.ToUpper(vm)},
	}
}

func TestResidueOfAzureResourceManager(t *testing.T) {
	change := func(do func(docs []arm.Resource) []arm.Resource) *Record {
		r := armRecord()
		r.ARM.Before, r.ARM.After = armDocs("control-plane-1"), do(armDocs("control-plane-1"))
		return r
	}
	same := func(d []arm.Resource) []arm.Resource { return d }
	second := change(func(d []arm.Resource) []arm.Resource { return append(d, armDocs("control-plane-2")...) })
	lacking := change(same)
	lacking.ARM.Machines = append(lacking.ARM.Machines, "worker-1")
	orphan := change(func(d []arm.Resource) []arm.Resource {
		return append(d, arm.Resource{ID: d[3].ID + "2", State: "Succeeded"})
	})
	old := change(same)
	old.ARM.Before, old.ARM.After = orphan.ARM.After, orphan.ARM.After
	swap := change(func(d []arm.Resource) []arm.Resource {
		d = append(d, armDocs("control-plane-2")...)
		d[4].By, d[9].By = d[9].By, d[4].By
		d[1].Has[2], d[6].Has[2] = d[6].Has[2], d[1].Has[2]
		return d
	})
	swap.ARM.Before, swap.ARM.Machines = append(armDocs("control-plane-1"), armDocs("control-plane-2")...), []string{"control-plane-1", "control-plane-2"}
	for name, x := range map[string]struct {
		r    *Record
		want plan.Verdict
		says string
	}{
		"disks are another's": {swap, plan.Fail, "disks/control-plane-1-etcddisk was of VIRTUALMACHINES/CONTROL-PLANE-1 and is of VIRTUALMACHINES/CONTROL-PLANE-2"},
		"two of one machine": {change(func(d []arm.Resource) []arm.Resource {
			more := armDocs("control-plane-2")
			more[1].Machine = "control-plane-1"
			return append(d, more...)
		}), plan.Fail, "machine control-plane-1 has another virtual machine, virtualMachines/control-plane-2"},
		"no twin":                {&Record{}, plan.Unknown, "no twin"},
		"nothing was read":       {armRecord(), plan.Unknown, "not read"},
		"as it was":              {change(same), plan.Pass, "1 virtual machines"},
		"a machine without one":  {lacking, plan.Fail, "machine worker-1 has no virtual machine"},
		"one without a machine":  {second, plan.Fail, "virtualMachines/control-plane-2 has no machine"},
		"an orphan":              {orphan, plan.Fail, "disks/control-plane-1-os2 belongs to nobody"},
		"an orphan of before":    {old, plan.Pass, ""},
		"the machine is gone":    {change(func(d []arm.Resource) []arm.Resource { return append(d[:1:1], d[2:]...) }), plan.Fail, "networkInterfaces/control-plane-1-nic belongs to virtualMachines/control-plane-1, which"},
		"the etcd disk is loose": {change(func(d []arm.Resource) []arm.Resource { d[4].By = ""; return d }), plan.Fail, "disks/control-plane-1-etcddisk, which belongs to nobody"},
		"the etcd disk is gone":  {change(func(d []arm.Resource) []arm.Resource { return d[:4] }), plan.Fail, "disks/control-plane-1-etcddisk, which is not there"},
		"a deployment that failed": {change(func(d []arm.Resource) []arm.Resource {
			return append(d, arm.Resource{ID: d[0].ID + "/providers/Microsoft.Resources/deployments/d", State: "Failed"})
		}), plan.Pass, ""},
		"a deployment that runs": {change(func(d []arm.Resource) []arm.Resource {
			return append(d, arm.Resource{ID: d[0].ID + "/providers/Microsoft.Resources/deployments/d", State: "Running"})
		}), plan.Fail, "deployments/d is Running"},
		"a name in capitals":      {change(func(d []arm.Resource) []arm.Resource { d[1].Machine = "Control-Plane-1"; return d }), plan.Pass, ""},
		"an operation has failed": {change(func(d []arm.Resource) []arm.Resource { d[1].State = "Failed"; return d }), plan.Fail, "virtualMachines/control-plane-1 is Failed"},
	} {
		t.Run(name, func(t *testing.T) { judgedARM(t, ARMResidue, x.r, Params{}, x.want, x.says) })
	}
}

func TestWhatTheReportTellsOfCalls(t *testing.T) {
	r := armRecord(armCalls("p", 2, 200, 0), armCalls("", 1, 429, 0), []arm.Call{{Operation: "POST identity/token", Status: 200}})
	if got := ARMCalls(r); len(got) != 3 || got[2].Status != 429 {
		t.Errorf("%+v", got)
	}
	tables := ARMTables(r)
	if len(tables) != 1 || len(tables[0].Rows) != 2 || tables[0].Rows[0][0] != "a client without a token" || tables[0].Rows[1][7] != "1.00" {
		t.Errorf("%+v", tables)
	}
	if ARMCalls(&Record{}) != nil || ARMTables(&Record{}) != nil {
		t.Error("of no twin something is told")
	}
}
