package upgrade

import (
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/release"
)

// The strategies: Drydock's own order of kubeadm's commands, new machines in the place of the old, or the user's program.
const (
	Kubeadm = "kubeadm"
	Replace = "replace"
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
	Strategy         string        `yaml:"strategy"`         // kubeadm (default), replace or command
	Command          []string      `yaml:"command"`          // of the strategy command
	Workers          string        `yaml:"workers"`          // rolling (default), all-at-once or surge, which alone replace knows
	MaxUnavailable   int           `yaml:"maxUnavailable"`   // workers at a time when rolling; default 1
	ControlPlaneOnly bool          `yaml:"controlPlaneOnly"` // leave the workers at their version
	Force            bool          `yaml:"force"`            // allow the same version and a downgrade, and preflight's findings
	RestoreSnapshot  bool          `yaml:"restoreSnapshot"`  // a control plane that rollback does not make well: take etcd back to the snapshot, which loses all writes since
	DrainTimeout     time.Duration `yaml:"drainTimeout"`     // of one machine; default 2 min, of replace 20 min
	MachineTimeout   time.Duration `yaml:"machineTimeout"`   // from an upgraded machine to a healthy one; default 5 min; of replace, each of deleting, deploying and that, 20 min
	Template         string        `yaml:"template"`         // of replace: file with the template of a machine; empty: one that makes it as the old one was
	ScaleSets        []string      `yaml:"scaleSets"`        // of replace: scale sets whose instances are nodes of the cluster too
	Parameters       string        `yaml:"parameters"`       // of replace: file with parameters of the template that Drydock does not know
}

// Fields lists the names a file may use.
func (Spec) Fields() string {
	return "to, via, strategy, command, workers, maxUnavailable, controlPlaneOnly, force, restoreSnapshot, drainTimeout, machineTimeout, template, scaleSets, parameters"
}

// Needs are the capabilities that the machines of such an upgrade must have.
func (s Spec) Needs() []cluster.Capability {
	switch {
	case s.Strategy == Command || s.Strategy == Replace:
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
	if s.Strategy == Replace {
		if err := s.completeReplace(); err != nil {
			return s, err
		}
	}
	for _, d := range []struct {
		value *string
		name  string
		known []string
	}{{&s.Strategy, "strategy", []string{Kubeadm, Replace, Command}}, {&s.Workers, "workers", []string{Rolling, AllAtOnce, Surge}}} {
		if *d.value == "" {
			*d.value = d.known[0]
		}
		if !slices.Contains(d.known, *d.value) {
			return s, cluster.Usagef("upgrade: %s is %q; known: %s", d.name, *d.value, strings.Join(d.known, ", "))
		}
	}
	if s.Strategy != Replace && (s.Template+s.Parameters != "" || len(s.ScaleSets) > 0) {
		return s, cluster.Usagef("upgrade: template, parameters and scaleSets belong to strategy: %s", Replace)
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

// completeReplace fills in what is otherwise for machines that are replaced: the times are AKS Engine's, whose users know them.
func (s *Spec) completeReplace() error {
	if s.Workers == "" {
		s.Workers = Surge
	}
	const known = 20 * time.Minute
	if s.DrainTimeout == 0 {
		s.DrainTimeout = known
	}
	if s.MachineTimeout == 0 {
		s.MachineTimeout = known
	}
	switch {
	case s.Workers != Surge:
		return cluster.Usagef("upgrade: workers is %q; strategy: %s knows %s: one machine more is there throughout", s.Workers, Replace, Surge)
	case s.RestoreSnapshot:
		return cluster.Usagef("upgrade: restoreSnapshot belongs to a rollback, and a machine that is replaced has none; the runbook restore-quorum takes etcd back")
	}
	return nil
}
