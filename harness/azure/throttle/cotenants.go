package throttle

import (
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

// coTenant is whose calls a load makes: another principal of the subscription.
const coTenant = "co-tenant"

// CoTenants are other clusters of a subscription, which draw on its budgets: so many calls of some operations, or what clusters of a model read.
type CoTenants struct {
	Operations []string
	PerMinute  float64 // calls of each operation
	Model      string  // L0 to L3, instead of operations
	Clusters   int     // that load so, with ScaleSets and Disks each
	ScaleSets  int
	Disks      int
}

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

// Check says what is wrong with them.
func (c CoTenants) Check() error {
	switch {
	case c.Model == "" && (c.PerMinute <= 0 || len(c.Operations) == 0):
		return cluster.Usagef("a load needs operations, and how many calls of each perMinute; or a model, clusters and scaleSets")
	case c.Model == "":
		return nil
	case !slices.Contains(LoadModels(), c.Model):
		return cluster.Usagef("model is %q; known: %s", c.Model, strings.Join(LoadModels(), ", "))
	case c.Clusters < 1 || c.ScaleSets < 1 || c.Disks < 0 || len(c.Operations) > 0 || c.PerMinute != 0:
		return cluster.Usagef("a load by model needs clusters and scaleSets of at least 1, and takes neither operations nor perMinute")
	}
	return nil
}

// rates are the calls of each operation in a minute.
func (c CoTenants) rates() map[string]float64 {
	out := map[string]float64{}
	for _, o := range c.Operations {
		out[o] = c.PerMinute
	}
	if c.Model != "" {
		for o, hourly := range idleReads(c.Model, float64(c.ScaleSets), float64(c.Disks)) {
			out[o] = hourly / 60 * float64(c.Clusters)
		}
	}
	return out
}

// Due is how many calls of each operation they have made after so long.
func (c CoTenants) Due(after time.Duration) map[string]int {
	out := map[string]int{}
	for operation, rate := range c.rates() {
		out[operation] = int(after.Minutes() * rate)
	}
	return out
}

// Elsewhere draws a call that others have made, as the twin's clients never see it: what is rejected is theirs to mind.
func (t *Meters) Elsewhere(s Subject, operation string) {
	s.Principal = coTenant
	if _, rejected := t.Gateway(s, budgetOf(operation)); rejected == nil {
		_, _ = t.Provider(s, operation, coTenant)
	}
}
