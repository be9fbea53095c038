package remedy

import (
	"context"
	"maps"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/remedy/quota"
)

// Runbook is one remedy there is.
type Runbook struct {
	Name       string
	Symptom    string // what is seen where it is called for
	Does       string // what it does about it
	Kubernetes bool   // it is of no use to etcd alone
	Restores   bool   // it can be given a snapshot
	Replaces   bool   // the machine it is about can be given up for a new one
	Images     bool   // it changes versions of images, which are to be named, and waits for the cloud's budgets
	Reads      bool   // it changes nothing in the cluster: there is nothing to wait for at the end
	Saves      bool   // into a directory on this host
	Needs      []cluster.Capability

	machines func(t cluster.Topology) []string // it may be about; nil: it is about the cluster
	diagnose func(ctx context.Context, r *Remedy) (Diagnosis, []plan.Finding, error)
	steps    func(r *Remedy) []*plan.Step
}

// OfOne reports whether the runbook is about one machine, which can be named.
func (b Runbook) OfOne() bool { return b.machines != nil }

// settings checks those that only some runbooks have, and completes them.
func (b Runbook) settings(s Spec) (_ Spec, err error) {
	if !b.Images {
		if len(s.Images) > 0 || s.Budget != (quota.Settings{}) {
			return s, cluster.Usagef("remedy %s: images and budget belong to a runbook that changes versions of images", s.Runbook)
		}
		return s, nil
	}
	if len(s.Images) == 0 {
		return s, cluster.Usagef("remedy %s: images is empty: name the version that each image is to have (--image NAME=VERSION)", s.Runbook)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Images)) {
		if tag := s.Images[name]; name == "" || tag == "" || strings.ContainsAny(name+tag, "/:@ \t\n") {
			return s, cluster.Usagef("remedy %s: image %q, version %q: want the last part of the image's name, and its tag", s.Runbook, name, tag)
		}
	}
	if s.Budget, err = s.Budget.Complete(); err != nil {
		return s, cluster.Usagef("remedy %s: %w", s.Runbook, err)
	}
	return s, nil
}

// Runbooks lists them all.
func Runbooks() []Runbook {
	return []Runbook{
		replaceMember(), restoreQuorum(), makeSpace(), saveAll(), recoverNode(), expiredCertificates(), throttledControlPlane(),
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
