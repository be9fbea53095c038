package experiment

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/fault"
)

// Storm is a series of faults that the seed chooses, one after another and sometimes two at a time, for so long; never more than the cluster tolerates. All
// of it is chosen when the plan is made, and each wave is over, and seen to be, before the next begins.
type Storm struct {
	For    time.Duration `yaml:"for"`    // about: what is planned of it, with what a wave is reckoned to take besides
	Faults []string      `yaml:"faults"` // the kinds to choose of; empty: all that can be done there
	Hold   time.Duration `yaml:"hold"`   // the longest that one holds; 0: 10 s
	Calm   time.Duration `yaml:"calm"`   // between two waves; 0: 4 s
}

// What a storm is made of where it does not say, and what is fixed.
const (
	stormHold  = 10 * time.Second
	stormCalm  = 4 * time.Second
	stormLeast = 3 * time.Second // that a fault holds
	// stormTurn is what a wave takes beside its holding: until it was injected, was seen to be effective and then to be over. Of 35 waves on five members of
	// etcd it took 2 to 18 s, 6 s on average.
	stormTurn = 6 * time.Second
	// stormPair: of so many waves one has a second fault, where that is allowed.
	stormPair = 3
	// stormDraws is how often it draws until there is something that is allowed.
	stormDraws = 50
)

func (st *Storm) validate() error {
	switch {
	case st.For <= 0:
		return fmt.Errorf("storm: for is %s; it must be longer", st.For)
	case st.Calm < 0 || st.Hold < 0 || st.Hold > 0 && st.Hold < stormLeast:
		return fmt.Errorf("storm: hold is %s, calm %s; hold is at least %s, and calm cannot be negative", st.Hold, st.Calm, stormLeast)
	}
	for i, name := range st.Faults {
		k, err := fault.Find(name)
		switch {
		case err != nil:
			return fmt.Errorf("storm: %w", err)
		case k.Latent:
			return fmt.Errorf("storm: %s shows only in what an upgrade does", name)
		case k.OfCluster:
			return fmt.Errorf("storm: %s is done to the cluster as a whole, and a storm is of what is done to machines", name)
		case slices.Contains(st.Faults[:i], name):
			return fmt.Errorf("storm: %s is there twice", name)
		}
	}
	return nil
}

// allowance is what a storm may take away at a time: fewer than half of the members, of the control planes, and of the workers.
func allowance(t cluster.Topology, faults ...fault.Spec) error {
	if n := fault.Impact(t, nil, faults...); n > cluster.Tolerance(t.EtcdMembers) {
		return fmt.Errorf("a storm never takes %d of %d members", n, t.EtcdMembers)
	}
	for _, of := range [][]string{t.ControlPlaneMachines(), t.WorkerMachines()} {
		if n := fault.Away(of, nil, faults...); n > cluster.Tolerance(len(of)) {
			return fmt.Errorf("a storm never takes %d of %s", n, strings.Join(of, ", "))
		}
	}
	return nil
}

// option is a fault that a storm may draw: a kind, what it is done with, and a target.
type option struct {
	kind   fault.Kind
	params fault.Params
	target string
}

// options are all there are of a kind on the cluster, that are allowed by themselves. The error is of the last that is not.
func options(k fault.Kind, t cluster.Topology, rng *rand.Rand) (out []option, err error) {
	samples := k.Samples
	if len(samples) == 0 {
		samples = []fault.Params{{}}
	}
	for _, target := range fault.Targets(t) {
		for _, p := range samples {
			spec, wrong := fault.NewSpec(k.Name, target, stormLeast, p, t, rng)
			if wrong == nil {
				wrong = allowance(t, spec)
			}
			if k.StopsWrites {
				wrong = errors.New("a storm never stops all writes")
			}
			switch {
			case wrong != nil:
				err = wrong
			case len(spec.Machines) > 0 || spec.Late():
				out = append(out, option{k, p, target})
			}
		}
	}
	return out, err
}

// deck is what a storm on the cluster draws of, by kind, and of kinds that the scenario asks for and that cannot be done there why.
func (st *Storm) deck(cell Cell, rng *rand.Rand) (deck [][]option, lacking []*choice, err error) {
	for _, k := range fault.List() {
		named := slices.Contains(st.Faults, k.Name)
		if k.Latent || len(st.Faults) > 0 && !named {
			continue
		}
		some, why := options(k, cell.Topology, rng)
		lacks := cell.Lacks.Why(k.Needs...)
		switch {
		case len(some) == 0 && named:
			return nil, nil, cluster.Usagef("storm: %s: %w", k.Name, why)
		case lacks != "" && named:
			lacking = append(lacking, &choice{spec: fault.Spec{Kind: k.Name, Target: fault.Any, Machines: []string{}, For: stormLeast}, lacks: lacks})
		case len(some) > 0 && lacks == "":
			deck = append(deck, some)
		}
	}
	if len(deck) == 0 && len(lacking) == 0 {
		return nil, nil, cluster.Usagef("storm: no fault is allowed on %s: it tolerates no loss", cell.Topology)
	}
	return deck, lacking, nil
}

// choose makes the whole series.
func (st *Storm) choose(cell Cell, rng *rand.Rand) (*series, error) {
	hold, calm := st.Hold, st.Calm
	if hold == 0 {
		hold = stormHold
	}
	if calm == 0 {
		calm = stormCalm
	}
	deck, lacking, err := st.deck(cell, rng)
	if err != nil {
		return nil, err
	}
	s := &series{calm: calm}
	for _, c := range lacking {
		s.waves = append(s.waves, []*choice{c})
	}
	waves := 0
	for left := st.For; left > 0 && len(deck) > 0; waves++ {
		first := drawn(deck, nil, hold, cell.Topology, rng)
		if first == nil {
			return nil, cluster.Usagef("storm: nothing that is allowed was drawn of %s", namesOf(deck))
		}
		wave := []*choice{first}
		takes := first.spec.For
		if rng.IntN(stormPair) == 0 {
			if second := drawn(deck, wave, hold, cell.Topology, rng); second != nil {
				second.after = time.Duration(rng.Int64N(int64(first.spec.For/time.Second))) * time.Second
				wave = append(wave, second)
				takes = max(takes, second.after+second.spec.For)
			}
		}
		s.waves = append(s.waves, wave)
		left -= takes + calm + stormTurn
	}
	s.about = fmt.Sprintf("storm for %s: %d waves of %s", st.For, waves, namesOf(deck))
	return s, nil
}

func namesOf(deck [][]option) string {
	var out []string
	for _, d := range deck {
		out = append(out, d[0].kind.Name)
	}
	return strings.Join(out, ", ")
}

// drawn is a fault that is allowed beside those of the wave; nil where chance has found none.
func drawn(deck [][]option, wave []*choice, hold time.Duration, t cluster.Topology, rng *rand.Rand) *choice {
	besides := done(wave)
	for range stormDraws {
		some := deck[rng.IntN(len(deck))] // a kind with many targets is no likelier
		o := some[rng.IntN(len(some))]
		length := stormLeast + time.Duration(rng.Int64N(int64((hold-stormLeast)/time.Second)+1))*time.Second
		spec, err := fault.NewSpec(o.kind.Name, o.target, length, o.params, t, rng)
		if err != nil {
			continue // chance has chosen machines that do not fit
		}
		all := append(slices.Clone(besides), spec)
		collide := slices.ContainsFunc(besides, func(b fault.Spec) bool { return fault.Collide(b, spec) })
		if !collide && allowance(t, all...) == nil && fault.Together(all...) == nil {
			return &choice{spec: spec}
		}
	}
	return nil
}
