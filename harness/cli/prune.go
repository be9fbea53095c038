package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/provider"
)

// pruneUnused is how long something must have been of no use to anybody.
const pruneUnused = 30 * 24 * time.Hour

// The kinds of what can be pruned.
const (
	pruneClusters    = "clusters"
	pruneImages      = "images"
	pruneTemporaries = "temporaries"
	pruneRuns        = "runs"
)

func pruneCommand(o *options) *cobra.Command {
	dryRun, unusedFor := false, pruneUnused
	c := &cobra.Command{
		Use: "prune [clusters|images|temporaries|runs]…", Short: "Remove what nobody needs any more from the state and cache directories, and say what that frees",
		Args: cobra.OnlyValidArgs, ValidArgs: []string{pruneClusters, pruneImages, pruneTemporaries, pruneRuns},
		Long: `Prune removes, of all kinds but runs or of those that are named:

  clusters     directories of dead clusters, and logs of bring-ups that failed a while ago
  images       saved clusters that were not used for a while, or cannot be used any more
  temporaries  what interrupted downloads, builds and commands have left
  runs         runs below --state-dir that are that old, with their evidence and reports: only when named

It leaves alone what runs, what belongs to a living process, runs that have left something for drydock heal, and the programs of Kubernetes and etcd.`,
		Example: `  drydock prune --dry-run                     # what would go, and what that frees
  drydock prune                               # all but runs
  drydock prune runs --unused-for 168h        # runs older than a week`,
		RunE: func(cmd *cobra.Command, kinds []string) error {
			if len(kinds) == 0 {
				kinds = []string{pruneClusters, pruneImages, pruneTemporaries}
			}
			at, err := o.host()
			if err != nil {
				return err
			}
			out, count, total := cmd.OutOrStdout(), 0, int64(0)
			each := func(what, path string, remove func() error) error {
				size := diskUse(path)
				if !dryRun {
					if err := remove(); err != nil {
						return err
					}
				}
				printf(out, "%6d MiB  %s: %s\n", size>>20, what, path)
				count, total = count+1, total+size
				return nil
			}
			err = o.prune(cmd.Context(), at, kinds, unusedFor, each)
			verb := "removed"
			if dryRun {
				verb = "to remove"
			}
			printf(out, "%6d MiB %s, in %d places\n", total>>20, verb, count)
			return err
		},
	}
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be removed, and touch nothing")
	c.Flags().DurationVar(&unusedFor, "unused-for", pruneUnused, "age from which saved clusters, logs and runs go, since their last use")
	return c
}

// eachFound is told of what nobody needs, and how to remove it; it is removed while nobody else can take it.
type eachFound = func(what, path string, remove func() error) error

func (o *options) prune(ctx context.Context, at provider.Host, kinds []string, unusedFor time.Duration, each eachFound) error {
	of := map[string]func() error{
		pruneClusters:    func() error { return lab.PruneLabs(at.StateDir, unusedFor, each) },
		pruneImages:      func() error { return lab.PruneImages(ctx, at.Images(), unusedFor, each) },
		pruneTemporaries: func() error { return errors.Join(at.Store().Prune(each), pruneTemp(os.TempDir(), each)) },
		pruneRuns:        func() error { return o.pruneRuns(filepath.Join(at.StateDir, "runs"), unusedFor, each) },
	}
	var errs []error
	for _, kind := range slices.Sorted(maps.Keys(of)) {
		if slices.Contains(kinds, kind) {
			errs = append(errs, of[kind]())
		}
	}
	return errors.Join(errs...)
}

// tempUnused is how long nobody must have touched a temporary directory: the longest run is over by then.
const tempUnused = 24 * time.Hour

// pruneTemp finds the temporary directories of commands that were killed.
func pruneTemp(dir string, each eachFound) error {
	left, _ := filepath.Glob(filepath.Join(dir, "drydock-*")) // the pattern is a good one
	var errs []error
	for _, path := range left {
		st, err := os.Stat(path)
		if err != nil || !st.IsDir() || time.Since(st.ModTime()) < tempUnused {
			continue
		}
		if sys, ok := st.Sys().(*syscall.Stat_t); ok && int(sys.Uid) == os.Getuid() {
			errs = append(errs, each("temporary directory of a command that was killed", path, func() error { return os.RemoveAll(path) }))
		}
	}
	return errors.Join(errs...)
}

// pruneRuns finds runs whose journals nobody has written to for so long. One that still has something to heal stays, for nobody else knows how.
func (o *options) pruneRuns(dir string, unusedFor time.Duration, each eachFound) error {
	found, err := journals(dir)
	errs := []error{err}
	for _, run := range found {
		if st, err := os.Stat(filepath.Join(run, plan.JournalFile)); err != nil || time.Since(st.ModTime()) < unusedFor {
			continue // or it went with the run that it was set aside in
		}
		errs = append(errs, o.pruneRun(run, each))
		for above := filepath.Dir(run); above != dir; above = filepath.Dir(above) {
			if os.Remove(above) != nil {
				break // it holds more, or nothing was to be removed
			}
		}
	}
	return errors.Join(errs...)
}

func (o *options) pruneRun(dir string, each eachFound) (err error) {
	journal, err := plan.AppendJournal(dir) // takes it
	var usage *cluster.UsageError
	if errors.As(err, &usage) {
		return nil // its process lives
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, journal.Close()) }()
	entries, _, err := plan.ReadJournal(dir)
	if err != nil {
		return err
	}
	guards, err := fault.Outstanding(entries)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	if untidy := o.untidy(entries); len(guards)+len(untidy) > 0 {
		printf(os.Stderr, "%s: it has left something: drydock heal %s comes first\n", dir, dir)
		return nil
	}
	what := "run that was cut off"
	if slices.ContainsFunc(entries, func(e plan.Entry) bool { return e.Kind == "result" }) {
		what = "run that is over"
	}
	return each(what, dir, func() error { return os.RemoveAll(dir) })
}

// diskUse is what a tree takes on the disk; what vanishes meanwhile takes nothing.
func diskUse(path string) (bytes int64) {
	const block = 512 // of st_blocks, stat(2)
	_ = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // gone meanwhile
		}
		if info, err := d.Info(); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				bytes += st.Blocks * block
			}
		}
		return nil
	})
	return bytes
}
