package remedy

import (
	"context"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

// Runbook is one remedy there is.
type Runbook struct {
	Name       string
	Symptom    string // what is seen where it is called for
	Does       string // what it does about it
	Kubernetes bool   // it is of no use to etcd alone
	Restores   bool   // it can be given a snapshot
	Replaces   bool   // the machine it is about can be given up for a new one
	Needs      []cluster.Capability

	machines func(t cluster.Topology) []string // it may be about; nil: it is about the cluster
	diagnose func(ctx context.Context, r *Remedy) (Diagnosis, []plan.Finding, error)
	steps    func(r *Remedy) []*plan.Step
}

// OfOne reports whether the runbook is about one machine, which can be named.
func (b Runbook) OfOne() bool { return b.machines != nil }

// Runbooks lists them all.
func Runbooks() []Runbook {
	return []Runbook{
		replaceMember(), restoreQuorum(), makeSpace(), recoverNode(), expiredCertificates(),
	}
}

// Find gives the runbook of that name; a UsageError lists the known ones.
func Find(name string) (Runbook, error) {
	all := Runbooks()
	i := slices.IndexFunc(all, func(b Runbook) bool { return b.Name == name })
	if i >= 0 {
		return all[i], nil
	}
	var known []string
	for _, b := range all {
		known = append(known, b.Name)
	}
	return Runbook{}, cluster.Usagef("unknown runbook %q; known: %s", name, strings.Join(known, ", "))
}
