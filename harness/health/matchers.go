package health

import (
	"fmt"

	"github.com/onsi/gomega/gcustom"
	"github.com/onsi/gomega/types"
)

// HaveQuorum matches an Observation in which a quorum of members answered.
func HaveQuorum() types.GomegaMatcher {
	return gcustom.MakeMatcher(func(o Observation) (bool, error) {
		if len(o.Members) == 0 {
			return false, fmt.Errorf("no member was observed")
		}
		return o.Margin() >= 0, nil
	}).WithTemplate("Expected a quorum {{.To}} answer, but of {{len .Actual.Members}} members {{.Actual.Reachable}} did")
}

// HaveMembers matches an Observation with n members that answer and vote.
func HaveMembers(n int) types.GomegaMatcher {
	return gcustom.MakeMatcher(func(o Observation) (bool, error) {
		return len(o.Members) == n && o.Reachable() == n, nil
	}).WithTemplate("Expected {{.Data}} members {{.To}} answer and vote, but of {{len .Actual.Members}} {{.Actual.Reachable}} do", n)
}

// BeReady matches an Observation in which every node and every API server is ready.
func BeReady() types.GomegaMatcher {
	var offender string
	return gcustom.MakeMatcher(func(o Observation) (bool, error) {
		offender = o.notReady()
		return offender == "", nil
	}).WithTemplate("Expected the cluster {{.To}} be ready: {{call .Data}}", func() string { return offender })
}

func (o Observation) notReady() string {
	if len(o.Nodes) == 0 {
		return "no node was observed"
	}
	for _, s := range o.APIServers {
		if s.Ready != "" {
			return "API server " + s.Ready
		}
	}
	for _, n := range o.Nodes {
		if !n.Ready {
			return "node " + n.Name + " is not"
		}
	}
	return ""
}

// RunVersion matches an Observation in which every kubelet runs the version, vX.Y or vX.Y.Z.
func RunVersion(version string) types.GomegaMatcher {
	var offender string
	return gcustom.MakeMatcher(func(o Observation) (bool, error) {
		if len(o.Nodes) == 0 {
			return false, fmt.Errorf("no node was observed")
		}
		offender = ""
		for _, n := range o.Nodes {
			if !isVersion(n.Version, version) {
				offender = n.Name + " runs " + n.Version
				return false, nil
			}
		}
		return true, nil
	}).WithTemplate("Expected all kubelets {{.To}} run "+version+": {{call .Data}}", func() string { return offender })
}
