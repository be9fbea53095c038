package aksengine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/provider"
	"drydock.dev/drydock/harness/azure/standin"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/subject"
)

// Run is one run of a story.
type Run struct {
	Story      *Story
	Builder    subject.Builder
	Out        string // the run's directory
	Seed       int64
	NullFaults bool     // nothing goes wrong
	Replace    Strategy // that of the same name; nil: the story has no cell of it

	program  string
	deployed base
	places   chan struct{} // for so many cells at once

	mu   sync.Mutex
	told Evidence
}

// Tested reports whether there was a cluster to upgrade.
func (r *Run) Tested() bool { return r.deployed.dir != "" }

// Evidence is what the run has seen.
func (r *Run) Evidence() *Evidence {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.told
	e.Story, e.Cells = r.Story, slices.Clone(r.told.Cells)
	order := map[string]int{}
	for i, c := range r.Story.All() {
		order[c.label()] = i
	}
	slices.SortFunc(e.Cells, func(a, b Told) int { return order[a.Cell.label()] - order[b.Cell.label()] })
	return &e
}

func (r *Run) build(ctx context.Context) (err error) {
	r.places = make(chan struct{}, r.Story.AtOnce)
	r.program, err = r.Builder.Build(ctx, Program)
	return err
}

// deploy makes the cluster that every cell begins with.
func (r *Run) deploy(ctx context.Context) (err error) {
	dir := filepath.Join(r.Out, plan.DeployedDir)
	w, err := r.open(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	s := r.Story
	ctx, cancel := context.WithTimeout(ctx, s.Patience)
	defer cancel()
	ended, err := w.tool.Deploy(ctx, s.model())
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told.Deployed = Command{Ended: ended, After: w.scene().look()}
	if ended.Code != 0 {
		return fmt.Errorf("%s ended %d: %s (its log: %s)", ended.Command, ended.Code, ended.Said, filepath.Join(dir, ended.Log))
	}
	r.deployed = base{state: w.twin.State(), dir: dir}
	return nil
}

// cell upgrades the cluster while something goes wrong, and does then what a user would do.
func (r *Run) cell(ctx context.Context, n int, c Cell) (err error) {
	select {
	case r.places <- struct{}{}:
		defer func() { <-r.places }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	dir := filepath.Join(plan.CellsDir, fmt.Sprintf("%02d", n+1))
	w, err := r.open(ctx, filepath.Join(r.Out, dir))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	if err := w.enter(ctx, r.deployed); err != nil {
		return err
	}
	by, err := r.by(w, c)
	if err != nil {
		return err
	}
	told, err := r.Cell(ctx, w.scene(), by, c)
	told.Dir = dir
	told.Clock = &Reading{Wall: time.Now(), Twin: w.clock.Now(), Factor: float64(time.Hour) / float64(w.clock.Wall(time.Hour))}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told.Cells = append(r.told.Cells, told)
	return err
}

// Scene is what a cell happens in: a twin, and the cluster that its machines are.
type Scene struct {
	Twin       *azure.Twin
	Cluster    *standin.Cluster
	Kubeconfig string // file that leads to it
}

// Cell has somebody upgrade while something goes wrong, do what a user does then, and says what there was.
func (r *Run) Cell(ctx context.Context, in Scene, by Upgrader, c Cell) (told Told, err error) {
	told.Cell = c
	err = r.upgrades(ctx, in, by, &told)
	told.Changes, told.Faults = in.Cluster.Changes(), in.Twin.Faults()
	calls, next := in.Twin.Calls().Since(0)
	told.Calls, told.Lost = calls, next-len(calls)
	return told, err
}

// upgrades are the three that a user does.
func (r *Run) upgrades(ctx context.Context, in Scene, by Upgrader, told *Told) error {
	c := told.Cell
	if c.DeadKubelet != nil && !r.NullFaults {
		in.Cluster.KubeletDies(in.master(*c.DeadKubelet))
	}
	stop := func() {}
	if c.Fault != nil && !r.NullFaults {
		f, err := in.Twin.Arm(c.armed())
		if err != nil {
			return err
		}
		stop = in.window(ctx, f.ID, c.Fault.For)
	}
	err := r.upgrade(ctx, in, by, told)
	stop()
	if err != nil {
		return err
	}
	if c.Lost != nil && !r.NullFaults {
		if err := in.Cluster.Power(ctx, provider.Machine{Name: in.master(*c.Lost)}, standin.PoweredOff); err != nil {
			return err
		}
	}
	if err := r.upgrade(ctx, in, by, told); err != nil {
		return err
	}
	return r.upgrade(ctx, in, by, told, "--force")
}

// upgrade is one of them.
func (r *Run) upgrade(ctx context.Context, in Scene, by Upgrader, told *Told, flags ...string) error {
	if r.Story.VMTimeout > 0 {
		flags = append(flags, "--vm-timeout", strconv.Itoa(r.Story.VMTimeout))
	}
	limited, cancel := context.WithTimeoutCause(ctx, r.Story.Patience, errPatience)
	defer cancel()
	ended, err := by.Upgrade(limited, in.Kubeconfig, r.Story.To, flags...)
	if errors.Is(err, errPatience) { // what a user would interrupt: an end of its own kind
		ended.Code, ended.Said, err = -1, fmt.Sprintf("not ended after %s", r.Story.Patience), nil
	}
	if err != nil {
		return err
	}
	told.Commands = append(told.Commands, Command{Ended: ended, After: in.look()})
	return nil
}

var errPatience = errors.New("the tool took longer than anybody waits")

// window ends a fault so long after the first call that it strikes, or when the function that it gives is called. One that lasts 0 is ended by that alone.
func (s Scene) window(ctx context.Context, id string, lasts time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer s.Twin.Disarm(id)
		if lasts == 0 || !s.struck(ctx, id) {
			<-ctx.Done()
			return
		}
		over := time.NewTimer(lasts)
		defer over.Stop()
		select {
		case <-ctx.Done():
		case <-over.C:
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// struck waits for the first call that a fault strikes; false: there was none before ctx ended.
func (s Scene) struck(ctx context.Context, id string) bool {
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	for !slices.ContainsFunc(s.Twin.Faults(), func(f azure.Fault) bool { return f.ID == id && f.Struck > 0 }) {
		select {
		case <-ctx.Done():
			return false
		case <-every.C:
		}
	}
	return true
}

// master is the name of one by its number.
func (s Scene) master(number int) string {
	end := "-" + strconv.Itoa(number)
	all := s.Cluster.Nodes()
	i := slices.IndexFunc(all, func(n standin.Node) bool { return n.Master && strings.HasSuffix(n.Name, end) })
	if i < 0 {
		return ""
	}
	return all[i].Name
}
