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
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/plan"
)

func (u *Upgrade) snapshotFile(version string) string {
	return filepath.Join(u.Dir, fmt.Sprintf("etcd-before-%s.db", version))
}

// snapshotOf says, in a file beside a snapshot, what it is of.
type snapshotOf struct {
	Cluster  string `json:"cluster"`  // etcd's id of it
	Revision int64  `json:"revision"` // the snapshot has this one at least
	From     string `json:"from"`
	To       string `json:"to"`
}

func readSnapshotOf(file string) (s snapshotOf, err error) {
	raw, err := os.ReadFile(file + ".json")
	if err == nil {
		err = json.Unmarshal(raw, &s)
	}
	if err == nil && s.Cluster == "" {
		err = errors.New("it names no cluster")
	}
	if err != nil {
		return s, fmt.Errorf("the snapshot %s does not say what it is of: %w", file, err)
	}
	return s, nil
}

// stale says why a snapshot that is there is not the one from before this hop. Before the hop has begun every one is: it is of an earlier upgrade,
// and a new one loses nothing.
func (u *Upgrade) stale(version string, now snapshotOf, begun bool) error {
	was, err := readSnapshotOf(u.snapshotFile(version))
	switch {
	case err != nil:
		return err
	case !begun:
		return errors.New("the hop has not begun: it is of an earlier upgrade")
	case was.Cluster != now.Cluster:
		return fmt.Errorf("it is of the cluster %s, and this is %s", was.Cluster, now.Cluster)
	case was.Revision > now.Revision:
		return fmt.Errorf("it is of revision %d, and the cluster is at %d", was.Revision, now.Revision)
	case was.From != now.From || was.To != now.To:
		return fmt.Errorf("it is from before the upgrade from %s to %s", was.From, was.To)
	}
	return nil
}

// belongs says why etcd must not be taken back to the snapshot of a hop. That it is of this cluster was seen when the hop began; a cluster that has
// lost its data cannot be asked.
func (u *Upgrade) belongs(version string) error {
	was, err := readSnapshotOf(u.snapshotFile(version))
	if err == nil && (was.From != u.before(version) || was.To != version) {
		err = fmt.Errorf("it is from before the upgrade from %s to %s", was.From, was.To)
	}
	if err != nil {
		return fmt.Errorf("etcd is not taken back: %w", err)
	}
	return nil
}

// before is the version the hop to a version begins from.
func (u *Upgrade) before(version string) string {
	if i := slices.Index(u.Path.Hops, version); i > 0 {
		return u.Path.Hops[i-1]
	}
	return u.Path.From
}

// snapshot saves etcd before a hop. One of this hop that is there already was saved before the hop began, and a later one would be of a
// half-upgraded cluster, so it is kept; any other is set aside.
func (u *Upgrade) snapshot(ctx context.Context, version string) error {
	file := u.snapshotFile(version)
	now := snapshotOf{From: u.before(version), To: version}
	id, revision, err := u.Target.Members.Identity(ctx)
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	now.Cluster, now.Revision = fmt.Sprintf("%x", id), revision
	err = etcd.CheckSnapshot(file)
	if err == nil {
		begun, err := u.begunTo(ctx, version)
		if err != nil {
			return fmt.Errorf("snapshot: %w", err)
		}
		if err = u.stale(version, now, begun); err == nil {
			return fmt.Errorf("%w: %s was saved before", plan.ErrSkip, file)
		}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		if err := setSnapshotAside(file); err != nil {
			return err
		}
	}
	if err := u.Target.Etcd.Snapshot(ctx, u.Target.Members, file); err != nil {
		return err
	}
	raw, err := json.Marshal(now)
	if err == nil {
		err = os.WriteFile(file+".json", raw, 0o600)
	}
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return nil
}

// setSnapshotAside renames a snapshot and what is beside it after the time.
func setSnapshotAside(file string) error {
	mark := ".stale-" + time.Now().UTC().Format("20060102-150405.000")
	for _, f := range []string{file, file + ".json"} {
		if err := os.Rename(f, strings.Replace(f, file, file+mark, 1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("snapshot: %w", err)
		}
	}
	return nil
}

// begunTo reports whether some machine is on its way to the version, or there already.
func (u *Upgrade) begunTo(ctx context.Context, version string) (begun bool, err error) {
	unfinished, err := u.unfinished(ctx)
	if err != nil || len(unfinished) > 0 {
		return true, err
	}
	err = cluster.Await(ctx, "learn whether the upgrade to "+version+" has begun", cluster.Wait{For: answersWithin}, func(ctx context.Context) error {
		begun = false
		for _, c := range u.Spec.upgrades(u.Observer.Observe(ctx)) {
			if c.Version == "" {
				return fmt.Errorf("%s does not answer: %s", c, c.Error)
			}
			begun = begun || c.Version == version
		}
		return nil
	})
	return begun, err
}
