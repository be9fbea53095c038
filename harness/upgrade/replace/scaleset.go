package replace

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"drydock.dev/drydock/harness/azure/provider"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/upgrade"
	"drydock.dev/drydock/harness/upgrade/replace/manager"
)

// set replaces the instances of a scale set: the model first, then one instance more, and for each that is well an old one goes, its number with it.
type set struct {
	*Replacement
	name, from, version string
}

// setRecord is how a scale set was, written before anything is changed, and which new instance took the place of which old one.
type setRecord struct {
	Capacity int               `json:"capacity"`
	Before   []string          `json:"before"` // instance ids
	Were     []string          `json:"were"`   // and the computers of these
	News     []string          `json:"news"`   // and of those that were seen since
	Pairs    map[string]string `json:"pairs"`  // computer of one that goes, or has gone -> of the new
}

func (r *Replacement) setSteps(name, from, version string) *plan.Step {
	s := &set{r, name, from, version}
	id := "scale-set/" + name
	return &plan.Step{Name: id, About: "the instances of " + name, Children: []*plan.Step{
		{Name: id + "/model", About: "new instances are at " + version, Run: r.connected(s.model)},
		{Name: id + "/instances", About: "one more; for each new one that is well drain and delete an old one", Run: r.connected(s.instances)},
	}}
}

func (s *set) file() string { return filepath.Join(s.Dir, "sets", s.name+".json") }

func (s *set) recorded() (*setRecord, error) {
	raw, err := os.ReadFile(s.file())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // there is none
	}
	rec := &setRecord{}
	if err == nil {
		err = json.Unmarshal(raw, rec)
	}
	if err != nil {
		return nil, fmt.Errorf("record of the scale set %s: %w", s.name, err)
	}
	return rec, nil
}

func (s *set) write(rec *setRecord) error {
	if err := plan.WriteFile(s.file(), rec); err != nil {
		return fmt.Errorf("record of the scale set %s: %w", s.name, err)
	}
	return nil
}

// model writes down how the set is, and gives its model the version: instances that are made from then on are at it.
func (s *set) model(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.Spec.MachineTimeout)
	defer cancel()
	now, err := s.Manager.Set(ctx, s.name)
	if err != nil {
		return err
	}
	if now == nil {
		return cluster.Usagef("there is no scale set %s in %s", s.name, s.Manager.Group)
	}
	rec, err := s.recorded()
	if err != nil {
		return err
	}
	if rec == nil {
		all, err := s.Manager.Instances(ctx, s.name)
		if err != nil {
			return err
		}
		rec = &setRecord{Capacity: now.SKU.Capacity, Pairs: map[string]string{}, Before: []string{}}
		for _, i := range all {
			if s.Spec.Force || i.Tags[provider.VersionTag] != provider.VersionTagged(s.version) {
				rec.Before, rec.Were = append(rec.Before, i.InstanceID), append(rec.Were, i.Computer())
			}
		}
		if err := s.write(rec); err != nil {
			return err
		}
	}
	if now.Tags[provider.VersionTag] == provider.VersionTagged(s.version) {
		return fmt.Errorf("%w: the model is at %s already", plan.ErrSkip, s.version)
	}
	tags := maps.Clone(now.Tags)
	if tags == nil {
		tags = map[string]string{}
	}
	tags[provider.VersionTag] = provider.VersionTagged(s.version)
	return s.Manager.ChangeSet(ctx, now, tags, now.SKU.Capacity)
}

// instances replaces one after another, as the set is when it looks: who comes after one that died finds the same.
func (s *set) instances(ctx context.Context) error {
	asked := -1 // how many there were when it was last asked for more
	rec, err := s.recorded()
	if err == nil && rec == nil {
		err = fmt.Errorf("nobody has written down how the scale set %s was", s.name)
	}
	for err == nil {
		var now seen
		if now, err = s.look(ctx, rec); err != nil {
			break
		}
		there := len(now.old) + len(now.fresh)
		if capacity, more := now.lacks(rec); more {
			if there == asked { // nobody is asked again and again for what he does not give
				return fmt.Errorf("the scale set %s was asked for %d instances, and has the %d that it had: see why it makes none that stays", s.name, capacity, there)
			}
			asked, err = there, s.size(ctx, capacity)
			continue
		}
		asked = -1
		if len(now.old) > 0 && len(now.fresh) == 0 {
			return fmt.Errorf("the scale set %s has %d instances, of %d before, and none at %s: somebody else changes it", s.name, len(now.old), rec.Capacity, s.version)
		}
		if err = s.settle(ctx, rec, now); err != nil || len(now.old) == 0 {
			break
		}
		err = s.replace(ctx, rec, now.old[0], now.fresh)
	}
	return err
}

// seen are a scale set's instances at one time.
type seen struct {
	old, fresh []manager.Instance
	lost       []string // computers of those that are gone before their turn, and new ones that did not stay
}

// has reports whether an instance of that computer is there.
func (now seen) has(computer string) bool {
	return slices.ContainsFunc(slices.Concat(now.old, now.fresh), func(i manager.Instance) bool { return i.Computer() == computer })
}

// look reads them, writes down who is new, and removes what an upgrade that died has left of those that are gone: who is lost can then be told from who never was.
func (s *set) look(ctx context.Context, rec *setRecord) (now seen, err error) {
	all, err := s.Manager.Instances(ctx, s.name)
	if err != nil {
		return now, err
	}
	known := len(rec.News)
	for _, i := range all {
		if s.old(rec, i) {
			now.old = append(now.old, i)
		} else {
			now.fresh = append(now.fresh, i)
		}
		if !slices.Contains(rec.Were, i.Computer()) && !slices.Contains(rec.News, i.Computer()) {
			rec.News = append(rec.News, i.Computer())
		}
	}
	if len(rec.News) > known {
		if err := s.write(rec); err != nil {
			return now, err
		}
	}
	now.lost = slices.DeleteFunc(slices.Concat(rec.Were, rec.News), func(name string) bool { return rec.Pairs[name] != "" || now.has(name) })
	return now, s.forgetGone(ctx, rec, now)
}

// lacks says how many there should be, when there are fewer: one more than before while old ones are left, and in the end as many.
func (now seen) lacks(rec *setRecord) (capacity int, more bool) {
	if len(now.old) > 0 {
		return rec.Capacity + 1, len(now.old)+len(now.fresh) <= rec.Capacity
	}
	return rec.Capacity, len(now.fresh) < rec.Capacity // the others are lost
}

// settle waits until the new ones are well, and lets them take the place of those that are lost.
func (s *set) settle(ctx context.Context, rec *setRecord, now seen) error {
	for _, i := range now.fresh {
		if err := s.well(ctx, i); err != nil {
			return err
		}
	}
	for _, name := range now.lost {
		if inherits, err := s.inherits(rec, name, now); err != nil {
			return err
		} else if inherits {
			if err := s.handOn(ctx, rec, name, now.fresh); err != nil {
				return err
			}
		}
		if err := s.as(name).deleteNode(ctx); err != nil {
			return err
		}
	}
	return nil
}

// inherits reports whether one that is lost has anything to hand on: what it carried of itself, or of one that has gone in its favour. One in whose favour nobody
// has gone yet is forgotten, and who was to go looks for another.
func (s *set) inherits(rec *setRecord, lost string, now seen) (bool, error) {
	if slices.Contains(rec.Were, lost) {
		return true, nil
	}
	for _, computer := range slices.Sorted(maps.Keys(rec.Pairs)) {
		switch {
		case rec.Pairs[computer] != lost:
		case !now.has(computer):
			return true, nil
		default:
			delete(rec.Pairs, computer)
			return false, s.write(rec)
		}
	}
	return false, nil
}

// old reports whether an instance is to go: it was there before, or was made since by the old model.
func (s *set) old(rec *setRecord, i manager.Instance) bool {
	return slices.Contains(rec.Before, i.InstanceID) || i.Tags[provider.VersionTag] != provider.VersionTagged(s.version)
}

// size has the set make instances until there are so many.
func (s *set) size(ctx context.Context, capacity int) error {
	ctx, cancel := context.WithTimeout(ctx, s.Spec.MachineTimeout)
	defer cancel()
	now, err := s.Manager.Set(ctx, s.name)
	if err != nil {
		return err
	}
	if now == nil {
		return fmt.Errorf("the scale set %s is gone", s.name)
	}
	return s.Manager.ChangeSet(ctx, now, now.Tags, capacity)
}

// as is the machine that an instance is.
func (s *set) as(computer string) *machine {
	return &machine{Replacement: s.Replacement, name: computer, role: worker, from: s.from, version: s.version}
}

// well waits until a new instance is at the version and well.
func (s *set) well(ctx context.Context, i manager.Instance) error {
	if i.Properties.State == manager.Failed {
		return fmt.Errorf("the new instance %s of %s is %s. What to do: delete it, and run the same again", i.InstanceID, s.name, i.Properties.State)
	}
	return s.as(i.Computer()).wellWithin(ctx, s.Spec.MachineTimeout)
}

// replace lets a new instance take the place of an old one, with what that one's Node carries, before its pods move.
func (s *set) replace(ctx context.Context, rec *setRecord, old manager.Instance, fresh []manager.Instance) error {
	m := s.as(old.Computer())
	if err := s.handOn(ctx, rec, m.name, fresh); err != nil {
		return err
	}
	node, err := m.node(ctx)
	if err == nil && node != nil && kubeadm.NodeReady(node) == nil {
		err = m.Evict(ctx, m.name)
	}
	if err != nil {
		return err
	}
	ctx, cancel := m.within(ctx, "deleting "+m.name)
	defer cancel()
	if err := s.Manager.DeleteIf(ctx, old.ID, m.mayGo); err != nil {
		return err
	}
	return m.deleteNode(ctx)
}

// handOn gives what an old instance's Node carries to that of the new one in whose favour it goes, or has gone.
func (s *set) handOn(ctx context.Context, rec *setRecord, computer string, fresh []manager.Instance) error {
	if rec.Pairs[computer] == "" {
		taken := slices.Collect(maps.Values(rec.Pairs))
		i := slices.IndexFunc(fresh, func(f manager.Instance) bool { return !slices.Contains(taken, f.Computer()) })
		if i < 0 {
			return fmt.Errorf("no new instance of %s is left to take the place of %s", s.name, computer)
		}
		rec.Pairs[computer] = fresh[i].Computer()
		if err := s.write(rec); err != nil {
			return err
		}
	}
	node, err := s.as(computer).node(ctx)
	if err != nil || node == nil {
		return err
	}
	return s.HandOn(ctx, rec.Pairs[computer], upgrade.Carried(node, s.from), apiFor)
}

// forgetGone removes the Nodes of instances that are gone in favour of others: who died had no time to, perhaps not even to hand on what they carried.
func (s *set) forgetGone(ctx context.Context, rec *setRecord, now seen) error {
	for _, computer := range slices.Sorted(maps.Keys(rec.Pairs)) {
		if now.has(computer) {
			continue
		}
		if err := s.handOn(ctx, rec, computer, nil); err != nil {
			return err
		}
		if err := s.as(computer).deleteNode(ctx); err != nil {
			return err
		}
	}
	return nil
}
