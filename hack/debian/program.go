package debian

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Program is a program of a package that runs where it was unpacked, with all that it needs beside it, and is not installed.
type Program struct {
	Package string                 // whose program it is
	What    string                 // for people
	Follow  func(name string) bool // which of the packages that it depends on are got too
	Keep    func(name string) bool // which of their files
	Path    string                 // of the script that begins it, below the directory
	Script  string                 // the packages are unpacked in root, below the directory
}

// Fill puts it into a directory.
func (s Source) Fill(ctx context.Context, dir string, p Program) error {
	x, err := s.Index(ctx)
	if err != nil {
		return err
	}
	packages, err := x.Closure(p.Package, p.Follow)
	if err != nil {
		return err
	}
	s.Tell("getting %s, %d packages", p.What, len(packages))
	for _, one := range packages {
		if err := x.Unpack(ctx, one, filepath.Join(dir, "root"), p.Keep); err != nil {
			return err
		}
	}
	script := filepath.Join(dir, p.Path)
	return errors.Join(os.MkdirAll(filepath.Dir(script), 0o755), os.WriteFile(script, []byte(p.Script), fs.FileMode(0o755)))
}
