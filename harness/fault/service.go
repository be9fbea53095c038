package fault

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
)

// service is a program that somebody supervises on each of its machines: systemd as a unit of that name, or a kubelet as a static pod of that name.
type service struct {
	name    string
	port    int
	path    string // that is cheap to answer
	plain   bool   // HTTP
	inside  bool   // it listens on its machine's loopback only
	touches []string
	on      func(t cluster.Topology) []string
	unit    func(t cluster.Topology) bool // it is a unit there; else a static pod
}

func services() []service {
	never := func(cluster.Topology) bool { return false }
	return []service{
		{
			name: observe.Kubelet, port: 10250, path: "/healthz", touches: []string{observe.Kubelet},
			on: cluster.Topology.KubernetesMachines, unit: func(cluster.Topology) bool { return true },
		},
		{name: observe.APIServer, port: kubeadm.APIPort, path: "/livez", touches: aroundServer(), on: cluster.Topology.ControlPlaneMachines, unit: never},
		{
			name: observe.ControllerManager, port: 10257, path: "/healthz", inside: true, touches: []string{observe.ControllerManager},
			on: cluster.Topology.ControlPlaneMachines, unit: never,
		},
		{
			name: observe.Scheduler, port: 10259, path: "/healthz", inside: true, touches: []string{observe.Scheduler},
			on: cluster.Topology.ControlPlaneMachines, unit: never,
		},
		{
			name: etcd.Program, port: etcd.MetricsPort, path: "/health?serializable=true", plain: true, inside: true, touches: aroundMember(),
			on: cluster.Topology.EtcdMachines, unit: func(t cluster.Topology) bool { return t.Etcd != cluster.EtcdStacked },
		},
	}
}

// Programs are the names of all services, and the machines of a cluster that each runs on.
func Programs(t cluster.Topology) map[string][]string {
	out := map[string][]string{}
	for _, s := range services() {
		out[s.name] = s.on(t)
	}
	return out
}

func findService(name string) (service, error) {
	var known []string
	for _, s := range services() {
		if s.name == name {
			return s, nil
		}
		known = append(known, s.name)
	}
	if slices.Contains([]string{"containerd", "cri-o", "crio", "docker", "runtime"}, name) {
		return service{}, fmt.Errorf("service %q: the container runtime cannot be had apart: a lab's is part of its machine's init and ends with that (machinePowerOff); known: %s", name, strings.Join(known, ", "))
	}
	return service{}, fmt.Errorf("service is %q; known: %s", name, strings.Join(known, ", "))
}

// What is done to a service.
const (
	stopped   = "stop"
	frozen    = "freeze"
	killed    = "kill"
	restarted = "restart"
)

// serviceKinds are the faults of services, a kind for each thing that is done to them.
func serviceKinds() []Kind {
	var samples []Params
	for _, s := range services() {
		samples = append(samples, Params{Service: s.name})
	}
	kind := func(name, about, act string, needs ...cluster.Capability) Kind {
		return Kind{
			Name: name, About: about, Takes: []string{"service"}, Samples: samples, Needs: append(needs, cluster.CanDial), Once: act == killed || act == restarted, Kubelet: act == killed || act == stopped,
			TouchesOf: func(p Params) []string {
				s, _ := findService(p.Service) // what is unknown was refused
				return s.touches
			},
			Valid: func(p Params) error { _, err := findService(p.Service); return err },
			Fits:  func(s Spec, t cluster.Topology) error { return fitsService(act, s, t) },
			New:   func(s Spec) Fault { return &serviceFault{act: act, name: s.Service} },
		}
	}
	return []Kind{
		kind("serviceStop", "a service ends and is not started again: kubelet, kube-apiserver, kube-controller-manager, kube-scheduler, or etcd where it is a unit", stopped, cluster.CanKill),
		kind("serviceFreeze", "SIGSTOP of a service: its sockets stay open, nothing answers; of etcd see etcdMemberFreeze", frozen, cluster.CanFreeze),
		kind("serviceKill", "kill -9 of a service, once: its supervisor starts it anew", killed, cluster.CanKill),
		kind("serviceRestart", "a service is restarted by systemctl: kubelet, or etcd where it is a unit", restarted),
	}
}

// livenessAfter is how long a static pod of kubeadm's may give no answer before its kubelet ends it: eight probes of 15 s each (failureThreshold,
// timeoutSeconds), and a margin. The fault would end with that.
const livenessAfter = 100 * time.Second

// fits refuses machines without the service.
func (s service) fits(x Spec, t cluster.Topology) error {
	on := s.on(t)
	for _, m := range append(slices.Clone(x.Machines), x.Among...) {
		if !slices.Contains(on, m) {
			return cluster.Usagef("%s: target %s: %s does not run on %s; it does on %s", x.Kind, x.Target, s.name, m, none(on))
		}
	}
	return nil
}

// fitsService refuses machines without the service, what is another fault by another name, and what its supervisor has no word for.
func fitsService(act string, s Spec, t cluster.Topology) error {
	what, err := findService(s.Service)
	if err != nil {
		return cluster.Usagef("%s: %w", s.Kind, err)
	}
	if err := what.fits(s, t); err != nil {
		return err
	}
	switch unit := what.unit(t); {
	case act == frozen && what.name == etcd.Program:
		return cluster.Usagef("%s of %s is etcdMemberFreeze: use that", s.Kind, what.name)
	case act == stopped && what.name == etcd.Program && !unit:
		return cluster.Usagef("%s of %s, a static pod here, is etcdMemberCrash: use that", s.Kind, what.name)
	case act == restarted && !unit:
		return cluster.Usagef("%s: %s is a static pod, and a kubelet has no word for a restart; serviceKill ends its process, and the kubelet starts it anew", s.Kind, what.name)
	case act == frozen && !unit && s.For > livenessAfter:
		return cluster.Usagef("%s of %s for %s: its kubelet ends a static pod that is silent for longer than %s, and the fault with it", s.Kind, what.name, s.For, livenessAfter)
	}
	return nil
}
