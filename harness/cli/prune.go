package cli

import (
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/cluster/lab"
)

// pruneUnused is how long something must have been of no use to anybody.
const pruneUnused = 30 * 24 * time.Hour

func pruneCommand(o *options) *cobra.Command {
	dryRun, unusedFor := false, pruneUnused
	c := &cobra.Command{
		Use: "prune", Short: "Remove what nobody needs any more from the state and cache directories", Args: cobra.NoArgs,
		Long: `Prune removes the directories of dead clusters, logs of bring-ups that failed and saved clusters that were not used for a while, and what
interrupted downloads, builds and copies have left. It leaves alone what runs, what belongs to a living process, runs with their reports, and
the programs of Kubernetes and etcd.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
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
			err = errors.Join(lab.Prune(cmd.Context(), at.StateDir, at.Images(), unusedFor, each), at.Store().Prune(each))
			verb := "removed"
			if dryRun {
				verb = "to remove"
			}
			printf(out, "%6d MiB %s, in %d places\n", total>>20, verb, count)
			return err
		},
	}
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be removed, and touch nothing")
	c.Flags().DurationVar(&unusedFor, "unused-for", pruneUnused, "age from which saved clusters and logs go, since their last use")
	return c
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
