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

	"drydock.dev/drydock/harness/cluster/lab"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/plan"
)

// healFor bounds one heal.
const healFor = 5 * time.Minute

func (o *options) heal(cmd *cobra.Command, dirs []string) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), healFor)
	defer cancel()
	if len(dirs) == 0 {
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
		errs = append(errs, o.healRun(ctx, cmd, d))
	}
	errs = append(errs, o.healLabs(cmd))
	return errors.Join(errs...)
}

// healRun recovers the faults a run has armed and not cleared.
func (o *options) healRun(ctx context.Context, cmd *cobra.Command, dir string) error {
	entries, err := plan.ReadJournal(dir)
	if err != nil {
		return err
	}
	guards, err := fault.Outstanding(entries)
	if err != nil {
		return err
	}
	finished := slices.ContainsFunc(entries, func(e plan.Entry) bool { return e.Kind == "result" })
	if len(guards) == 0 || finished {
		return nil
	}
	journal, err := plan.AppendJournal(dir)
	if err != nil {
		return err
	}
	defer func() { _ = journal.Close() }()
	for _, g := range guards {
		g.Journal = journal
		name := clusterOf(entries, g.ID)
		if !lab.Running(lab.Dir(o.stateDir, name)) {
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
		var j experiment.Journalled
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
func (o *options) healLabs(cmd *cobra.Command) error {
	dirs, err := filepath.Glob(lab.Dir(o.stateDir, "*"))
	if err != nil {
		return fmt.Errorf("heal: %w", err)
	}
	out := cmd.OutOrStdout()
	for _, d := range dirs {
		if lab.Running(d) {
			printf(out, "%s: runs; remove it with `drydock down %s`\n", filepath.Base(d), filepath.Base(d))
			continue
		}
		left, err := lab.Residue(d)
		if err != nil {
			return err
		}
		if len(left) > 0 {
			return fmt.Errorf("heal: of lab %s there remain: %s", filepath.Base(d), strings.Join(left, "; "))
		}
		if err := os.RemoveAll(d); err != nil {
			return fmt.Errorf("heal: %w", err)
		}
		printf(out, "%s: no process, mount, interface or port of the lab remains; its directory is removed\n", filepath.Base(d))
	}
	if len(dirs) == 0 {
		printf(out, "Nothing to heal: no lab has left anything\n")
	}
	return nil
}
