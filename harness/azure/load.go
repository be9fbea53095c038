package azure

import (
	"slices"
	"strings"

	"drydock.dev/drydock/harness/cluster"
)

// coTenant is whose calls a load makes: another principal of the subscription.
const coTenant = "co-tenant"

// LoadModels are the generations of cloud providers, by what an idle cluster reads in an hour: v is its scale sets, d its nodes with disks.
// Source: the providers' caches and their times to live; L0 before 1.15, L1 to 1.17, L2 1.18 (which reads the same and has a gate), L3 today.
func LoadModels() []string { return []string{"L0", "L1", "L2", "L3"} }

func idleReads(model string, v, d float64) map[string]float64 {
	const (
		sets, instances, instance, machines = "LIST Microsoft.Compute/virtualMachineScaleSets", "LIST Microsoft.Compute/virtualMachineScaleSets/virtualMachines",
			"GET Microsoft.Compute/virtualMachineScaleSets/virtualMachines", "LIST Microsoft.Compute/virtualMachines"
	)
	switch model {
	case "L0":
		return map[string]float64{instance: 60 * d, instances: 12 * v, sets: 12, machines: 12}
	case "L3":
		return map[string]float64{instances: 6 * v, sets: 6}
	default:
		return map[string]float64{instances: 6 * v, sets: 12, machines: 4}
	}
}

func (f Fault) checkLoad() error {
	switch {
	case f.Model == "" && (f.PerMinute <= 0 || len(f.Operations) == 0):
		return cluster.Usagef("a load needs operations, and how many calls of each perMinute; or a model, clusters and scaleSets")
	case f.Model == "":
		return nil
	case !slices.Contains(LoadModels(), f.Model):
		return cluster.Usagef("model is %q; known: %s", f.Model, strings.Join(LoadModels(), ", "))
	case f.Clusters < 1 || f.ScaleSets < 1 || f.Disks < 0 || len(f.Operations) > 0 || f.PerMinute != 0:
		return cluster.Usagef("a load by model needs clusters and scaleSets of at least 1, and takes neither operations nor perMinute")
	}
	return nil
}

// rates are the calls of each operation in a minute.
func (f Fault) rates() map[string]float64 {
	out := map[string]float64{}
	for _, o := range f.Operations {
		out[o] = f.PerMinute
	}
	if f.Model != "" {
		for o, hourly := range idleReads(f.Model, float64(f.ScaleSets), float64(f.Disks)) {
			out[o] = hourly / 60 * float64(f.Clusters)
		}
	}
	return out
}

// load makes the calls that other clusters have made since the last look. The caller holds the lock.
func (fs *faults) load(t *Twin, s Subject) {
	now := fs.clock.Now()
	s.Principal = coTenant
	for _, f := range fs.armed {
		if f.Kind != FaultLoad {
			continue
		}
		for operation, rate := range f.rates() {
			due := int(now.Sub(f.Began).Minutes() * rate)
			for ; f.made[operation] < due; f.made[operation]++ {
				f.Struck++
				if _, rejected := t.throttle.Gateway(s, budgetOf(operation)); rejected == nil {
					_, _ = t.throttle.Provider(s, operation, coTenant)
				}
			}
		}
	}
}

// budgetOf is the gateway's budget for an operation.
func budgetOf(operation string) string {
	switch verb, _, _ := strings.Cut(operation, " "); verb {
	case "CREATE", "UPDATE", "POST":
		return "writes"
	case "DELETE":
		return "deletes"
	default:
		return "reads"
	}
}
