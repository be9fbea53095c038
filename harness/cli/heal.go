package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/lock"
	"drydock.dev/drydock/harness/plan"
)

// healFor bounds one heal.
const healFor = 5 * time.Minute

func (o *options) heal(cmd *cobra.Command, dirs []string) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), healFor)
	defer cancel()
	named := len(dirs) > 0
	if !named {
		found, err := filepath.Glob(filepath.Join(o.stateDir, "runs", "*", plan.JournalFile))
		if err != nil {
			return fmt.Errorf("heal: %w", err)
		}
		for _, f := range found {
			dirs = append(dirs, filepath.Dir(f))
		}
	}
	var errs []error
	for _, d := range dirs {
		err := o.healRun(ctx, cmd, d)
		var held *lock.HeldError
		if errors.As(err, &held) && !named { // what a living run has broken is its own to mend
			printf(cmd.OutOrStdout(), "%s: it belongs to %s: left alone\n", d, held.Holder)
			err = nil
		}
		errs = append(errs, err)
	}
	errs = append(errs, o.healLabs(ctx, cmd))
	return errors.Join(errs...)
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
	if err != nil || len(guards) == 0 {
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
	for _, g := range guards {
		g.Journal = journal
		name := clusterOf(entries, g.ID)
		at, err := lab.Dir(o.stateDir, name)
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		if !lab.Running(at) {
			if err := g.Gone("its lab ended with its owner"); err != nil {
				return err
			}
			printf(cmd.OutOrStdout(), "%s: %s on %s: the lab %s ended with its owner, the fault is gone with it\n", dir, g.Spec.Kind,
				strings.Join(g.Receipt().Machines, ", "), name)
			continue
		}
		if err := o.recover(ctx, cmd, g, name); err != nil {
			return err
		}
	}
	return nil
}

func clusterOf(entries []plan.Entry, id string) string {
	label, _, labelled := strings.Cut(id, "/")
	name := ""
	for _, e := range entries {
		var j experiment.Opening
		if e.Kind != "run" || json.Unmarshal(e.Data, &j) != nil {
			continue
		}
		if !labelled || j.Label == label {
			name = j.Cluster
		}
	}
	return name
}

func (o *options) recover(ctx context.Context, cmd *cobra.Command, g *fault.Guard, name string) error {
	l, err := o.attach(name)
	if err != nil {
		return err
	}
	access, err := etcd.Open(ctx, l)
	if err != nil {
		return err
	}
	members, err := access.Watch(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = members.Close() }()
	env := &fault.Env{Cluster: l, Etcd: access, Members: members}
	if err := errors.Join(g.Recover(ctx, env), g.AwaitRecovered(ctx, env)); err != nil {
		return err
	}
	printf(cmd.OutOrStdout(), "%s on %s of %s: undone\n", g.Spec.Kind, strings.Join(g.Receipt().Machines, ", "), name)
	return nil
}

// healLabs looks for what crashed labs could have left: processes, mounts, interfaces; and removes their directories.
func (o *options) healLabs(ctx context.Context, cmd *cobra.Command) error {
	out, names := cmd.OutOrStdout(), lab.All(o.stateDir)
	var errs []error
	for _, name := range names {
		word, err := o.healLab(ctx, name)
		errs = append(errs, err)
		if err == nil {
			printf(out, "%s: %s\n", name, word)
		}
	}
	if len(names) == 0 {
		printf(out, "Nothing to heal: no lab has left anything\n")
	}
	return errors.Join(errs...)
}

func (o *options) healLab(ctx context.Context, name string) (string, error) {
	dir, err := lab.Dir(o.stateDir, name)
	if err != nil {
		return "", err
	}
	if lab.Running(dir) {
		return fmt.Sprintf("runs; remove it with `drydock down %s`", name), nil
	}
	// Its owner may have ended this moment, and the kernel takes another to end all that it began.
	err = cluster.Await(ctx, "the end of all that lab "+name+" began", cluster.Wait{For: 10 * time.Second, Every: 50 * time.Millisecond}, func(context.Context) error {
		left, err := lab.Residue(dir)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("there remain: %s", strings.Join(left, "; "))
		}
		return err
	})
	if err != nil {
		return "", err
	}
	err = lab.Discard(o.stateDir, name)
	var held *lock.HeldError
	if errors.As(err, &held) { // it comes up, or goes down
		return "it belongs to " + held.Holder + ": left alone", nil
	}
	return "no process, mount, interface or port of the lab remains; its directory is removed", err
}
