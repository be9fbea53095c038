// Package remedy holds the runbooks: each turns a symptom into a plan. A runbook diagnoses first and touches nothing, refuses by findings what would
// cost a quorum, and keeps what it has found, so that a run that was interrupted goes on by running it again: every step looks before it acts.
package remedy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/remedy/quota"
)

// Ended is the journal's word that a remedy has ended well.
const Ended = "remedied"

// Spec is what a scenario or a user asks for.
type Spec struct {
	Runbook string        `yaml:"runbook" json:"runbook"`
	Machine string        `yaml:"machine" json:"machine,omitempty"` // it is about; empty: the one that the symptom is seen on
	Replace bool          `yaml:"replace" json:"replace,omitempty"` // the machine is given up, with all that is on its disk, for a new one
	Timeout time.Duration `yaml:"timeout" json:"timeout,omitempty"` // from the last change to a whole cluster; default 5 min
	// Snapshot is a file on this host to restore from, in the place of what is left in the cluster.
	Snapshot string `yaml:"snapshot" json:"snapshot,omitempty"`
	// ForceNewCluster begins with the survivor's data as it stands, by etcd's flag of that name, in the place of a snapshot that has the last entries of its log.
	ForceNewCluster bool `yaml:"forceNewCluster" json:"forceNewCluster,omitempty"`
	// To is a directory on this host that a backup goes to; empty: in Dir, which goes with the cluster.
	To string `yaml:"to" json:"to,omitempty"`
	// Images are the versions that images of a name are to have: the last part of their repository, and the tag.
	Images map[string]string `yaml:"images" json:"images,omitempty"`
	Budget quota.Settings    `yaml:"budget" json:"budget,omitzero"` // how patiently the cloud's budgets are waited for
}

// defaultTimeout is that of an upgraded machine too.
const defaultTimeout = 5 * time.Minute

// Diagnosis is what a runbook found before it touched anything. One that was interrupted goes on with what it began with: half-way through, the symptom
// is another.
type Diagnosis struct {
	At      time.Time `json:"at"`
	Nothing string    `json:"nothing,omitempty"` // why there is nothing to do
	Machine string    `json:"machine,omitempty"` // it is about
	// Was is which machine that was, as its Node told.
	Was    kubeadm.Identity `json:"was,omitzero"`
	Member uint64           `json:"member,omitempty"` // of etcd, that was on it; 0: none was listed
	Log    etcd.Log         `json:"log,omitzero"`     // of the member that is begun from, and how far it goes
	// Expired are the certificates of kubeadm's that have run out, or will soon, by machine.
	Expired map[string][]string `json:"expired,omitempty"`
	// Calls are the components of control planes that call the cloud, by machine.
	Calls map[string][]string `json:"calls,omitempty"`
	// Revision is one that a quorum has confirmed.
	Revision int64    `json:"revision,omitempty"`
	Ailing   []string `json:"ailing,omitempty"` // pods and workloads that were not well, and are not held against the remedy
	Says     string   `json:"says"`             // the symptom, in words
	Shows    []string `json:"shows,omitempty"`  // what would be changed in files, as diff(1) shows it
}

// Remedy carries a runbook out. Its plan is built before there is a cluster; Target and the rest are set before its steps run.
type Remedy struct {
	Spec     Spec
	Topology cluster.Topology

	Target   *observe.Target
	Observer *observe.Observer
	Dir      string            // where snapshots are kept
	Cloud    string            // ready file of a twin that is the cluster's cloud, by which this host reaches it; empty: as the components' configuration says
	Hasty    bool              // waits for no budget: what comes of that shows that the wait is needed
	Told     func(Note) error  // called with what steps saw that a reader should; may be nil
	Accepted func(Begun) error // called when nothing stands against the remedy and nothing is touched yet, to keep what GoOn needs; may be nil

	book   Runbook
	found  *Diagnosis
	opened *observe.Target // by a runbook that the one it was given served no more; closed with the gate
}

// Noted is the journal's word for a Note.
const Noted = "note"

// Note is something that a step saw or did.
type Note struct {
	Time    time.Time `json:"time"`
	Machine string    `json:"machine,omitempty"` // it is about
	What    string    `json:"what"`
}

// note tells it. That it could not be told is no reason to stop half-way.
func (r *Remedy) note(machine, format string, args ...any) {
	if r.Told != nil {
		_ = r.Told(Note{Time: time.Now().UTC(), Machine: machine, What: fmt.Sprintf(format, args...)})
	}
}

// New finds the runbook and says what is wrong with the settings, as a UsageError.
func New(spec Spec, t cluster.Topology) (*Remedy, error) {
	book, err := Find(spec.Runbook)
	if err != nil {
		return nil, err
	}
	if spec.Timeout < 0 {
		return nil, cluster.Usagef("remedy %s: timeout is %s; it cannot be negative", spec.Runbook, spec.Timeout)
	}
	if spec.Timeout == 0 {
		spec.Timeout = defaultTimeout
	}
	if spec, err = book.settings(spec); err != nil {
		return nil, err
	}
	if spec.Machine != "" {
		if !book.OfOne() {
			return nil, cluster.Usagef("remedy %s: machine is %q, and the runbook is about the whole cluster", spec.Runbook, spec.Machine)
		}
		if known := book.machines(t); !slices.Contains(known, spec.Machine) {
			return nil, cluster.Usagef("remedy %s: machine is %q; it may be one of %s", spec.Runbook, spec.Machine, strings.Join(known, ", "))
		}
	}
	if spec.Snapshot != "" && !book.Restores {
		return nil, cluster.Usagef("remedy %s: snapshot is %q, and the runbook restores none", spec.Runbook, spec.Snapshot)
	}
	if spec.ForceNewCluster && (!book.Restores || spec.Snapshot != "" || t.Etcd == cluster.EtcdStacked) {
		return nil, cluster.Usagef("remedy %s: forceNewCluster is of restore-quorum without a snapshot, where etcd is a service and no static pod", spec.Runbook)
	}
	if spec.Replace && (!book.Replaces || spec.Machine == "") {
		return nil, cluster.Usagef("remedy %s: replace gives a machine up for good: it is of recover-node, and the machine must be named", spec.Runbook)
	}
	if book.Kubernetes && !t.Kubernetes() {
		return nil, cluster.Usagef("remedy %s: the cluster is etcd: only, and the runbook is for Kubernetes", spec.Runbook)
	}
	if spec.To != "" && !book.Saves {
		return nil, cluster.Usagef("remedy %s: to is %q, and the runbook saves nothing", spec.Runbook, spec.To)
	}
	return &Remedy{Spec: spec, Topology: t, book: book}, nil
}

// Needs are the capabilities that the machines must have.
func (r *Remedy) Needs() []cluster.Capability { return r.book.Needs }

// Begun is a remedy that nothing stood against.
type Begun struct {
	Spec  Spec      `json:"spec"`
	Found Diagnosis `json:"found"`
}

// GoOn has the steps go on with a remedy that was begun and interrupted, and refuses another one in its place.
func (r *Remedy) GoOn(b Begun) error {
	if r.Spec.Machine != "" && r.Spec.Machine != b.Found.Machine {
		return cluster.Usagef("remedy %s was begun for %s and is not finished: go on with it, or say --anew", r.Spec.Runbook, b.Found.Machine)
	}
	if r.Spec.Snapshot != "" && r.Spec.Snapshot != b.Spec.Snapshot {
		return cluster.Usagef("remedy %s was begun with %s and is not finished: go on with it, or say --anew", r.Spec.Runbook, cmp.Or(b.Spec.Snapshot, "no snapshot"))
	}
	if r.Spec.ForceNewCluster != b.Spec.ForceNewCluster {
		return cluster.Usagef("remedy %s was begun with forceNewCluster %t and is not finished: go on with it, or say --anew", r.Spec.Runbook, b.Spec.ForceNewCluster)
	}
	if r.Spec.Replace && !b.Spec.Replace {
		return cluster.Usagef("remedy %s was begun without giving %s up, and is not finished: go on with it, or say --anew", r.Spec.Runbook, b.Found.Machine)
	}
	if !maps.Equal(r.Spec.Images, b.Spec.Images) {
		return cluster.Usagef("remedy %s was begun for the images %v and is not finished: go on with them, or say --anew", r.Spec.Runbook, b.Spec.Images)
	}
	if r.Spec.To != "" && r.Spec.To != b.Spec.To {
		return cluster.Usagef("remedy %s was begun with %s and is not finished: go on with it, or say --anew", r.Spec.Runbook, b.Spec.To)
	}
	r.found, r.Spec.Snapshot, r.Spec.Replace, r.Spec.To = &b.Found, b.Spec.Snapshot, b.Spec.Replace, b.Spec.To
	return nil
}

// stamp is this remedy's, in the names of what it keeps: of directories, files and namespaces, which have no dot.
func (r *Remedy) stamp() string {
	return strings.Replace(r.found.At.Format("20060102-150405.000"), ".", "-", 1)
}

// serverReady waits for the API server of a control plane.
func (r *Remedy) serverReady(ctx context.Context, machine string) error {
	return cluster.Await(ctx, "the API server on "+machine+" ready", cluster.Wait{For: r.Spec.Timeout, Every: time.Second}, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, looked)
		defer cancel()
		return kubeadm.Health(ctx, r.Target.Cluster, machine, "/readyz")
	})
}

// Outcome says, after the plan has run, what came of it.
func (r *Remedy) Outcome() string {
	switch {
	case r.found.Nothing != "":
		return "nothing to do: " + r.found.Nothing
	case r.book.Saves:
		return backup{r}.says()
	}
	return r.book.Name + " has mended it (" + r.found.Says + "), and the cluster is whole"
}

// Describe says what will be done, from the fields that will be used.
func (r *Remedy) Describe() string {
	where := ""
	switch {
	case r.Spec.Replace:
		where = ", giving up " + r.Spec.Machine
	case r.Spec.Machine != "":
		where = ", on " + r.Spec.Machine
	case r.book.OfOne():
		where = ", where its symptom is seen"
	}
	does := r.book.Does
	if r.Spec.ForceNewCluster {
		does = "stop what writes, begin a new cluster of the best survivor alone by --force-new-cluster, and have the others join one at a time"
	}
	return r.book.Name + where + ": " + does
}

// Steps is the plan. Every step looks before it acts and skips what is done. Step names are RUNBOOK/ACTION.
func (r *Remedy) Steps() []*plan.Step {
	steps := []*plan.Step{{Name: "diagnose", About: r.book.Symptom + "; refuse what would cost a quorum", Run: r.diagnose, Looks: true}}
	steps = append(steps, r.book.steps(r)...)
	if !r.book.Reads {
		steps = append(steps, &plan.Step{Name: "gate", About: "the cluster is whole, and stays so", Run: r.gate, Looks: true})
	}
	for _, s := range steps {
		s.Name = r.book.Name + "/" + s.Name
		if act := s.Run; s.Run != nil && s != steps[0] {
			s.Run = func(ctx context.Context) error { return r.unlessNothing(ctx, act) }
		}
	}
	return steps
}

// Diagnose looks at the cluster and touches nothing: what is the matter, and what stands against the remedy.
func (r *Remedy) Diagnose(ctx context.Context) (Diagnosis, []plan.Finding, error) {
	return r.book.diagnose(ctx, r)
}

// diagnose is the step: what stands against the remedy refuses it before anything is touched.
func (r *Remedy) diagnose(ctx context.Context) error {
	if r.found != nil {
		return fmt.Errorf("%w: it was diagnosed before the interrupt: %s", plan.ErrSkip, r.found.Says)
	}
	found, stands, err := r.Diagnose(ctx)
	if err != nil {
		return fmt.Errorf("diagnose: %w", err)
	}
	if err := plan.Refusal("the runbook "+r.book.Name, stands); err != nil {
		return err
	}
	if found.Nothing == "" {
		found.Ailing = health.Ailing(r.Observer.Observe(ctx))
	}
	found.At = time.Now().UTC()
	if r.Accepted != nil && found.Nothing == "" { // else there is nothing to go on with
		if err := r.Accepted(Begun{Spec: r.Spec, Found: found}); err != nil {
			return err
		}
	}
	r.found = &found
	return nil
}

func (r *Remedy) unlessNothing(ctx context.Context, act func(context.Context) error) error {
	if r.found.Nothing != "" {
		return fmt.Errorf("%w: %s", plan.ErrSkip, r.found.Nothing)
	}
	return act(ctx)
}

// changed refuses to go on with a remedy whose cluster is not any more what was diagnosed.
func (r *Remedy) changed(what, why string) error {
	return plan.Refusal("to go on with the runbook "+r.book.Name, []plan.Finding{{
		Check: "diagnosis", Severity: plan.Blocker, What: what + " since " + r.found.At.Format(time.DateTime) + ", when it was diagnosed", Why: why, Fix: "diagnose again: --anew",
	}})
}

// gate waits until the cluster is whole for a steady time.
func (r *Remedy) gate(ctx context.Context) (err error) {
	if r.opened != nil {
		defer func() { err = errors.Join(err, r.opened.Members.Close()) }()
	}
	wanted := health.Wanted{Topology: r.Topology, Ailing: r.found.Ailing}
	_, err = r.Observer.AwaitSteady(ctx, "the cluster whole after "+r.book.Name, r.Spec.Timeout, health.Steady(r.Topology), func(o observe.Observation) error {
		return health.Whole(o, wanted)
	})
	return err
}
