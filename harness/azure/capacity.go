package azure

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
	"drydock.dev/drydock/harness/cluster"
)

// How capacity is answered for.
const (
	AnswerSync  = "sync"
	AnswerAsync = "async"
)

// capacity reports whether a fault is of room for machines.
func (f *Fault) capacity() bool {
	return f.Kind == FaultAllocation || f.Kind == FaultSKU || f.Kind == FaultQuota
}

// checkAnswer says what is wrong with what a fault answers, and for what.
func (f Fault) checkAnswer() error {
	capacity := f.capacity()
	switch {
	case (f.Code != "" || f.Message != "") && !capacity && f.Kind != FaultThrottle && f.Kind != FaultError && f.Kind != FaultFail:
		return cluster.Usagef("code and message go with a fault that answers one, and not with %s", f.Kind)
	case (f.Location != "" || f.Zone != "" || f.Size != "") && !capacity && f.Kind != FaultFail:
		return cluster.Usagef("location, zone and size go with %s, %s, %s and %s, and not with %s", FaultAllocation, FaultSKU, FaultQuota, FaultFail, f.Kind)
	case f.Answer != "" && (!capacity || f.Answer != AnswerSync && f.Answer != AnswerAsync):
		return cluster.Usagef("answer is %q of %s; %s or %s, of %s, %s and %s", f.Answer, f.Kind, AnswerSync, AnswerAsync, FaultAllocation, FaultSKU, FaultQuota)
	case f.Polls && (capacity || f.Kind == FaultFail):
		return cluster.Usagef("polls begin nothing that %s could strike", f.Kind)
	}
	return nil
}

// inject lets the first fault that selects a piece of work act on it. It has struck when the error is answered.
func (t *Twin) inject(w resource.Work) (refused *arm.Error, fails func() *arm.Error) {
	t.faults.mu.Lock()
	if len(t.faults.armed) == 0 {
		t.faults.mu.Unlock()
		return nil, nil
	}
	t.faults.settle()
	call := w.Call
	if call == nil {
		call = &arm.Call{Operation: w.Operation, Path: w.ID.String()}
	}
	f := t.faults.first(func(f *Fault) bool { return f.strikesWork(w) && f.selects(t, call) })
	t.faults.mu.Unlock()
	if f == nil {
		return nil, nil
	}
	failure := func() *arm.Error {
		if hit, ok := t.faults.struck(f, w.Call); ok {
			return hit.failure(w)
		}
		return nil
	}
	if f.atOnce() {
		return failure(), nil
	}
	return nil, failure
}

// atOnce reports whether a fault of capacity refuses what begins, instead of letting it fail.
func (f *Fault) atOnce() bool {
	return f.Answer == AnswerSync || f.Answer == "" && (f.Kind == FaultSKU || f.Kind == FaultQuota)
}

// strikesWork reports whether a fault acts on what is done to resources, and on this, calls apart.
func (f *Fault) strikesWork(w resource.Work) bool {
	if !f.capacity() && f.Kind != FaultFail || f.capacity() && machinesWanted(w) == 0 {
		return false
	}
	if w.Preflight && (f.Kind != FaultSKU && f.Kind != FaultQuota || !f.atOnce()) { // whether there is room is seen when a machine is made
		return false
	}
	return (f.Location == "" || arm.SameLocation(f.Location, locationOf(w))) && (f.Size == "" || strings.EqualFold(f.Size, sizeOf(w.Body, w.Old))) && (f.Zone == "" || slices.Contains(zonesOf(w), f.Zone))
}

// failure is the error that the work ends with.
func (f Fault) failure(w resource.Work) *arm.Error {
	status, code, message := http.StatusConflict, "", ""
	switch f.Kind {
	case FaultAllocation: // as clients report it: vmware-tanzu/community-edition#3963, openshift/release#5182
		what := "region"
		if code = "AllocationFailed"; len(zonesOf(w)) > 0 {
			code, what = "ZonalAllocationFailed", "zone"
		}
		message = "Allocation failed. We do not have sufficient capacity for the requested VM size in this " + what + ". Read more about improving likelihood of allocation success at http://aka.ms/allocation-guidance"
	case FaultSKU: // Azure-Samples/azuresandbox#70, with the status
		code = "SkuNotAvailable"
		message = fmt.Sprintf("The requested VM size for resource 'Following SKUs have failed for Capacity Restrictions: %s' is currently not available in location '%s'. "+
			"Please try another size or deploy to a different location or different zone. See https://aka.ms/azureskunotavailable for details.", sizeOf(w.Body, w.Old), locationOf(w))
	case FaultQuota: // cloud-barista/cb-spider#1558, with the status: the code is that of much else as well
		if code = "OperationNotAllowed"; w.Preflight { // theonemule/fahclient-azure-vm#3
			code = "QuotaExceeded"
		}
		more := machinesWanted(w) * cores(sizeOf(w.Body, w.Old))
		message = fmt.Sprintf("Operation could not be completed as it results in exceeding approved Total Regional Cores quota. Additional details - Deployment Model: Resource Manager, Location: %s, "+
			"Current Limit: %d, Current Usage: %d, Additional Required: %d, (Minimum) New Limit Required: %d. Setup Alerts when Quota reaches threshold. Learn more at https://aka.ms/quotamonitoringalerting .",
			locationOf(w), quotaLimit, quotaLimit, more, quotaLimit+more)
	default:
		status, code, message = http.StatusInternalServerError, "InternalExecutionError", "An internal execution error occurred. Please retry later."
	}
	return f.after(arm.Errorf(cmp.Or(f.Status, status), cmp.Or(f.Code, code), "%s", cmp.Or(f.Message, message)))
}

// quotaLimit is what a subscription that nobody has asked more for may have of cores in a region (the reports above).
const quotaLimit = 10

// machinesWanted is how many machines a piece of work wants room for: of one that is made, started or resized, and of a scale set those that it grows by or
// starts.
func machinesWanted(w resource.Work) int {
	verb, typ, _ := strings.Cut(w.Operation, " ")
	set := strings.EqualFold(typ, setType)
	switch {
	case verb == http.MethodPost:
		base, action := typ[:max(0, strings.LastIndexByte(typ, '/'))], typ[strings.LastIndexByte(typ, '/')+1:]
		if !strings.EqualFold(action, "start") && !strings.EqualFold(action, "redeploy") || !strings.EqualFold(base, machineType) && !strings.EqualFold(base, setType) && !strings.EqualFold(base, setType+"/virtualMachines") {
			return 0
		}
		return 1
	case verb == "CREATE" && strings.EqualFold(typ, machineType):
		return 1
	case verb == "UPDATE" && strings.EqualFold(typ, machineType) && !strings.EqualFold(sizeOf(w.Body, w.Old), sizeOf(w.Old, nil)):
		return 1
	case set && (verb == "CREATE" || verb == "UPDATE"):
		return max(0, capacityOf(w.Body, w.Old)-capacityOf(w.Old, nil))
	}
	return 0
}

const (
	machineType = "Microsoft.Compute/virtualMachines"
	setType     = "Microsoft.Compute/virtualMachineScaleSets"
)

func capacityOf(body, old map[string]any) int {
	n, ok := arm.At(body, "sku", "capacity").(float64)
	if !ok && old != nil {
		return capacityOf(old, nil)
	}
	return int(n)
}

// sizeOf is a machine's size, or that of a scale set's.
func sizeOf(body, old map[string]any) string {
	size := cmp.Or(arm.Text(body, "properties", "hardwareProfile", "vmSize"), arm.Text(body, "sku", "name"))
	if size == "" && old != nil {
		return sizeOf(old, nil)
	}
	return size
}

func locationOf(w resource.Work) string {
	return cmp.Or(arm.Text(w.Body, "location"), arm.Text(w.Old, "location"))
}

func zonesOf(w resource.Work) (zones []string) {
	list, ok := arm.At(w.Body, "zones").([]any)
	if !ok {
		list, _ = arm.At(w.Old, "zones").([]any)
	}
	for _, z := range list {
		zones = append(zones, fmt.Sprint(z))
	}
	return zones
}

// cores is what a size has, as its name says it (learn.microsoft.com, "Azure VM sizes naming conventions"): 2 of one that does not.
func cores(size string) int {
	m := regexp.MustCompile(`^[A-Za-z]+_[A-Za-z]+([0-9]+)`).FindStringSubmatch(size)
	if m == nil {
		return 2
	}
	n, _ := strconv.Atoi(m[1])
	return n
}
