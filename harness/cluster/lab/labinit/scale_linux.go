package labinit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"drydock.dev/drydock/harness/cluster"
)

// add makes a machine with an empty disk, but for its disks of data, and powers it on. It is in lab.json before it is on, so that whoever finds it can remove it.
func (s *switchboard) add(ctx context.Context, p AddParams) error {
	for dir, disk := range p.Disks { // before anything is made
		_, badDir := at(p.Name, dir)
		_, badDisk := dataOf(disk)
		if err := errors.Join(badDir, badDisk); err != nil {
			return fmt.Errorf("add a machine: %w", err)
		}
	}
	if err := s.place(p.MachineSpec); err != nil {
		return fmt.Errorf("add a machine: %w", err)
	}
	if err := s.giveData(p.Name, p.Disks); err != nil {
		return fmt.Errorf("add a machine: %w", err)
	}
	if err := s.powerOn(ctx, p.Name); err != nil {
		return fmt.Errorf("add a machine: %w", err)
	}
	return nil
}

func (s *switchboard) place(spec cluster.MachineSpec) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.cfg.Place(spec)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join("disks", m.Name), 0o755); err != nil {
		return err
	}
	s.turns[m.Name] = &sync.Mutex{}
	machines := append(slices.Clone(s.cfg.Machines), m)
	own := s.cfg.Topology.MachineNames()
	slices.SortStableFunc(machines, func(a, b Machine) int { return place(own, a.Name) - place(own, b.Name) }) // those of the topology first and in its order
	return s.keep(machines)
}

func place(names []string, name string) int {
	if i := slices.Index(names, name); i >= 0 {
		return i
	}
	return len(names)
}

// remove cuts the machine's power and drops its disk, but for what is to be kept; one that is not there is removed already. It is done whole even when the
// caller hangs up.
func (s *switchboard) remove(ctx context.Context, p RemoveParams) error {
	ctx = context.WithoutCancel(ctx)
	name := p.Name
	m, _, err := s.machine(name)
	if err != nil {
		return nil // there is none
	}
	if err := s.powerOff(ctx, name); err != nil {
		return fmt.Errorf("remove a machine: %w", err)
	}
	if err := errors.Join(uncut(m), s.unshapeAll(m)); err != nil { // another may get its cable
		return fmt.Errorf("remove a machine: %w", err)
	}
	if err := s.keepData(name, p.Keep); err != nil {
		return fmt.Errorf("remove a machine: %w", err)
	}
	if err := s.takeDisk(name); err != nil {
		return fmt.Errorf("remove machine %s: %w", name, err)
	}
	for _, dir := range []string{"disks", "run", unsyncedDir} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("remove machine %s: %w", name, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.slow, name)
	return s.keep(slices.DeleteFunc(slices.Clone(s.cfg.Machines), func(m Machine) bool { return m.Name == name }))
}

// keep replaces lab.json, which other processes read the machines from, and then what this one knows.
func (s *switchboard) keep(machines []Machine) error {
	cfg := s.cfg
	cfg.Machines = machines
	if err := cfg.Write(home); err != nil {
		return err
	}
	s.cfg = cfg
	return nil
}
