package upgrade

import (
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/release"
)

// The strategies: Drydock's own order of kubeadm's commands, or the user's program.
const (
	Kubeadm = "kubeadm"
	Command = "command"
)

// How workers are upgraded.
const (
	Rolling   = "rolling"     // in place, MaxUnavailable at a time
	AllAtOnce = "all-at-once" // in place, all together and without a drain
	Surge     = "surge"       // replaced by new machines one after another, with one machine more meanwhile
)

// Spec is what a scenario or a user asks for.
type Spec struct {
	To               string        `yaml:"to"`               // vX.Y or vX.Y.Z
	Via              []string      `yaml:"via"`              // versions in between, when To is more than one minor ahead
	Strategy         string        `yaml:"strategy"`         // kubeadm (default) or command
	Command          []string      `yaml:"command"`          // of the strategy command
	Workers          string        `yaml:"workers"`          // rolling (default), all-at-once or surge
	MaxUnavailable   int           `yaml:"maxUnavailable"`   // workers at a time when rolling; default 1
	ControlPlaneOnly bool          `yaml:"controlPlaneOnly"` // leave the workers at their version
	Force            bool          `yaml:"force"`            // allow the same version and a downgrade, and preflight's findings
	RestoreSnapshot  bool          `yaml:"restoreSnapshot"`  // a control plane that rollback does not make well: take etcd back to the snapshot, which loses all writes since
	DrainTimeout     time.Duration `yaml:"drainTimeout"`     // of one machine; default 2 min
	MachineTimeout   time.Duration `yaml:"machineTimeout"`   // from an upgraded machine to a healthy one; default 5 min
}

// Fields lists the names a file may use.
func (Spec) Fields() string {
	return "to, via, strategy, command, workers, maxUnavailable, controlPlaneOnly, force, restoreSnapshot, drainTimeout, machineTimeout"
}

// Needs are the capabilities that the machines of such an upgrade must have.
func (s Spec) Needs() []cluster.Capability {
	switch {
	case s.Strategy == Command:
		return nil
	case s.Workers == Surge:
		return []cluster.Capability{cluster.CanInstall, cluster.CanScale}
	default:
		return []cluster.Capability{cluster.CanInstall}
	}
}

// Complete fills in defaults, resolves the versions and says what is wrong.
func (s Spec) Complete() (Spec, error) {
	if s.To == "" {
		return s, cluster.Usagef("upgrade: to is missing: the version to upgrade to")
	}
	s.Via = slices.Clone(s.Via)
	for i, v := range s.Via {
		known, err := release.Resolve(release.Kubernetes, v)
		if err != nil {
			return s, err
		}
		s.Via[i] = known.Version
	}
	if known, err := release.Resolve(release.Kubernetes, s.To); err == nil { // an unknown one is refused by the policy
		s.To = known.Version
	}
	for _, d := range []struct {
		value *string
		name  string
		known []string
	}{{&s.Strategy, "strategy", []string{Kubeadm, Command}}, {&s.Workers, "workers", []string{Rolling, AllAtOnce, Surge}}} {
		if *d.value == "" {
			*d.value = d.known[0]
		}
		if !slices.Contains(d.known, *d.value) {
			return s, cluster.Usagef("upgrade: %s is %q; known: %s", d.name, *d.value, strings.Join(d.known, ", "))
		}
	}
	if (s.Strategy == Command) != (len(s.Command) > 0) {
		return s, cluster.Usagef("upgrade: strategy: command and command: [PROGRAM, ARGUMENT…] belong together")
	}
	for name, n := range map[string]time.Duration{"drainTimeout": s.DrainTimeout, "machineTimeout": s.MachineTimeout, "maxUnavailable": time.Duration(s.MaxUnavailable)} {
		if n < 0 {
			return s, cluster.Usagef("upgrade: %s cannot be negative", name)
		}
	}
	if s.MaxUnavailable > 1 && s.Workers != Rolling {
		return s, cluster.Usagef("upgrade: maxUnavailable is for workers: %s; with %s it means nothing", Rolling, s.Workers)
	}
	s.MaxUnavailable = max(s.MaxUnavailable, 1)
	if s.DrainTimeout == 0 {
		s.DrainTimeout = 2 * time.Minute
	}
	if s.MachineTimeout == 0 {
		s.MachineTimeout = 5 * time.Minute
	}
	return s, nil
}
