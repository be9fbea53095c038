package load

import (
	"strings"
	"testing"
	"time"
)

func TestProbesOfTheWorkload(t *testing.T) {
	for name, c := range map[string]struct {
		spec WorkloadSpec
		says string
	}{
		"none":                  {WorkloadSpec{Replicas: 1}, ""},
		"all":                   {WorkloadSpec{Replicas: 1, StartsAfter: 9 * time.Second, Probes: Probes{Readiness: 10 * time.Second, Liveness: time.Second, Startup: time.Second}}, ""},
		"a part of a second":    {WorkloadSpec{Replicas: 1, Probes: Probes{Liveness: 1500 * time.Millisecond}}, "liveness is 1.5s"},
		"less than nothing":     {WorkloadSpec{Replicas: 1, Probes: Probes{Startup: -time.Second}}, "startup is -1s"},
		"starts before it does": {WorkloadSpec{Replicas: 1, StartsAfter: -time.Second}, "neither can be negative"},
		"fails, to nobody's":    {WorkloadSpec{Replicas: 1, FailsAfter: time.Second, Probes: Probes{Readiness: time.Second}}, "give probes a liveness"},
		"of no container":       {WorkloadSpec{Probes: Probes{Startup: time.Second}}, "replicas is 0"},
		"ended before it began": {WorkloadSpec{Replicas: 1, StartsAfter: 3 * time.Second, Probes: Probes{Liveness: time.Second}}, "give startup as well"},
		"of another's workload": {WorkloadSpec{Existing: &Existing{Namespace: "a", Service: "b"}, StartsAfter: time.Second}, "exclude each other"},
	} {
		err := c.spec.Validate()
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: error %v, want %q", name, err, c.says)
		}
	}
}

// TestProbesAreAsked: a container has the time to start that it was said to take, and its readiness is asked for whatever else is.
func TestProbesAreAsked(t *testing.T) {
	c := WorkloadSpec{Replicas: 1}.podTemplate("a").Spec.Containers[0]
	if c.ReadinessProbe.PeriodSeconds != 1 || c.LivenessProbe != nil || c.StartupProbe != nil || strings.Contains(strings.Join(c.Args, " "), "--after") {
		t.Errorf("%+v", c)
	}
	c = WorkloadSpec{Replicas: 1, StartsAfter: 30 * time.Second, Probes: Probes{Readiness: 10 * time.Second, Liveness: 2 * time.Second, Startup: 5 * time.Second}}.podTemplate("a").Spec.Containers[0]
	if c.ReadinessProbe.PeriodSeconds != 10 || c.LivenessProbe.PeriodSeconds != 2 || c.StartupProbe.PeriodSeconds != 5 || strings.Join(c.Args[2:], " ") != ":8080 --after 30s" || len(c.VolumeMounts) > 0 {
		t.Errorf("%+v", c)
	}
	failing := WorkloadSpec{Replicas: 1, FailsAfter: time.Minute, Probes: Probes{Liveness: time.Second}}.podTemplate("a").Spec
	if f := failing.Containers[0]; strings.Join(f.Args[3:], " ") != "--fail-after 1m0s --once /state/failed" || f.VolumeMounts[0].MountPath != "/state" || failing.Volumes[0].EmptyDir == nil {
		t.Errorf("%+v", failing)
	}
	if given := time.Duration(c.StartupProbe.FailureThreshold*c.StartupProbe.PeriodSeconds) * time.Second; given < 90*time.Second || given > 2*time.Minute {
		t.Errorf("it may take %s to start", given)
	}
}
