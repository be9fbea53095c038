package upgrade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"k8s.io/apimachinery/pkg/util/version"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/upgrade/preflight"
)

// Observed is the version an upgrade of the cluster starts from, as it is seen: the oldest of what runs, or, where an upgrade was begun
// and not finished, what its machines have saved. dir is the Dir of the upgrade.
func Observed(ctx context.Context, t *observe.Target, o *observe.Observer, dir string) (from string, err error) {
	unfinished, err := (&Upgrade{Target: t, Dir: dir}).unfinished(ctx)
	if err != nil {
		return "", err
	}
	err = cluster.Await(ctx, "learn the cluster's version", cluster.Wait{For: preflight.ReadFor}, func(ctx context.Context) error {
		var seen []string
		for _, c := range o.Observe(ctx).Components {
			if c.Version != "" {
				seen = append(seen, c.Version)
			}
		}
		for _, v := range unfinished {
			seen = append(seen, v)
		}
		if len(seen) == 0 {
			return errors.New("no component told its version")
		}
		slices.SortFunc(seen, func(a, b string) int {
			if version.MustParseSemantic(a).LessThan(version.MustParseSemantic(b)) {
				return -1
			}
			return 1
		})
		from = seen[0]
		return nil
	})
	return from, err
}

// specFile is in an upgrade's directory, beside the journal and the snapshots.
const specFile = "spec.json"

// Record is the directory of one upgrade: what was asked for, the journal, the snapshots. One process at a time holds it.
type Record struct {
	Dir     string
	Journal *plan.Journal
	Resumed bool // an upgrade was begun in it before and is not finished
}

// OpenRecord takes the directory. What a finished upgrade has left there is moved aside, so that its snapshot does not pass for this one's.
func OpenRecord(dir string, spec Spec) (_ *Record, err error) {
	r := &Record{Dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	// One that is finished is set aside; one that is not is gone on with.
	r.Journal, err = plan.CreateJournal(dir, func(old []plan.Entry) error {
		if slices.ContainsFunc(old, func(e plan.Entry) bool { return e.Kind == "upgraded" }) {
			return nil
		}
		return errUnfinished
	})
	if errors.Is(err, errUnfinished) {
		r.Resumed = true
		r.Journal, err = plan.AppendJournal(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("upgrade: %w", err)
	}
	raw, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("upgrade: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, specFile), raw, 0o600); err != nil {
		return nil, fmt.Errorf("upgrade: %w", err)
	}
	return r, nil
}

var errUnfinished = errors.New("an upgrade was begun here and is not finished")

// Finish writes that the upgrade has ended well.
func (r *Record) Finish() error {
	return r.Journal.Write("upgraded", map[string]string{"dir": r.Dir})
}

// Close lets go of the directory.
func (r *Record) Close() error {
	if r.Journal == nil {
		return nil
	}
	return r.Journal.Close()
}

// ReadSpec reads what was asked for, of a directory or of a file.
func ReadSpec(path string) (Spec, error) {
	var s Spec
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		path = filepath.Join(path, specFile)
	}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, cluster.Usagef("there is no upgrade to resume: %w", err)
	}
	if err != nil {
		return s, fmt.Errorf("upgrade: %w", err)
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return s, cluster.Usagef("%s: %w", path, err)
	}
	return s, nil
}
