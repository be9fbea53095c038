package experiment

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/plan"
)

// ByHand is the directory with the journal of the faults that were injected by hand. It is in the cluster's own, and goes with it.
func ByHand(c cluster.Cluster) string { return filepath.Join(c.Dir(), "faults") }

// InPlace are the faults injected by hand that are not undone, newest first.
func InPlace(c cluster.Cluster) ([]*fault.Guard, error) {
	entries, _, err := plan.ReadJournal(ByHand(c))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return fault.Outstanding(entries)
}

// untouched refuses, with a UsageError, a cluster that somebody has broken by hand: what a run saw there would be that as well.
func untouched(c cluster.Cluster) error {
	guards, err := InPlace(c)
	if err != nil || len(guards) == 0 {
		return err
	}
	return cluster.Usagef("cluster %q has faults that were injected by hand (%s): `drydock fault clear` first", c.Topology().Name, Named(guards))
}

// Named are faults and what each is on, in words.
func Named(guards []*fault.Guard) string {
	var out []string
	for _, g := range guards {
		out = append(out, g.Spec.Kind+" on "+g.Where())
	}
	return strings.Join(out, "; ")
}

// FaultOf reads a fault from words, PARAM=VALUE each, with values as a scenario has them.
func FaultOf(kind string, words []string) (f Fault, err error) {
	params := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, w := range words {
		name, value, found := strings.Cut(w, "=")
		var v yaml.Node
		if err := yaml.Unmarshal([]byte(value), &v); !found || err != nil || len(v.Content) != 1 {
			return f, cluster.Usagef("%q: want PARAM=VALUE, as target=leader or for=10s", w)
		}
		params.Content = append(params.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name}, v.Content[0])
	}
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!str", Value: kind}, params}}
	if err := f.UnmarshalYAML(n); err != nil {
		return f, &cluster.UsageError{Err: errors.New(regexp.MustCompile(`line \d+: `).ReplaceAllString(err.Error(), ""))}
	}
	if f.until && slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, "for=") }) { // no time is not for ever
		return f, cluster.Usagef("%s: for is 0s; leave it out where the fault is to stay until it is cleared", kind)
	}
	return f, nil
}

// Until reports whether a fault holds until somebody undoes it: nobody has said for how long.
func (f *Fault) Until() bool { return f.until }

// Hand breaks a cluster that is up by hand and mends it. The cluster and the journal are this process's until Close.
type Hand struct {
	cluster cluster.Cluster
	members *etcd.Watcher
	env     *fault.Env
	journal *plan.Journal
	next    int            // number of the next fault: they are counted from 1 as long as the cluster lives
	guards  []*fault.Guard // in place, newest first
}

// TakeInHand claims a cluster for it. The provider's name is what heal finds it by.
func TakeInHand(ctx context.Context, provider string, c cluster.Cluster) (_ *Hand, err error) {
	if err := c.Claim(ctx); err != nil {
		return nil, err
	}
	h := &Hand{cluster: c}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Close(ctx))
		}
	}()
	var entries []plan.Entry
	if h.journal, entries, err = openByHand(provider, c); err != nil {
		return nil, err
	}
	if h.guards, err = fault.Outstanding(entries); err != nil {
		return nil, err
	}
	h.next = numberAfter(entries)
	access, members, err := etcd.Watch(ctx, c)
	if err != nil {
		return nil, err
	}
	h.members, h.env = members, &fault.Env{Cluster: c, Etcd: access, Members: members, Held: &fault.Held{}}
	h.env.Held.Resume(h.guards...)
	return h, nil
}

// openByHand goes on with the journal of what was done by hand, or begins it. One whose first word is missing, because who began it was killed, is told it again:
// without it heal could not say which cluster the faults are in.
func openByHand(provider string, c cluster.Cluster) (*plan.Journal, []plan.Entry, error) {
	j, err := plan.AppendJournal(ByHand(c))
	if errors.Is(err, fs.ErrNotExist) {
		j, err = plan.CreateJournal(ByHand(c), nil)
	}
	if err != nil {
		return nil, nil, err
	}
	entries, _, err := plan.ReadJournal(ByHand(c))
	if err == nil && !slices.ContainsFunc(entries, func(e plan.Entry) bool { return e.Kind == "run" }) {
		err = j.Write("run", Opening{Scenario: "by hand", Provider: provider, Cluster: c.Topology().Name, ByHand: true})
	}
	if err != nil {
		return nil, nil, errors.Join(err, j.Close())
	}
	return j, entries, nil
}

// numberAfter is the number behind those that faults have had, from 1.
func numberAfter(entries []plan.Entry) int {
	last := 0
	for _, e := range entries {
		var j fault.Journalled
		if e.Kind == "receipt" && json.Unmarshal(e.Data, &j) == nil {
			n, _ := strconv.Atoi(j.Receipt.ID)
			last = max(last, n)
		}
	}
	return last + 1
}

// Close lets the cluster go. What is in place stays so.
func (h *Hand) Close(ctx context.Context) error {
	var errs []error
	if h.members != nil {
		errs = append(errs, h.members.Close())
	}
	if h.journal != nil {
		errs = append(errs, h.journal.Close())
	}
	return errors.Join(append(errs, h.cluster.Release(context.WithoutCancel(ctx)))...)
}

// Machine finds one by name; the error lists the known names.
func (h *Hand) Machine(name string) (cluster.Machine, error) { return h.cluster.Machine(name) }

// Plan makes all choices of a fault; a UsageError says why it is not allowed: with all that is in place it would cost the quorum, say, and nobody expects that.
func (h *Hand) Plan(f Fault, seed int64, expect string) (fault.Spec, error) {
	t := h.cluster.Topology()
	spec, err := f.choose(t, rand.New(rand.NewPCG(uint64(seed), uint64(t.EtcdMembers))))
	if err != nil {
		return spec, err
	}
	if spec.Latent() {
		return spec, cluster.Usagef("%s shows only in what an upgrade does: place it in a scenario, with `at:`", spec.Kind)
	}
	if spec.OfTwin() {
		return spec, cluster.Usagef("%s: a twin that `drydock arm serve` runs takes faults by `drydock arm fault inject`", spec.Kind)
	}
	if lacks := spec.Lacking(h.cluster.Lacks()); lacks != "" {
		return spec, cluster.Usagef("%s cannot be done here: %s", spec.Kind, lacks)
	}
	if err := writesExpected(spec, expect); err != nil {
		return spec, err
	}
	specs := []fault.Spec{spec}
	for _, g := range h.guards {
		s := g.Spec
		s.Machines, s.Among = g.Receipt().Machines, nil // it is known by now
		specs = append(specs, s)
	}
	if err := fault.Together(specs...); err != nil {
		return spec, err
	}
	if _, missing, costs := fault.CostsQuorum(t, nil, specs[1:], spec); costs && expect != ExpectQuorumLost {
		return spec, cluster.Usagef("%s of %s leaves %d of %d members, with what is in place (%s); a quorum is %d; say --expect %s if that is what you want",
			spec.Kind, spec.Target, t.EtcdMembers-missing, t.EtcdMembers, cmp.Or(Named(h.guards), "nothing"), cluster.Quorum(t.EtcdMembers), ExpectQuorumLost)
	}
	r, reserved := h.cluster.(cluster.Reserved)
	if !reserved {
		return spec, nil
	}
	if f.until {
		return spec, cluster.Usagef("%s: a cluster that is not Drydock's own is broken for a time that is said beforehand: for=10s", spec.Kind)
	}
	return spec, r.Allow([]cluster.Act{act(t, &choice{spec: spec}, specs[1:])})
}

// Inject does what was planned and sees its effect. What cannot be seen is undone again, and the error says what was seen instead.
func (h *Hand) Inject(ctx context.Context, spec fault.Spec) (*fault.Guard, error) {
	g, err := fault.NewGuard(spec, strconv.Itoa(h.next), h.journal)
	if err != nil {
		return nil, err
	}
	h.next++
	if err = g.Inject(ctx, h.env); err == nil {
		err = g.AwaitEffective(ctx, h.env)
	}
	if r := g.Receipt(); err == nil && r.EffectiveAt.IsZero() {
		err = fmt.Errorf("%s was done, and no effect of it was seen: %s", spec.Describe(), r.Error)
	}
	if err != nil {
		return g, errors.Join(append([]error{err}, h.Clear(ctx, g)...)...)
	}
	return g, nil
}

// clearWithin bounds undoing one fault beside the time its end may take to be seen, which is the guard's.
const clearWithin = time.Minute

// Clear undoes faults, also after an interrupt, and sees that all is as before. It gives the error of each; nil: it is over.
func (h *Hand) Clear(ctx context.Context, guards ...*fault.Guard) []error {
	var within time.Duration
	for _, g := range guards {
		within += clearWithin + g.RecoversWithin(h.env)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	for _, g := range guards {
		g.Journal = h.journal
	}
	return fault.Undo(ctx, h.env, guards...)
}

// Find gives the faults in place with these numbers, or all; newest first. A UsageError lists those there are.
func (h *Hand) Find(ids []string) ([]*fault.Guard, error) {
	guards := slices.Clone(h.guards)
	if len(ids) == 0 {
		return guards, nil
	}
	var known []string
	for _, g := range guards {
		known = append(known, g.ID)
	}
	for _, id := range ids {
		if !slices.Contains(known, id) {
			return nil, cluster.Usagef("no fault %q is in place; %d are: %s", id, len(known), strings.Join(known, ", "))
		}
	}
	return slices.DeleteFunc(guards, func(g *fault.Guard) bool { return !slices.Contains(ids, g.ID) }), nil
}
