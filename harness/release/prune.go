package release

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"drydock.dev/drydock/harness/lock"
)

// Prune finds what interrupted downloads and builds have left in the cache, and calls each, which may remove it, while nobody else can
// take it. Programs stay.
func (s *Store) Prune(each func(what, path string, remove func() error) error) error {
	left, _ := filepath.Glob(filepath.Join(s.Dir, "*", "*"+buildCacheSuffix)) // the pattern is a good one
	left = append(left, abandoned(filepath.Join(s.Dir, "*", "*"))...)
	var errs []error
	for _, path := range left {
		version, ok := strings.CutSuffix(path, buildCacheSuffix)
		if !ok {
			version = filepath.Dir(path)
		}
		l, err := lock.Try(version + ".lock")
		var held *lock.HeldError
		if errors.As(err, &held) {
			continue // its maker lives
		}
		if err == nil {
			err = errors.Join(each("unfinished download or build", path, func() error { return os.RemoveAll(path) }), l.Release())
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
