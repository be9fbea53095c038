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
	"strings"

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
		from, err = oldest(o.Observe(ctx).Components, unfinished)
		return err
	})
	return from, err
}

// oldest needs everybody's word: the one who is not heard may be the oldest. A machine whose upgrade is not finished has saved what it was, and
// what runs on it may be down.
func oldest(components []observe.Component, unfinished map[string]string) (string, error) {
	var seen, silent []string
	for _, c := range components {
		switch {
		case c.Version != "":
			seen = append(seen, c.Version)
		case unfinished[c.Machine] == "":
			silent = append(silent, fmt.Sprintf("%s (%s)", c, c.Error))
		}
	}
	for _, v := range unfinished {
		seen = append(seen, strings.Fields(v)...)
	}
	if len(silent) > 0 {
		return "", fmt.Errorf("no word of its version from %s", strings.Join(silent, ", "))
	}
	if len(seen) == 0 {
		return "", errors.New("no component told its version")
	}
	var least *version.Version
	for _, text := range seen {
		v, err := version.ParseSemantic(text)
		if err != nil {
			return "", fmt.Errorf("a component's version: %w", err)
		}
		if least == nil || v.LessThan(least) {
			least = v
		}
	}
	return "v" + least.String(), nil
}

// specFile is in an upgrade's directory, beside the journal and the snapshots.
const specFile = "spec.json"

// Claim is the directory of one upgrade, held by one process: what was asked for, the journal, the snapshots.
type Claim struct {
	Dir     string
	Journal *plan.Journal
	Resumed bool // an upgrade was begun in it before and is not finished
}

// TakeClaim takes the directory. What a finished upgrade has left there is moved aside, so that its snapshot does not pass for this one's.
func TakeClaim(dir string) (_ *Claim, err error) {
	c := &Claim{Dir: dir}
	// One that is finished is set aside; one that is not is gone on with.
	c.Journal, err = plan.CreateJournal(dir, func(old []plan.Entry) error {
		if slices.ContainsFunc(old, func(e plan.Entry) bool { return e.Kind == "upgraded" }) {
			return nil
		}
		return errUnfinished
	})
	if errors.Is(err, errUnfinished) {
		c.Journal, err = plan.AppendJournal(dir)
		_, missing := os.Stat(filepath.Join(dir, specFile))
		c.Resumed = missing == nil // an attempt that was refused has begun nothing
	}
	if err != nil {
		return nil, fmt.Errorf("upgrade: %w", err)
	}
	return c, nil
}

// Keep writes what was asked for, which is what --resume goes on with. An attempt that is refused must not come this far.
func (c *Claim) Keep(spec Spec) error {
	raw, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	file := filepath.Join(c.Dir, specFile)
	if err := errors.Join(os.WriteFile(file+".new", raw, 0o600), os.Rename(file+".new", file)); err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	return nil
}

var errUnfinished = errors.New("an upgrade was begun here and is not finished")

// Finish writes that the upgrade has ended well.
func (c *Claim) Finish() error {
	return c.Journal.Write("upgraded", map[string]string{"dir": c.Dir})
}

// Close lets go of the directory.
func (c *Claim) Close() error { return c.Journal.Close() }

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
