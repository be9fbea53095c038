package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/reports"
)

type runFlags struct {
	out        string
	on         string
	keep       bool
	seed       int64
	json       bool
	nullFaults bool
	readOnly   bool
	noImage    bool
	parallel   int
	fixed      bool
	signKey    string
}

func runCommand(o *options) *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use: "run NAME|FILE…", Short: "Run scenarios and judge them", Args: cobra.MinimumNArgs(1), ValidArgsFunction: completeScenarios,
		Example: "  drydock run etcd-leader-crash --out /tmp/run\n  drydock run ./mine.yaml --seed 7 --json\n  drydock run museum/etcd-20340 --fixed",
		Long: `Run brings up the scenario's cluster, breaks it as the plan says while real clients write and read, and judges what was observed.

A directory belongs to the run that writes into it, as long as that lives. An earlier run in DIR is moved to DIR/TIME, the time of its last
entry; one that has left faults is not: drydock heal comes first (exit code 2).

With --on the scenario runs on a cluster that is up: one that is not what the scenario asks for, is not whole or belongs to another process is
refused (exit code 2). It is not taken down, and what the run has put into it is removed.

The scenarios below museum/ are published bugs of real releases. They run on the release that has the bug and are for ending NO-GO; --fixed runs
them on the release that has the fix.

On a terminal it shows how far it is, what is broken, who is served, how many members could still be lost and how the host is; elsewhere, and where TERM
is dumb, it prints a line for each step. Ctrl-C ends the run early: what is broken is healed and what was seen is judged. A second one stops at once, and
drydock heal undoes what is left.

Exit codes: 0 GO, 1 NO-GO, 2 usage or environment error, 3 INCONCLUSIVE. Of several scenarios the worst counts.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("on") { // an empty one may be a variable that was never set, and would make a cluster
				if err := cluster.CheckName("cluster", f.on); err != nil {
					return err
				}
			}
			if _, err := signer(f.signKey); err != nil {
				return err
			}
			var all []*experiment.Scenario
			for _, a := range args { // every mistake is found before anything is touched
				s, err := loadScenario(a, f.fixed)
				if err != nil {
					return err
				}
				opts, err := o.runOptions(f, "")
				if err != nil {
					return err
				}
				if _, err := s.PlanFor(cmd.Context(), opts); err != nil {
					return err
				}
				all = append(all, s)
			}
			worst := exitGo
			for _, s := range all {
				code, err := o.run(cmd, s, f, len(all) > 1)
				if err != nil {
					return err
				}
				worst = worse(worst, code)
			}
			if worst != exitGo {
				return codeError{worst}
			}
			return nil
		},
	}
	fl := c.Flags()
	fl.StringVar(&f.on, "on", "", "run on the cluster of this name, which is up, if it is what the scenario asks for, and leave it")
	fl.BoolVar(&f.keep, "keep-on-failure", false, "keep the cluster of a run that does not end GO, and say how to reach it")
	c.MarkFlagsMutuallyExclusive("on", "keep-on-failure")
	fl.StringVar(&f.out, "out", "", "directory for journal and reports (default below --state-dir); an earlier run in it is moved to DIR/TIME")
	fl.Int64Var(&f.seed, "seed", 1, "seed of every random choice: the same seed makes the same plan")
	fl.BoolVar(&f.json, "json", false, "print report.json on standard output")
	fl.BoolVar(&f.noImage, "no-image", false, "run kubeadm even where a saved cluster could be booted")
	fl.IntVar(&f.parallel, "parallel", 3, "clusters of a matrix at a time")
	fl.StringVar(&f.signKey, "sign-key", "", signKeyHelp)
	fl.BoolVar(&f.fixed, "fixed", false, fixedHelp)
	fl.BoolVar(&f.nullFaults, "null-faults", false, "inject nothing: the verdict must then be inconclusive")
	_ = fl.MarkHidden("null-faults")
	_ = c.RegisterFlagCompletionFunc("on", o.completeClusters)
	return c
}

const fixedHelp = "run an exhibit of the museum on the release with the fix, not on the one with the bug"

// loadScenario finds a scenario, or an exhibit as it is on the release with the fix.
func loadScenario(nameOrFile string, fixed bool) (*experiment.Scenario, error) {
	s, err := experiment.Load(nameOrFile)
	if err != nil || !fixed {
		return s, err
	}
	return s.Fixed()
}

// worse orders the exit codes: a NO-GO is worse than an INCONCLUSIVE.
func worse(a, b int) int {
	rank := map[int]int{exitGo: 0, exitInconclusive: 1, exitNoGo: 2, exitUsage: 3}
	if rank[b] > rank[a] {
		return b
	}
	return a
}

func (o *options) run(cmd *cobra.Command, s *experiment.Scenario, f runFlags, several bool) (int, error) {
	out := f.out
	switch {
	case out == "":
		out = filepath.Join(o.stateDir, "runs", s.Metadata.Label()+"-"+time.Now().Format("20060102-150405")+"-"+suffix())
	case several:
		out = filepath.Join(out, s.Metadata.Label())
	}
	opts, err := o.runOptions(f, out)
	if err != nil {
		return 0, err
	}
	cells, err := s.Cells()
	if err != nil {
		return 0, err
	}
	kept := make(chan cluster.Cluster, len(cells)) // of several cells more than one may fail
	opts.Kept = func(c cluster.Cluster) { kept <- c }
	p, err := s.PlanFor(cmd.Context(), opts)
	if err != nil {
		return 0, err
	}
	if !f.json {
		if err := p.Print(cmd.OutOrStdout()); err != nil {
			return 0, err
		}
	}
	for _, c := range cells {
		for _, w := range c.Warnings {
			printf(os.Stderr, "warning: %s\n", w)
		}
	}
	shown := o.progress.watch(cmd.Context(), out)
	opts.Watch = shown.see
	res, err := s.Run(cmd.Context(), opts)
	shown.end()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", s.Metadata.Name, err)
	}
	key, err := signer(f.signKey)
	if err != nil {
		return 0, err
	}
	if err := reports.Write(out, res, key); err != nil {
		return 0, err
	}
	if f.json {
		err = reports.JSON(cmd.OutOrStdout(), res)
	} else {
		err = reports.Summary(cmd.OutOrStdout(), res, o.paintFor(os.Stdout))
		printf(cmd.OutOrStdout(), "Reports: %s\n\n", out)
	}
	close(kept)
	for c := range kept {
		printf(os.Stderr, "The run has failed, and its cluster is kept (`drydock heal %s` undoes what is still broken in it).\n", out)
		err = errors.Join(err, describeUp(context.WithoutCancel(cmd.Context()), os.Stderr, c))
	}
	return exitOf(res.Verdict), err
}

func exitOf(v plan.Verdict) int {
	switch v {
	case plan.Go:
		return exitGo
	case plan.NoGo:
		return exitNoGo
	default:
		return exitInconclusive
	}
}

func (o *options) runOptions(f runFlags, out string) (experiment.Options, error) {
	h, err := o.host()
	if err != nil {
		return experiment.Options{}, err
	}
	h.NoImage = f.noImage
	p, err := h.Open(o.provider)
	if err != nil {
		return experiment.Options{}, err
	}
	if f.on == "" && lasts(p) { // it makes no cluster: the one that was named is meant
		f.on = o.typed
	}
	return experiment.Options{
		Provider: p, On: f.on, KeepOnFailure: f.keep, ReadOnly: f.readOnly, Drydock: h.Drydock(o.provider), Env: h.Env(o.provider), Subjects: h.Subjects(),
		Seed: f.seed, Out: out, NullFaults: f.nullFaults, Parallel: f.parallel, Suffix: suffix(),
	}, nil
}

// suffix keeps two runs of one scenario apart. It has no part in what the plan chooses.
func suffix() string {
	b := make([]byte, 3)
	if _, err := rand.Read(b); err != nil {
		return fmt.Sprint(os.Getpid())
	}
	return hex.EncodeToString(b)
}

func planCommand(o *options) *cobra.Command {
	var seed int64
	var fixed bool
	c := &cobra.Command{
		Use: "plan NAME|FILE", Short: "Print what a scenario would do, and touch nothing", Args: cobra.ExactArgs(1), ValidArgsFunction: completeScenarios,
		Example: "  drydock plan etcd-leader-crash\n  drydock plan ./mine.yaml --seed 7 --provider kind      # with its machines' names, without what they cannot do",
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := loadScenario(args[0], fixed)
			if err != nil {
				return err
			}
			p, err := o.plan(cmd, s, seed)
			if err != nil {
				return err
			}
			return p.Print(cmd.OutOrStdout())
		},
	}
	c.Flags().Int64Var(&seed, "seed", 1, "seed of every random choice")
	c.Flags().BoolVar(&fixed, "fixed", false, fixedHelp)
	return c
}

// plan is of no provider unless one is asked for: then with its names of machines, and without what they cannot do.
func (o *options) plan(cmd *cobra.Command, s *experiment.Scenario, seed int64) (*plan.Plan, error) {
	if !cmd.Flags().Changed("provider") {
		return s.Plan(seed)
	}
	opts, err := o.runOptions(runFlags{seed: seed}, "")
	if err != nil {
		return nil, err
	}
	opts.Suffix = "" // a run's is another each time
	return s.PlanFor(cmd.Context(), opts)
}

// healCommand undoes what an interrupted run has left.
func healCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "heal [DIR…]", Short: "Undo what interrupted runs have left, from their journals", ValidArgsFunction: cobra.NoFileCompletions,
		Example: "  drydock heal\n  drydock heal /tmp/run",
		Long: "Heal reads the journals of the given runs, or of all below --state-dir, and recovers every fault that was armed and not cleared, those injected by\n" +
			"hand as well.\n" +
			"What belongs to a run or an up that lives is left alone, and named; a directory that was asked for by name and belongs to one is an error.\n" +
			"A lab dies with its owner: heal then says that nothing of it remains, after looking, and removes its directory.",
		RunE: func(cmd *cobra.Command, dirs []string) error { return o.heal(cmd, dirs) },
	}
}
