package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// saveFailure keeps the logs of a lab that did not come up, next to where it was.
func (p *Provider) saveFailure(c *Lab) error {
	dir := filepath.Join(p.StateDir, failedDir, c.topology.Name)
	if err := errors.Join(os.RemoveAll(dir), c.collectLogs(dir)); err != nil {
		return err
	}
	return fmt.Errorf("its logs are kept in %s", dir)
}

// CollectLogs copies each machine's service and container logs and the lab's own.
func (c *Lab) CollectLogs(_ context.Context, dir string) error { return c.collectLogs(dir) }

func (c *Lab) collectLogs(dir string) error {
	errs := []error{copyLogs(filepath.Join(dir, "lab"), filepath.Join(c.dir, "logs"), ".")}
	for _, m := range c.all() {
		for _, sub := range []string{"var/log/units", "var/log/pods"} {
			errs = append(errs, copyLogs(filepath.Join(dir, m.Name(), filepath.Base(sub)), filepath.Join(c.dir, "disks", m.Name()), sub))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("logs: %w", err)
	}
	return nil
}

// copyLogs copies the regular files below sub, a directory of disk; a log that is rotated away meanwhile is left out. Programs of the
// machine write there as they like: a link of theirs is followed on the disk and not out of it.
func copyLogs(dst, disk, sub string) error {
	root, err := os.OpenRoot(disk)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	from, err := root.OpenRoot(sub)
	if err != nil {
		return nil // a machine without such logs
	}
	defer func() { _ = from.Close() }()
	return fs.WalkDir(from.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil //nolint:nilerr // gone meanwhile
		}
		raw, err := from.ReadFile(path)
		if err != nil {
			return nil //nolint:nilerr // gone meanwhile
		}
		to := filepath.Join(dst, path)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return os.WriteFile(to, raw, 0o644)
	})
}
