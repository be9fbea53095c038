package upgrade

import (
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/release"
)

// The strategies: Drydock's own order of kubeadm's commands, new machines in the place of the old, the user's program, AKS Engine's own upgrade, which
// replaces machines by a twin's calls, or the members of an etcd that is no static pod of kubeadm's.
const (
	Kubeadm   = "kubeadm"
	Replace   = "replace"
	Command   = "command"
	AKSEngine = "aks-engine"
	Etcd      = "etcd"
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
	EtcdVersion      string        `yaml:"etcdVersion"`      // of kubeadm: what the members on the control planes go to, and stay at, instead of kubeadm's own or what the cluster's configuration names
	Strategy         string        `yaml:"strategy"`         // kubeadm (default), replace, command, aks-engine or etcd, of which to and via are then versions
	Command          []string      `yaml:"command"`          // of the strategy command
	Tool             Tool          `yaml:"tool"`             // of the strategy aks-engine
	Workers          string        `yaml:"workers"`          // rolling (default), all-at-once or surge, which alone replace knows
	MaxUnavailable   int           `yaml:"maxUnavailable"`   // workers at a time when rolling; default 1
	ControlPlaneOnly bool          `yaml:"controlPlaneOnly"` // leave the workers at their version
	Force            bool          `yaml:"force"`            // allow the same version and a downgrade, and preflight's findings
	RestoreSnapshot  bool          `yaml:"restoreSnapshot"`  // a control plane that rollback does not make well: take etcd back to the snapshot, which loses all writes since
	DrainTimeout     time.Duration `yaml:"drainTimeout"`     // of one machine; default 2 min, of replace 20 min
	MachineTimeout   time.Duration `yaml:"machineTimeout"`   // from an upgraded machine to a healthy one; default 5 min, of etcd 2 min; of replace, each of deleting, deploying and that, 20 min
	Template         string        `yaml:"template"`         // of replace: file with the template of a machine; empty: one that makes it as the old one was
	ScaleSets        []string      `yaml:"scaleSets"`        // of replace: scale sets whose instances are nodes of the cluster too
	Parameters       string        `yaml:"parameters"`       // of replace: file with parameters of the template that Drydock does not know
}

// Tool is what a tool is asked for that has versions of its own.
type Tool struct {
	From     string   `yaml:"from"`     // as it calls the cluster's version
	To       string   `yaml:"to"`       // and the one to upgrade to
	Commands []string `yaml:"commands"` // flags of its commands, one after another, as a user would: "", "", --force; without any one without flags
}

// Runs are the flags of each of its commands.
func (t Tool) Runs() (runs [][]string) {
	for _, flags := range t.Commands {
		runs = append(runs, strings.Fields(flags))
	}
	if len(runs) == 0 {
		runs = [][]string{nil}
	}
	return runs
}

func (t Tool) about() string {
	var out []string
	for _, flags := range t.Runs() {
		out = append(out, strings.Join(append([]string{"aks-engine upgrade --upgrade-version", t.To}, flags...), " "))
	}
	return strings.Join(out, "; then ")
}

// Foreign reports whether somebody else's program does the upgrade, so that nobody knows when it is where.
func (s Spec) Foreign() bool { return s.Strategy == Command || s.Strategy == AKSEngine }

// Product is whose versions the upgrade is between.
func (s Spec) Product() string {
	if s.Strategy == Etcd {
		return release.Etcd
	}
	return release.Kubernetes
}

// Fits says, as a UsageError, why a cluster of the topology cannot be upgraded so.
func (s Spec) Fits(t cluster.Topology) error {
	switch {
	case s.Strategy == Etcd && t.Etcd == cluster.EtcdStacked:
		return cluster.Usagef("upgrade: the members of %s are static pods of kubeadm's, whose own upgrade takes them along; strategy: %s is for etcd: %s and etcd: %s",
			t.Name, Etcd, cluster.EtcdOnly, cluster.EtcdExternal)
	case s.EtcdVersion != "" && t.Etcd != cluster.EtcdStacked:
		return cluster.Usagef("upgrade: etcdVersion is of members that are static pods of kubeadm's, and those of %s are not: strategy: %s upgrades them", t.Name, Etcd)
	case s.Strategy != Etcd && !t.Kubernetes():
		return cluster.Usagef("upgrade: %s is etcd-only: there is no Kubernetes to upgrade; strategy: %s upgrades its members", t.Name, Etcd)
	}
	return nil
}

// Needs are the capabilities that the machines of such an upgrade must have.
func (s Spec) Needs() []cluster.Capability {
	switch {
	case s.Strategy == Command || s.Strategy == Replace:
		return nil
	case s.Strategy == AKSEngine:
		return []cluster.Capability{cluster.CanScale}
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
		known, err := release.Resolve(s.Product(), v)
		if err != nil {
			return s, err
		}
		s.Via[i] = known.Version
	}
	if known, err := release.Resolve(s.Product(), s.To); err == nil { // an unknown one is refused by the policy
		s.To = known.Version
	}
	switch s.Strategy {
	case Replace:
		if err := s.completeReplace(); err != nil {
			return s, err
		}
	case Etcd:
		if err := s.completeEtcd(); err != nil {
			return s, err
		}
	}
	for _, d := range []struct {
		value *string
		name  string
		known []string
	}{{&s.Strategy, "strategy", []string{Kubeadm, Replace, Command, AKSEngine, Etcd}}, {&s.Workers, "workers", []string{Rolling, AllAtOnce, Surge}}} {
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
	if s.EtcdVersion != "" {
		known, err := release.Resolve(release.Etcd, s.EtcdVersion)
		if err != nil {
			return s, err
		}
		if s.EtcdVersion = known.Version; s.Strategy != Kubeadm {
			return s, cluster.Usagef("upgrade: etcdVersion belongs to strategy: %s", Kubeadm)
		}
	}
	if (s.Strategy == Command) != (len(s.Command) > 0) {
		return s, cluster.Usagef("upgrade: strategy: command and command: [PROGRAM, ARGUMENT…] belong together")
	}
	if (s.Strategy == AKSEngine) != (s.Tool.From != "" && s.Tool.To != "") {
		return s, cluster.Usagef("upgrade: strategy: aks-engine and tool: {from: VERSION, to: VERSION}, as AKS Engine calls them, belong together")
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

// completeEtcd fills in what is otherwise for members, and refuses what is of machines with a kubelet.
func (s *Spec) completeEtcd() error {
	if s.Workers != "" && s.Workers != Rolling || s.MaxUnavailable > 1 || s.ControlPlaneOnly || s.RestoreSnapshot {
		return cluster.Usagef("upgrade: workers, maxUnavailable, controlPlaneOnly and restoreSnapshot are of Kubernetes: strategy: %s takes members one at a time, and touches nothing else", Etcd)
	}
	if s.MachineTimeout == 0 {
		s.MachineTimeout = 2 * time.Minute
	}
	return nil
}
