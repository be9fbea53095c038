package experiment

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/plan"
)

// saying is a result with one check.
func saying(v plan.Verdict, check string, of plan.Verdict, message string) *plan.Result {
	return &plan.Result{Verdict: v, Reasons: []string{"a reason"}, DurationSeconds: 10, Checks: []plan.Check{{Name: check, Verdict: of, Message: message}}}
}

// TestABugIsFoundByItsCheckAndInItsWords: any other NO-GO may be the host's, and has not found it.
func TestABugIsFoundByItsCheckAndInItsWords(t *testing.T) {
	bad := loaded(t, "museum/etcd-21640")
	fixed, err := bad.Fixed()
	if err != nil {
		t.Fatal(err)
	}
	words := "member on etcd-1: etcdserver: unhealthy cluster"
	for name, c := range map[string]struct {
		of  *Scenario
		res *plan.Result
		as  bool
	}{
		"found":                   {bad, saying(plan.NoGo, "etcdHealthy", plan.Fail, words), true},
		"by another check":        {bad, saying(plan.NoGo, "hashesEqual", plan.Fail, words), false},
		"in other words":          {bad, saying(plan.NoGo, "etcdHealthy", plan.Fail, "context deadline exceeded"), false},
		"not known":               {bad, saying(plan.Inconclusive, "etcdHealthy", plan.Unknown, words), false},
		"GO on the bad release":   {bad, saying(plan.Go, "etcdHealthy", plan.Pass, words), false},
		"GO on the fixed release": {fixed, saying(plan.Go, "etcdHealthy", plan.Pass, "5 members"), true},
		"GO, and nothing looked":  {fixed, saying(plan.Go, "etcdHealthy", plan.Skipped, "not here"), false},
		"GO by other checks":      {fixed, saying(plan.Go, "hashesEqual", plan.Pass, "3 members"), false},
		"found on the fixed one":  {fixed, saying(plan.NoGo, "etcdHealthy", plan.Fail, words), false},
		"fixed and not known":     {fixed, saying(plan.Inconclusive, "etcdHealthy", plan.Unknown, words), false},
	} {
		if as, why := c.of.Shows(c.res); as != c.as || !as && why == "" {
			t.Errorf("%s: %v, %q", name, as, why)
		}
	}
}

// TestRatesAreHonest: what could not be made or was not known is no detection, and what was interrupted is no run.
func TestRatesAreHonest(t *testing.T) {
	exhibits := []*Scenario{loaded(t, "museum/etcd-20340"), loaded(t, "museum/etcd-21640")}
	ctx, stop := context.WithCancel(t.Context())
	runs := 0
	run := func(s *Scenario, n int) (*plan.Result, error) {
		runs++
		switch {
		case s.Metadata.Label() == "etcd-21640-fixed" && n == 2:
			stop()
			return saying(plan.Inconclusive, "etcdHealthy", plan.Unknown, ""), nil
		case s.fixed && n == 1:
			return saying(plan.NoGo, "etcdHealthy", plan.Fail, "a false alarm"), nil
		case s.fixed:
			return saying(plan.Go, "etcdHealthy", plan.Pass, ""), nil
		case n == 1:
			return nil, errors.New("no cluster")
		}
		return saying(plan.NoGo, "etcdHealthy", plan.Fail, strings.Join(s.Spec.Exhibit.Finds["etcdHealthy"], " ")), nil
	}
	var told []string
	shown, err := Museum(ctx, exhibits, 3, 1, run, func(s Showing) { told = append(told, s.Why) })
	if !errors.Is(err, context.Canceled) || runs != 11 || len(told) != 10 || !slices.Contains(told, "no cluster") {
		t.Errorf("%d runs, told %q, %v", runs, told, err)
	}
	first, second := shown["etcd-20340"], shown["etcd-21640"]
	if b := first.Bad; b.Runs != 3 || b.AsMeant != 2 || b.Inconclusive != 1 || b.Typical() != 10 || len(b.Took) != 2 || b.Releases != "etcd v3.6.3" {
		t.Errorf("bad: %+v", b)
	}
	if f := first.Fixed; f.Runs != 3 || f.AsMeant != 2 || f.Inconclusive != 0 || f.Releases != "etcd v3.6.4" {
		t.Errorf("fixed: %+v", f)
	}
	if first.Scenario != exhibits[0].Sum() || first.Scenario == second.Scenario {
		t.Errorf("of the scenarios %q and %q", first.Scenario, second.Scenario)
	}
	if second.Bad.Runs != 3 || second.Fixed.Runs != 1 || second.Fixed.AsMeant != 0 {
		t.Errorf("interrupted: %+v", second)
	}
}

// TestTheTargetOfAnUpgradeIsARelease: bad and fixed may differ in what the cluster is upgraded to, which is then said nowhere else.
func TestTheTargetOfAnUpgradeIsARelease(t *testing.T) {
	const file = `apiVersion: drydock.dev/v1alpha1
kind: Scenario
metadata: {name: upgraded, about: a test}
spec:
  exhibit: {bug: b, bad: {version: v1.35.4, to: v1.36.1}, fixed: {version: v1.35.4, to: v1.36.3}, finds: {nodesReady: [word]}}
  cluster: {controlPlanes: 1, workers: 1}
  steps: [{upgrade: {controlPlaneOnly: true}}]
  finally: [nodesReady]
`
	s, err := Parse("upgraded.yaml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	fixed, err := s.Fixed()
	if err != nil {
		t.Fatal(err)
	}
	if bad, good := s.Spec.Steps[0].Upgrade.To, fixed.Spec.Steps[0].Upgrade.To; bad != "v1.36.1" || good != "v1.36.3" {
		t.Errorf("upgraded to %s, and fixed to %s", bad, good)
	}
	for name, c := range map[string][3]string{
		"of one alone":  {"fixed: {version: v1.35.4, to: v1.36.3}", "fixed: {version: v1.35.4}", "of bad and fixed, or of neither"},
		"said twice":    {"upgrade: {", "upgrade: {to: v1.36.1, ", "spec.steps[0].upgrade takes no to"},
		"of no upgrade": {"upgrade: {controlPlaneOnly: true}", "observe: 2s", "there are 0"},
		"no such check": {"finds: {nodesReady:", "finds: {nodesRaedy:", "makes no check nodesRaedy; it makes nodesReady"},
		"no words":      {"[word]", "[]", "needs words"},
		"finds nothing": {", finds: {nodesReady: [word]}", "", "finds is missing"},
	} {
		if _, err := Parse("upgraded.yaml", []byte(strings.Replace(file, c[0], c[1], 1))); err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
