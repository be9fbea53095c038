package debian

import (
	"errors"
	"fmt"
	"os"

	"drydock.dev/drydock/harness/lock"
)

// Fresh has a directory filled beside its place and puts it there when it is whole: whoever looks finds all of it, the old one, or nothing. Two who do it
// at once are an error of the later one.
func Fresh(dir string, fill func(fresh string) error) (err error) {
	held, err := lock.Try(dir + ".lock")
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	defer func() { err = errors.Join(err, held.Release()) }()
	fresh := dir + ".new"
	if err := errors.Join(os.RemoveAll(fresh), os.MkdirAll(fresh, 0o755)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(fresh)) }()
	if err := fill(fresh); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(dir), os.Rename(fresh, dir))
}
