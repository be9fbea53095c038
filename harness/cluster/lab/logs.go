package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/cluster"
)

// saveFailure keeps the logs of a lab that did not come up, next to where it was.
func (p *Provider) saveFailure(c *Lab) error {
	dir := filepath.Join(p.StateDir, failedDir, c.topology.Name)
	if err := errors.Join(os.RemoveAll(dir), c.collectLogs(dir)); err != nil {
		return err
	}
	return fmt.Errorf("its logs are kept in %s", dir)
}

// CollectLogs copies the machines' service and container logs and, with those of all, the lab's own.
func (c *Lab) CollectLogs(_ context.Context, dir string, machines ...string) error {
	return c.collectLogs(dir, machines...)
}

func (c *Lab) collectLogs(dir string, machines ...string) error {
	var errs []error
	if len(machines) == 0 {
		errs = append(errs, copyLogs(filepath.Join(dir, "lab"), filepath.Join(c.dir, "logs"), map[string]string{".": "."}))
	}
	for _, m := range c.all() {
		if len(machines) == 0 || slices.Contains(machines, m.name) {
			errs = append(errs, copyLogs(filepath.Join(dir, m.name), filepath.Join(c.dir, "disks", m.name), map[string]string{"var/log/units": "units", "var/log/pods": "pods"}))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("logs: %w", err)
	}
	return nil
}

// copyLogs copies the regular files below directories of a disk to others below dst; a log that is rotated away meanwhile is left out. Programs of the
// machine write there as they like: a link of theirs is followed on the disk and not out of it.
func copyLogs(dst, disk string, dirs map[string]string) (err error) {
	root, err := os.OpenRoot(disk)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	to, err := cluster.OpenLogDir(dst)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	var errs []error
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		errs = append(errs, fs.WalkDir(root.FS(), dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil //nolint:nilerr // gone meanwhile, or a machine without such logs
			}
			return copyLog(to, filepath.Join(dirs[dir], strings.TrimPrefix(path, dir)), root, path)
		}))
	}
	return errors.Join(errs...)
}

func copyLog(to *cluster.LogDir, name string, root *os.Root, path string) error {
	f, err := root.Open(path)
	if err != nil {
		return nil // gone meanwhile
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return err
	}
	return to.Add(name, st.Size(), f)
}
