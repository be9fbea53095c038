package experiment

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/release"
)

// fingerprinted is the kind of the journal's entry that tells what exactly a cell tests.
const fingerprinted = "fingerprint"

// fingerprint is that of whatever the scenario runs on here.
func (s *Scenario) fingerprint(label string) (plan.Fingerprint, error) {
	self, err := plan.ThisProgram()
	return plan.Fingerprint{Cell: label, Scenario: plan.Source{Name: s.Metadata.Name, Sum: s.sum}, Drydock: self, Host: observe.Host()}, err
}

// sumOf is how a scenario's file is known.
func sumOf(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// identify tells the journal what the cell tests, as soon as its cluster is there.
func (c *cellRun) identify(ctx context.Context) error {
	f, err := c.scenario.fingerprint(c.outline.cell.Label)
	if err != nil {
		return err
	}
	t, profile := c.cluster.Topology(), c.cluster.Profile()
	f.Topology, f.Profile, f.Lacks = &t, &profile, c.cluster.Lacks()
	if f.Programs, err = c.programs(ctx, t); err != nil {
		return err
	}
	return c.journal.Write(fingerprinted, f)
}

// programs are the checksums of those that the cluster runs, or will run, as far as the provider knows them. One that was up already was given its programs by
// somebody else, perhaps.
func (c *cellRun) programs(ctx context.Context, t cluster.Topology) (map[string]string, error) {
	known, ok := c.options.Provider.(cluster.Summed)
	if !ok || c.outline.cell.On != nil {
		return nil, nil
	}
	versions := map[string][]string{release.Kubernetes: c.scenario.twinVersions()}
	if t.Kubernetes() {
		versions[release.Kubernetes] = append(versions[release.Kubernetes], t.Version)
	}
	etcds, err := c.etcds(ctx, t, versions[release.Kubernetes])
	if err != nil {
		return nil, err
	}
	versions[release.Etcd] = etcds
	for _, u := range c.outline.upgrades {
		versions[u.Spec.Product()] = append(versions[u.Spec.Product()], u.Path.Hops...)
	}
	out := map[string]string{}
	for _, product := range slices.Sorted(maps.Keys(versions)) {
		for _, v := range versions[product] {
			sums, err := known.Sums(product, v)
			if err != nil {
				return nil, err
			}
			for name, sum := range sums {
				out[strings.Join([]string{product, v, name}, " ")] = sum
			}
		}
	}
	return out, nil
}

// etcds are the versions of etcd, without the hops of its own upgrades: those that are named, and until then those that kubeadm chooses in clusters that begin with
// such versions of Kubernetes.
func (c *cellRun) etcds(ctx context.Context, t cluster.Topology, begin []string) (all []string, err error) {
	if t.EtcdVersion != "" {
		all = append(all, t.EtcdVersion)
	}
	chosen, named := slices.Clone(begin), t.EtcdVersion != ""
	for _, u := range c.outline.upgrades {
		if u.Spec.EtcdVersion != "" {
			all, named = append(all, u.Spec.EtcdVersion), true
		}
		if !named {
			chosen = append(chosen, u.Path.Hops...)
		}
	}
	chooser, ok := c.options.Provider.(cluster.EtcdChooser)
	if !ok || t.EtcdVersion != "" {
		return all, nil
	}
	for _, v := range chosen {
		its, err := chooser.EtcdOf(ctx, v)
		if err != nil {
			return nil, err
		}
		all = append(all, its)
	}
	return all, nil
}

// fingerprint is what the journal tells of a cell; nil: nothing.
func (j *chronicle) fingerprint(label string) *plan.Fingerprint {
	for _, x := range j.entries {
		var f plan.Fingerprint
		if x.Kind == fingerprinted && json.Unmarshal(x.Data, &f) == nil && f.Cell == label {
			return &f
		}
	}
	return nil
}

// from are the versions that programs had when they were looked at first, where they are others at the end.
func (e *Evidence) from(final map[string]string) map[string]string {
	out := map[string]string{}
	for _, o := range e.Record.Observations {
		for program, v := range o.Versions { // who did not answer at first is first seen later
			if _, seen := out[program]; !seen {
				out[program] = v
			}
		}
	}
	maps.DeleteFunc(out, func(program, v string) bool { return final[program] == v })
	return out
}

// identified adds a cell's fingerprint to its result, and what it says was not tested.
func (j *chronicle) identified(label string, res *plan.Result) {
	f := j.fingerprint(label)
	if f == nil {
		res.NotTested = append(res.NotTested, plan.NotTested{What: "which build of Drydock, which scenario's file and which programs these were", Why: "the run's journal does not tell"})
		return
	}
	res.Fingerprints = []plan.Fingerprint{*f}
	res.NotTested = append(res.NotTested, limits(f)...)
}

// limits are what the cluster was not, by its own account.
func limits(f *plan.Fingerprint) []plan.NotTested {
	var out []plan.NotTested
	not := func(what, format string, args ...any) {
		out = append(out, plan.NotTested{What: what, Why: fmt.Sprintf(format, args...)})
	}
	t := f.Topology
	if t == nil {
		return nil
	}
	if t.Kubernetes() && t.Timing == cluster.TimingFast {
		not("the times of production", "timing: fast has shortened leases, grace periods and tolerations together")
	}
	if p := f.Profile; p != nil && t.Kubernetes() {
		for _, phase := range p.SkipPhases {
			if addon, is := strings.CutPrefix(phase, "addon/"); is {
				not(addon, "it is left out of clusters here")
				continue
			}
			not("kubeadm's phase "+phase, "it is left out of clusters here")
		}
		if len(p.IgnorePreflight) > 0 {
			not("kubeadm's own preflight checks", "ignored on these machines: %s", strings.Join(p.IgnorePreflight, ", "))
		}
		if keys := slices.Sorted(maps.Keys(p.Kubelet)); len(keys) > 0 {
			not("kubelets with their defaults", "these fields are set for the machines here: %s", strings.Join(keys, ", "))
		}
		if gates := slices.Sorted(maps.Keys(p.KubeletGates)); len(gates) > 0 {
			not("kubelets without feature gates", "these are set for the machines here: %s", strings.Join(gates, ", "))
		}
	}
	if len(f.Programs) == 0 {
		not("which programs these were, byte by byte", "the cluster's provider does not tell their checksums")
	}
	for _, c := range slices.Sorted(maps.Keys(f.Lacks)) {
		not("what needs the capability "+string(c), "%s", f.Lacks[c])
	}
	return out
}
