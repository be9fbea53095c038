package debian

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// Unpack downloads a package and puts those of its files below dir that keep lets through, by their paths in it.
func (x *Index) Unpack(ctx context.Context, p Package, dir string, keep func(name string) bool) error {
	raw, err := get(ctx, x.source.Mirror+"/"+p.file, p.sum)
	if err != nil {
		return err
	}
	x.source.Tell("  %6.1f MiB  %s %s", float64(len(raw))/(1<<20), p.Name, p.Version)
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", "/dev/stdin")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(raw), os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("unpack %s: %w", p.Name, err)
	}
	err = untar(out, dir, keep)
	_, _ = io.Copy(io.Discard, out)
	if err = errors.Join(err, cmd.Wait()); err != nil {
		return fmt.Errorf("unpack %s: %w", p.Name, err)
	}
	return nil
}

func untar(from io.Reader, dir string, keep func(name string) bool) error {
	t := tar.NewReader(from)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
		if !keep(name) {
			continue
		}
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		switch h.Typeflag {
		case tar.TypeSymlink:
			if filepath.Base(h.Linkname) != h.Linkname { // a library's name leads to a file beside it
				continue
			}
			err = os.Symlink(h.Linkname, to)
		case tar.TypeReg:
			err = write(to, t, fs.FileMode(h.Mode).Perm())
		}
		if err != nil {
			return err
		}
	}
}

func write(file string, from io.Reader, mode fs.FileMode) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Close())
}
