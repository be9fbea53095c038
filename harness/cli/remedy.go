package cli

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/remedy"
)

type remedyFlags struct {
	spec     remedy.Spec
	name     string
	specFile string
	out      string
	dryRun   bool
	anew     bool
	ofRun    bool
}

func remedyCommand(o *options) *cobra.Command {
	c := &cobra.Command{
		Use: "remedy", Short: "Mend a running cluster by a runbook: diagnose, refuse what would cost a quorum, act, and prove it",
		Example: "  drydock remedy                                       # what there is\n  drydock remedy replace-etcd-member --dry-run         # what it would do, and what stands against it\n  drydock remedy replace-etcd-member --machine etcd-2",
		Long: `A runbook turns a symptom into a plan. It diagnoses first and refuses what would cost a quorum, with the numbers, before it touches anything
(exit code 2). Then every step looks before it acts, so after an interrupt of any kind the same command again goes on where the cluster is.
It ends when the cluster is whole and stays so. A step that fails stops it (exit code 1).`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			printf(w, "RUNBOOK\tWHEN\tWHAT IT DOES\n")
			for _, b := range remedy.Runbooks() {
				printf(w, "%s\t%s\t%s\n", b.Name, b.Symptom, b.Does)
			}
			return w.Flush()
		},
	}
	for _, b := range remedy.Runbooks() {
		c.AddCommand(runbookCommand(o, b))
	}
	return c
}

func runbookCommand(o *options, b remedy.Runbook) *cobra.Command {
	f := remedyFlags{spec: remedy.Spec{Runbook: b.Name}}
	c := &cobra.Command{
		Use: b.Name, Short: "When " + b.Symptom, Args: cobra.NoArgs,
		Long:    "When " + b.Symptom + ": " + b.Does + ".",
		Example: "  drydock remedy " + b.Name + imageFlags(exampleImages(b)) + " --dry-run\n  drydock remedy " + b.Name + imageFlags(exampleImages(b)) + " --name mine",
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.remedy(cmd, f) },
	}
	fl := c.Flags()
	fl.StringVar(&f.name, "name", defaultName, "name of the cluster")
	if b.OfOne() {
		fl.StringVar(&f.spec.Machine, "machine", "", "the machine it is about (default where the symptom is seen)")
	}
	if b.Restores {
		fl.StringVar(&f.spec.Snapshot, "snapshot", "", "a snapshot that was saved, to restore in the place of what is left in the cluster")
	}
	if b.Replaces {
		fl.BoolVar(&f.spec.Replace, "replace", false, "give the machine up, with all that is on its disk, for a new one")
	}
	if b.Images {
		fl.StringToStringVar(&f.spec.Images, "image", nil, "NAME=VERSION: what images of that name are to have, by the last part of it; may be given several times")
		fl.DurationVar(&f.spec.Budget.Every, "every", 0, "from one call that reads the cloud's budgets to the next (default 1m)")
		fl.DurationVar(&f.spec.Budget.Unread, "unread", 0, "waited where budgets cannot be read (default 30m)")
		fl.DurationVar(&f.spec.Budget.Within, "within", 0, "the budgets must have refilled (default 2h)")
		fl.DurationVar(&f.spec.Budget.Window, "window", 0, "that the budgets are watched for afterwards (default 30m)")
	}
	if b.Saves {
		fl.StringVar(&f.spec.To, "to", "", "the directory on this host that it goes to: a new one, or an empty one")
	}
	fl.DurationVar(&f.spec.Timeout, "timeout", 0, "from the last change to a whole cluster (default 5m)")
	fl.BoolVar(&f.dryRun, "dry-run", false, "print the diagnosis, what stands against it and the plan, and touch nothing")
	fl.BoolVar(&f.anew, "anew", false, "forget one that was begun and not finished, and diagnose again")
	fl.StringVar(&f.out, "out", "", "directory for the journal (default in the cluster's own, which goes with it)")
	fl.StringVar(&f.specFile, "spec", "", "file with the settings")
	fl.BoolVar(&f.ofRun, "of-run", false, "the cluster belongs to the run that has started this")
	c.MarkFlagsMutuallyExclusive("dry-run", "anew")
	_ = errors.Join(fl.MarkHidden("spec"), fl.MarkHidden("of-run"))
	return c
}

// openRemedy connects a runbook to the cluster.
func openRemedy(ctx context.Context, c cluster.Cluster, f *remedyFlags) (*remedy.Remedy, error) {
	if f.specFile != "" {
		if err := plan.ReadSpec(f.specFile, &f.spec); err != nil {
			return nil, err
		}
	}
	for _, path := range []*string{&f.spec.Snapshot, &f.spec.To} { // they are asked for again after an interrupt, from wherever
		if *path == "" {
			continue
		}
		abs, err := filepath.Abs(*path)
		if err != nil {
			return nil, cluster.Usagef("%s: %w", *path, err)
		}
		*path = abs
	}
	r, err := remedy.New(f.spec, c.Topology())
	if err != nil {
		return nil, err
	}
	if why := c.Lacks().Why(r.Needs()...); why != "" {
		return nil, cluster.Usagef("remedy %s cannot be done on cluster %q: %s", f.spec.Runbook, f.name, why)
	}
	if r.Target, r.Observer, err = watched(ctx, c); err != nil {
		return nil, err
	}
	r.Dir, r.Cloud = f.out, os.Getenv(readyEnv)
	return r, nil
}

func (o *options) remedy(cmd *cobra.Command, f remedyFlags) error {
	ctx := cmd.Context()
	c, err := o.attach(ctx, f.name)
	if err != nil {
		return err
	}
	if f.out == "" {
		f.out = filepath.Join(c.Dir(), "remedy", f.spec.Runbook)
	}
	r, err := openRemedy(ctx, c, &f)
	if err != nil {
		return err
	}
	defer func() { _ = r.Target.Members.Close() }()
	p := &plan.Plan{Header: []string{"remedy for " + f.name + ": " + r.Describe()}, Steps: r.Steps()}
	p.Number()
	if f.dryRun {
		if plan.Unfinished(f.out, remedy.Ended) {
			var begun remedy.Begun
			if err := plan.ReadSpec(f.out, &begun); err != nil {
				return err
			}
			printf(cmd.OutOrStdout(), "One was begun at %s and is not finished: %s.\nWithout --anew the command goes on with that; what follows is what --anew would find.\n",
				begun.Found.At.Format(time.DateTime), begun.Found.Says)
		}
		return o.dryRemedy(cmd, r, p)
	}
	if b, err := remedy.Find(f.spec.Runbook); err != nil {
		return err
	} else if b.Saves && f.spec.To == "" && !f.ofRun && !plan.Unfinished(f.out, remedy.Ended) {
		return cluster.Usagef("remedy %s: --to DIR says where it goes; what is kept with the cluster goes with it", f.spec.Runbook)
	}
	w := work{cluster: c, ofRun: f.ofRun, dir: f.out, ended: remedy.Ended, anew: f.anew, plan: p, again: "drydock remedy " + f.spec.Runbook + imageFlags(f.spec.Images) + " --name " + f.name}
	if err := o.carryOut(ctx, w, func(claim *plan.Claim) error { return beginRemedy(r, claim) }); err != nil {
		return err
	}
	printf(cmd.OutOrStdout(), "%s: %s\n", f.name, r.Outcome())
	return nil
}

// exampleImages are those of a runbook's examples.
func exampleImages(b remedy.Runbook) map[string]string {
	if !b.Images {
		return nil
	}
	return map[string]string{"azure-cloud-controller-manager": "v1.36.5"}
}

// imageFlags are the flags that name the images' versions.
func imageFlags(images map[string]string) (out string) {
	for _, name := range slices.Sorted(maps.Keys(images)) {
		out += " --image " + name + "=" + images[name]
	}
	return out
}

// beginRemedy has the remedy keep what it will find, or go on with what it had found.
func beginRemedy(r *remedy.Remedy, claim *plan.Claim) error {
	r.Accepted = func(b remedy.Begun) error { return claim.Keep(b) }
	r.Told = func(n remedy.Note) error { return claim.Journal.Write(remedy.Noted, n) }
	if !claim.Resumed {
		return nil
	}
	var begun remedy.Begun
	if err := plan.ReadSpec(claim.Dir, &begun); err != nil {
		return err
	}
	if err := r.GoOn(begun); err != nil {
		return err
	}
	printf(os.Stderr, "it was begun before and is not finished: what is done already is skipped; --anew would diagnose again\n")
	return nil
}

// dryRemedy is what a remedy would say and do.
func (o *options) dryRemedy(cmd *cobra.Command, r *remedy.Remedy, p *plan.Plan) error {
	done := o.progress.Phase("diagnosis")
	found, stands, err := r.Diagnose(cmd.Context())
	done(err)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	printf(out, "%s", foundWords(stands))
	if err := plan.Refusal("the runbook "+r.Spec.Runbook, stands); err != nil {
		return err
	}
	if found.Nothing != "" {
		printf(out, "nothing to do: %s\n", found.Nothing)
		return nil
	}
	printf(out, "%s\n", found.Says)
	for _, s := range found.Shows {
		printf(out, "\n%s", s)
	}
	return p.Print(out)
}
