package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/lock"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/provider"
	"drydock.dev/drydock/reports/runs"
)

// healFor bounds one heal.
const healFor = 5 * time.Minute

func (o *options) heal(cmd *cobra.Command, dirs []string) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), healFor)
	defer cancel()
	named := len(dirs) > 0
	var unread error
	if !named {
		dirs, unread = journals(filepath.Join(o.stateDir, "runs"))
		dirs = append(dirs, o.byHand(ctx)...)
	}
	// First: what a dead run had broken of a cluster of its own goes with the cluster. Of one that lasts what was broken is mended first.
	mine, err := o.sweep(ctx, cmd, false)
	errs := []error{unread, err}
	for _, d := range dirs {
		err := o.healRun(ctx, cmd, d)
		var held *lock.HeldError
		var taken *takenError
		switch { // what a living run has broken is its own to mend
		case errors.As(err, &taken) && !named:
			printf(cmd.OutOrStdout(), "%s: its cluster is not healed: %v\n", d, taken)
			err = nil
		case errors.As(err, &held) && !named:
			printf(cmd.OutOrStdout(), "%s: it belongs to %s: left alone\n", d, held.Holder)
			err = nil
		}
		errs = append(errs, err)
	}
	theirs, err := o.sweep(ctx, cmd, true)
	if errs = append(errs, err); mine+theirs == 0 && errors.Join(errs...) == nil {
		printf(cmd.OutOrStdout(), "No cluster has left anything\n")
	}
	return errors.Join(errs...)
}

// journals are the runs below a directory that have one, wherever they are: the museum's are in a directory of each time that it was run. What cannot be
// looked into is an error beside them, and that there is no directory is none.
func journals(dir string) (dirs []string, err error) {
	var errs []error
	err = runs.Find(dir, func(run string, err error) {
		if err != nil {
			errs = append(errs, err)
		} else if _, err := os.Stat(filepath.Join(run, plan.JournalFile)); err == nil {
			dirs = append(dirs, run)
		}
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return dirs, errors.Join(append(errs, err)...)
}

// byHand are the journals of faults that were injected by hand, into clusters that can be attached to. What else is the matter with one the others tell.
func (o *options) byHand(ctx context.Context) (dirs []string) {
	for _, name := range provider.Names() {
		p, err := o.of(name)
		if err != nil || lasts(p) && name != o.provider {
			continue
		}
		up, err := p.List(ctx)
		if err != nil {
			continue
		}
		for _, n := range up {
			c, err := p.Attach(ctx, n)
			if err != nil {
				continue
			}
			if guards, err := experiment.InPlace(c); err != nil || len(guards) > 0 {
				dirs = append(dirs, experiment.ByHand(c))
			}
		}
	}
	return dirs
}

// takenError is the refusal of a cluster that somebody else is at work on: what is broken in it may be what he breaks.
type takenError struct{ error }

func (e *takenError) Unwrap() error { return e.error }

// freeWithin is how long the lock of a run that was killed may outlast it where that is a lease.
const freeWithin = 2 * time.Minute

// take makes a cluster this process's while it is mended; a *takenError says who has it. One with a lock of its own is only asked whether that is free:
// to take it may need what is to be mended.
func take(ctx context.Context, c cluster.Cluster) (release func() error, err error) {
	var usage *cluster.UsageError
	if r, reserved := c.(cluster.Reserved); reserved {
		err := cluster.Await(ctx, "nobody else at work on the cluster", cluster.Wait{For: freeWithin, Every: time.Second}, func(ctx context.Context) error {
			if err := r.Free(ctx); errors.As(err, &usage) {
				return err
			}
			return nil
		})
		if err != nil {
			return nil, &takenError{err}
		}
		return func() error { return nil }, nil
	}
	switch err := c.Claim(ctx); {
	case errors.As(err, &usage):
		return nil, &takenError{err}
	case err != nil:
		return nil, err
	}
	return func() error { return c.Release(context.WithoutCancel(ctx)) }, nil
}

// healRun recovers the faults a run has armed and not cleared, whether it has ended or not. A *lock.HeldError means that it lives.
func (o *options) healRun(ctx context.Context, cmd *cobra.Command, dir string) error {
	entries, damaged, err := plan.ReadJournal(dir)
	if err != nil {
		return err
	}
	guards, err := fault.Outstanding(entries)
	ended := slices.ContainsFunc(entries, func(e plan.Entry) bool { return e.Kind == "result" })
	if len(damaged) > 0 && (!ended || len(guards) > 0) {
		printf(os.Stderr, "warning: %s: lines %v are damaged; what they said of faults is not known\n", filepath.Join(dir, plan.JournalFile), damaged)
	}
	untidy := o.untidy(entries)
	if err != nil || (len(guards) == 0 && len(untidy) == 0) {
		return err
	}
	journal, err := plan.AppendJournal(dir)
	if err != nil {
		return err
	}
	defer func() { _ = journal.Close() }()
	if entries, _, err = plan.ReadJournal(dir); err != nil { // now of a run that has surely ended
		return err
	}
	if guards, err = fault.Outstanding(entries); err != nil {
		return err
	}
	left := map[string][]*fault.Guard{} // by the cluster
	var order []experiment.Opening
	for _, g := range guards {
		g.Journal = journal
		run := openingOf(entries, g.ID)
		if err := cluster.CheckName("cluster", run.Cluster); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		p, err := o.of(run.Provider)
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		running, err := p.List(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		if !slices.Contains(running, run.Cluster) && !lasts(p) {
			if err := g.Gone("its cluster of " + p.Name() + " is gone"); err != nil {
				return err
			}
			printf(cmd.OutOrStdout(), "%s: %s on %s: its cluster of %s, %s, is gone, and the fault with it\n", dir, g.Spec.Kind,
				g.Where(), p.Name(), run.Cluster)
			continue
		}
		if left[run.Cluster] == nil {
			order = append(order, run)
		}
		left[run.Cluster] = append(left[run.Cluster], g)
	}
	for _, run := range order {
		if err := o.recover(ctx, cmd, run, left[run.Cluster]); err != nil {
			return err
		}
	}
	if len(untidy) == 0 {
		return nil
	}
	for _, run := range untidy {
		if err := o.tidy(ctx, cmd, dir, run); err != nil {
			return err
		}
	}
	return journal.Write(tidied, nil)
}

// tidied is the journal's word that what a run had put into a cluster that was up has been removed.
const tidied = "tidied"

// untidy are the openings of a run that was cut off on clusters that go on without it, and that nobody has tidied since.
func (o *options) untidy(entries []plan.Entry) (out []experiment.Opening) {
	for _, e := range entries {
		var run experiment.Opening
		switch {
		case e.Kind == "result" || e.Kind == tidied:
			return nil
		case e.Kind != "run" || json.Unmarshal(e.Data, &run) != nil || run.ByHand:
			continue
		}
		if p, err := o.of(run.Provider); err == nil && lasts(p) {
			out = append(out, run)
		}
	}
	return out
}

// tidy removes what the run has put into its cluster, if that is nobody else's now.
func (o *options) tidy(ctx context.Context, cmd *cobra.Command, dir string, run experiment.Opening) error {
	p, err := o.of(run.Provider)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	c, err := p.Attach(ctx, run.Cluster)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	if r, reserved := c.(cluster.Reserved); reserved {
		if err := r.Free(ctx); err != nil {
			return fmt.Errorf("%s: what the run has put into %s stays there: %w", dir, run.Cluster, err)
		}
	}
	if err := experiment.Tidy(ctx, c); err != nil {
		return fmt.Errorf("%s: what the run has put into %s: %w", dir, run.Cluster, err)
	}
	printf(cmd.OutOrStdout(), "%s: what the run has put into %s is removed\n", dir, run.Cluster)
	return nil
}

// lasts reports whether clusters of the provider go on without it: one that is not found is then another, or away, and its faults are not gone.
func lasts(p cluster.Provider) bool {
	l, ok := p.(cluster.Lasting)
	return ok && l.Lasts()
}

// of is the provider a run had.
func (o *options) of(name string) (cluster.Provider, error) {
	h, err := o.host()
	if err != nil {
		return nil, err
	}
	return h.Open(cmp.Or(name, o.provider))
}

// openingOf is the first word of the run's cell that a receipt belongs to.
func openingOf(entries []plan.Entry, id string) (run experiment.Opening) {
	label, _, labelled := strings.Cut(id, "/")
	for _, e := range entries {
		var j experiment.Opening
		if e.Kind != "run" || json.Unmarshal(e.Data, &j) != nil {
			continue
		}
		if !labelled || j.Label == label {
			run = j
		}
	}
	return run
}

// recover undoes what a run has left in one cluster, all of it before any of it is awaited to be over.
func (o *options) recover(ctx context.Context, cmd *cobra.Command, run experiment.Opening, guards []*fault.Guard) (err error) {
	p, err := o.of(run.Provider)
	if err != nil {
		return err
	}
	l, err := p.Attach(ctx, run.Cluster)
	if err != nil {
		return err
	}
	release, err := take(ctx, l)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	access, members, err := etcd.Watch(ctx, l)
	if err != nil {
		return err
	}
	defer func() { _ = members.Close() }()
	env := &fault.Env{Cluster: l, Etcd: access, Members: members, Held: &fault.Held{}}
	env.Held.Resume(guards...) // what one fault has broken is no control of another
	errs := fault.Undo(ctx, env, guards...)
	for i, g := range guards {
		if errs[i] == nil {
			printf(cmd.OutOrStdout(), "%s on %s of %s: undone\n", g.Spec.Kind, g.Where(), run.Cluster)
		}
	}
	return errors.Join(errs...)
}

// sweep has the providers look for what clusters of killed makers could have left, and remove it; it counts what was found. Of those whose clusters last
// only the one that was asked for is told which.
func (o *options) sweep(ctx context.Context, cmd *cobra.Command, lasting bool) (found int, err error) {
	var errs []error
	for _, name := range provider.Names() {
		p, err := o.of(name)
		if err != nil {
			return found, err
		}
		s, ok := p.(cluster.Sweeper)
		if !ok || lasts(p) != lasting || lasting && name != o.provider {
			continue
		}
		errs = append(errs, s.Sweep(ctx, func(cluster, word string) {
			found++
			printf(cmd.OutOrStdout(), "%s: %s\n", cluster, word)
		}))
	}
	return found, errors.Join(errs...)
}
