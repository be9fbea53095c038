package load

import (
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Probes are the periods of what the workload's kubelets ask its containers, in whole seconds.
type Probes struct {
	Readiness time.Duration `yaml:"readiness"` // 0: 1s
	Liveness  time.Duration `yaml:"liveness"`  // 0: none is made; three failures end the container
	Startup   time.Duration `yaml:"startup"`   // 0: none is made; the others wait until it has passed, which may take a minute longer than startsAfter
}

// ofContainers reports whether it says anything of its containers.
func (s WorkloadSpec) ofContainers() bool {
	return s.Probes != (Probes{}) || s.StartsAfter != 0 || s.FailsAfter != 0
}

// startupSlack is how much longer than it should a container may take to start before its kubelet gives it up.
const startupSlack = time.Minute

func (s WorkloadSpec) validateProbes() error {
	p := s.Probes
	for _, x := range []struct {
		name   string
		period time.Duration
	}{{"readiness", p.Readiness}, {"liveness", p.Liveness}, {"startup", p.Startup}} {
		if x.period < 0 || x.period%time.Second != 0 {
			return fmt.Errorf("probes: %s is %s; want whole seconds", x.name, x.period)
		}
	}
	switch {
	case s.StartsAfter < 0 || s.FailsAfter < 0:
		return fmt.Errorf("startsAfter is %s, failsAfter %s; neither can be negative", s.StartsAfter, s.FailsAfter)
	case s.Replicas == 0 && s.ofContainers():
		return errors.New("probes, startsAfter and failsAfter are of the workload's containers, and replicas is 0")
	case s.FailsAfter > 0 && p.Liveness == 0:
		return errors.New("failsAfter: nobody would start the container anew; give probes a liveness")
	case p.Liveness > 0 && p.Startup == 0 && s.StartsAfter >= 3*p.Liveness:
		return fmt.Errorf("startsAfter is %s: a liveness probe every %s would end each container before that; give startup as well", s.StartsAfter, p.Liveness)
	}
	return nil
}

// every asks a container whether it answers, so often.
func every(period time.Duration) *corev1.Probe {
	return &corev1.Probe{PeriodSeconds: int32(period.Seconds()), ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.Parse(workloadPort)}}}
}

func (p Probes) readiness() *corev1.Probe { return every(max(p.Readiness, time.Second)) }

func (p Probes) liveness() *corev1.Probe {
	if p.Liveness == 0 {
		return nil
	}
	return every(p.Liveness)
}

func (s WorkloadSpec) startup() *corev1.Probe {
	if s.Probes.Startup == 0 {
		return nil
	}
	out := every(s.Probes.Startup)
	out.FailureThreshold = int32((s.StartsAfter+startupSlack)/s.Probes.Startup) + 1
	return out
}
