package throttle

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

// coTenant begins the names of who makes the calls of a load: other principals of the subscription.
const coTenant = "co-tenant"

// CoTenants are other clusters of a subscription, which draw on its budgets, each as a principal of its own: so many calls of some operations, or what
// clusters of a model read.
type CoTenants struct {
	Operations []string
	PerMinute  float64 // calls of each operation, of all clusters together
	Model      string  // L0 to L3, instead of operations
	Clusters   int     // that load so, with ScaleSets and Disks each; of operations one unless there are more
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
	case c.Clusters < 0:
		return cluster.Usagef("clusters is %d; at least 1", c.Clusters)
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

// Made is a call that one of them has made.
type Made struct {
	Operation, Principal string
	At                   time.Time
}

// Between tells how many calls they make after one moment until another, of those that begin at a third, and gives them in order. What is longer ago than
// any limit looks back is counted and not given.
func (c CoTenants) Between(begun, from, to time.Time) (n int, calls []Made) {
	for operation, rate := range c.rates() {
		made := func(at time.Time) int { return max(0, int(at.Sub(begun).Minutes()*rate)) }
		n += made(to) - made(from)
		for k := max(made(from), made(to.Add(-maxSpan))) + 1; k <= made(to); k++ {
			at := begun.Add(time.Duration(float64(k) / rate * float64(time.Minute)))
			calls = append(calls, Made{operation, coTenant + "-" + strconv.Itoa(k%max(1, c.Clusters)+1), at})
		}
	}
	slices.SortFunc(calls, func(a, b Made) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Operation, b.Operation)) })
	return n, calls
}

// Elsewhere draws a call that others have made, as the twin's clients never see it: what is rejected is theirs to mind. Each has resources of its own, which
// it knows better than to exhaust the limits of.
func (t *Meters) Elsewhere(s Subject, call Made) {
	s.Principal, s.At, s.Refuse = call.Principal, call.At, nil
	if _, rejected := t.Gateway(s, BudgetOf(call.Operation)); rejected == nil {
		_, _ = t.Provider(s, call.Operation, "")
	}
}
