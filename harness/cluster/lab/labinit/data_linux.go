package labinit

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A disk of data is a directory of a machine's disk that outlives it: it is moved aside before that is dropped, and into the next machine's before that is on.
// Both happen while the machine is off, and what leads to the directory is looked at: who was root there may have put links in the way.
const dataDir = "data"

// dataOf is where a disk is kept that no machine has.
func dataOf(disk string) (string, error) {
	if disk == "" || disk != filepath.Base(disk) || strings.HasPrefix(disk, ".") {
		return "", fmt.Errorf("disk %q: it is called by one word, which begins with no dot", disk)
	}
	return filepath.Join(dataDir, disk), nil
}

// at is a directory of a machine's disk. An error says that it is not on that disk.
func at(machine, dir string) (string, error) {
	below := strings.TrimPrefix(filepath.Clean(dir), "/")
	if !filepath.IsAbs(dir) || below == "" || !filepath.IsLocal(below) {
		return "", fmt.Errorf("directory %q of %s: a whole path is wanted", dir, machine)
	}
	path := filepath.Join("disks", machine)
	for part := range strings.SplitSeq(below, "/") {
		path = filepath.Join(path, part)
		st, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return "", err
		}
		if !st.IsDir() {
			return "", fmt.Errorf("%s of %s: %s is no directory", dir, machine, path)
		}
	}
	return filepath.Join("disks", machine, below), nil
}

// keepData moves directories of a machine that is off aside. One that is not there any more was moved before.
func (s *switchboard) keepData(machine string, disks map[string]string) error {
	if len(disks) > 0 && s.hasDisk(machine) {
		return fmt.Errorf("%s has a disk of etcd's own in memory (etcdDisk), which goes with it", machine)
	}
	for _, dir := range slices.Sorted(maps.Keys(disks)) {
		from, err := at(machine, dir)
		if err != nil {
			return err
		}
		to, err := dataOf(disks[dir])
		if err != nil {
			return err
		}
		if _, err := os.Lstat(from); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := errors.Join(os.MkdirAll(dataDir, 0o700), os.RemoveAll(to)); err != nil {
			return err
		}
		if err := os.Rename(from, to); err != nil {
			return fmt.Errorf("keep %s of %s: %w", dir, machine, err)
		}
	}
	return nil
}

// giveData moves what was kept into the disk of a machine that has never been on. What nobody has kept is empty.
func (*switchboard) giveData(machine string, disks map[string]string) error {
	for _, dir := range slices.Sorted(maps.Keys(disks)) {
		to, err := at(machine, dir)
		if err != nil {
			return err
		}
		from, err := dataOf(disks[dir])
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.Rename(from, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("disk %s at %s of %s: %w", disks[dir], dir, machine, err)
		}
	}
	return nil
}

// keptData lists the disks that no machine has.
func keptData() ([]string, error) {
	entries, err := os.ReadDir(dataDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

// dropData drops a disk that no machine has; idempotent.
func (*switchboard) dropData(disk string) error {
	path, err := dataOf(disk)
	if err != nil {
		return err
	}
	return os.RemoveAll(path)
}
