package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"drydock.dev/drydock/harness/lock"
)

// PruneLabs finds what labs have left that nobody needs: directories of dead labs, and logs of bring-ups that failed so long ago. It calls each, which may
// remove it, while nobody else can take it.
func PruneLabs(stateDir string, unusedFor time.Duration, each func(what, path string, remove func() error) error) error {
	var errs []error
	for _, name := range registry(stateDir).Names() {
		errs = append(errs, pruneLab(stateDir, name, each))
	}
	failed, _ := filepath.Glob(filepath.Join(stateDir, failedDir, "*")) // the pattern is a good one
	for _, dir := range failed {
		if unused(dir, unusedFor) {
			errs = append(errs, each("logs of a bring-up that failed", dir, func() error { return os.RemoveAll(dir) }))
		}
	}
	return errors.Join(errs...)
}

func pruneLab(stateDir, name string, each func(what, path string, remove func() error) error) error {
	dir, err := Dir(stateDir, name)
	if err != nil || Running(dir) {
		return err
	}
	owner, err := registry(stateDir).Take(name)
	var held *lock.HeldError
	if errors.As(err, &held) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(each("directory of a dead cluster", dir, func() error { return discard(dir, name) }), owner.Release())
}

// PruneImages finds saved clusters that nobody has used for so long or that no longer can be used, and what killed writers left of some. It calls each,
// which may remove it, while nobody else can take it.
func PruneImages(ctx context.Context, images string, unusedFor time.Duration, each func(what, path string, remove func() error) error) (err error) {
	if _, err := os.Stat(images); err != nil {
		return nil // none was ever saved
	}
	alone, err := (&image{dir: filepath.Join(images, "any")}).lock(ctx, lock.Try)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, alone.Release()) }()
	var errs []error
	for _, dir := range abandoned(images) {
		errs = append(errs, each("unfinished copy of a cluster", dir, func() error { return os.RemoveAll(dir) }))
	}
	saved, _ := filepath.Glob(filepath.Join(images, "[^.]*")) // the pattern is a good one
	for _, dir := range saved {
		what := fmt.Sprintf("saved cluster, not used for %s", unusedFor)
		if _, err := (&image{dir: dir}).read(); err != nil {
			what = fmt.Sprintf("saved cluster that cannot be used (%v)", err)
		} else if !unused(dir, unusedFor) {
			continue
		}
		errs = append(errs, each(what, dir, func() error { return os.RemoveAll(dir) }))
	}
	return errors.Join(errs...)
}

func unused(dir string, since time.Duration) bool {
	st, err := os.Stat(dir)
	return err == nil && time.Since(st.ModTime()) > since
}
