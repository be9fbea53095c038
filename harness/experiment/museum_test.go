package experiment

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
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

// TestARunOfAnotherReleaseShowsNothing: whatever its checks found, what it ran says whose bug that is. Of an upgrade every release on the way is its own.
func TestARunOfAnotherReleaseShowsNothing(t *testing.T) {
	of := func(name string) *Scenario { return loaded(t, "museum/"+name) }
	fixed, err := of("etcd-13766").Fixed()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		of       *Scenario
		is, from string
		as       bool
	}{
		"its own":                 {of("etcd-13766"), "v3.5.2", "", true},
		"one that begins like it": {of("etcd-13766"), "v3.5.21", "", false},
		"another at first":        {of("etcd-13766"), "v3.5.2", "v3.5.21", false},
		"the bad for the fixed":   {fixed, "v3.5.2", "", false},
		"the fixed":               {fixed, "v3.5.3", "", true},
		"upgraded":                {of("etcd-19557"), "v3.6.4", "v3.5.19", true},
	} {
		res := &plan.Result{Verdict: plan.NoGo, Cluster: []plan.Cluster{{Versions: map[string]string{"etcd/etcd-1": c.is}}}}
		if c.from != "" {
			res.Cluster[0].From = map[string]string{"etcd/etcd-1": c.from}
		}
		for check, words := range c.of.Spec.Exhibit.Finds {
			found := plan.Check{Name: check, Verdict: plan.Fail, Message: strings.Join(words, " ")}
			if c.of.fixed {
				res.Verdict, found.Verdict = plan.Go, plan.Pass
			}
			res.Checks = append(res.Checks, found)
		}
		if as, why := c.of.Shows(res); as != c.as || !as && !strings.Contains(why, "etcd/etcd-1 says it is v3.5.2") {
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

// TestBadAndFixedAreTwoReleases: by what would run, not by how they are written.
func TestBadAndFixedAreTwoReleases(t *testing.T) {
	const file = `apiVersion: drydock.dev/v1alpha1
kind: Scenario
metadata: {name: twice, about: a test}
spec:
  exhibit: {bug: b, bad: {BAD}, fixed: {FIXED}, finds: {etcdHealthy: [word]}}
  cluster: {CLUSTER}
  steps: [{STEP}]
  finally: [etcdHealthy]
`
	const only, stacked, observe = "etcd: only", "controlPlanes: 1", "observe: 2s"
	for name, c := range map[string]struct{ bad, fixed, cluster, step, says string }{
		"two":                         {"etcdVersion: v3.6.3", "etcdVersion: v3.6", only, observe, ""},
		"a minor's newest":            {"etcdVersion: v3.6", "etcdVersion: v3.6.16", only, observe, "bad, etcd v3.6, and fixed, etcd v3.6.16, are the same in this cluster: etcd v3.6.16"},
		"Kubernetes where there none": {"version: v1.34.4", "version: v1.35.4", only, observe, "are the same in this cluster: etcd v3.6.16"},
		"and where there is":          {"version: v1.34.4", "version: v1.35.4", stacked, observe, ""},
		"targets":                     {"version: v1.35.4, to: v1.36.1", "version: v1.35.4, to: v1.36", stacked, "upgrade: {}", ""},
		"the same target":             {"version: v1.35, to: v1.36", "version: v1.35.4, to: v1.36.3", stacked, "upgrade: {}", "are the same in this cluster: Kubernetes v1.35.4, upgraded to v1.36.3"},
		"unknown":                     {"etcdVersion: v3.6.3", "etcdVersion: v2.0.0", only, observe, "fixed: "},
		"an unknown target":           {"version: v1.35, to: v1.99", "version: v1.35, to: v1.36", stacked, "upgrade: {}", "bad: to: "},
	} {
		text := strings.NewReplacer("BAD", c.bad, "FIXED", c.fixed, "CLUSTER", c.cluster, "STEP", c.step).Replace(file)
		_, err := Parse("twice.yaml", []byte(text))
		var usage *cluster.UsageError
		if c.says == "" && err != nil || c.says != "" && (!errors.As(err, &usage) || !strings.Contains(err.Error(), "twice.yaml: spec.exhibit: ") || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
