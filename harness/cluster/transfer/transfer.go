// Package transfer copies files and directories between this host and a machine, by the rules of `docker cp`: a directory that is there gets what is copied
// into it, one that is not becomes it. What a machine sends stays below where it was asked to go.
package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"drydock.dev/drydock/harness/cluster"
)

// Options say how to copy.
type Options struct {
	Follow bool                             // what links lead to is copied, not the links
	Warn   func(format string, args ...any) // is told what is left out, and why
}

// place is what there is at a path.
type place int

const (
	nothing place = iota // and no directory to make it in
	absent
	file
	directory
)

// source is what is copied: the name as it was given, without a "/." at its end, which means what is in a directory and not the directory.
type source struct {
	path     string
	contents bool
	is       place
}

func sourceOf(given string) source {
	s := source{path: given}
	if rest, ok := strings.CutSuffix(given, "/."); ok {
		s.path, s.contents = rest+"/", true
	}
	s.contents = s.contents || path.Clean(s.path) == "/"
	s.path = path.Clean(s.path)
	return s
}

// target is the path that the source itself gets, of a destination as it was given.
func (s source) target(given string, there place) (string, error) {
	switch {
	case s.contents && s.is != directory:
		return "", cluster.Usagef("%s is no directory", s.path)
	case there == nothing:
		return "", cluster.Usagef("no such directory: %s", path.Dir(path.Clean(given)))
	case there == directory && s.contents:
		return path.Clean(given), nil
	case there == directory:
		return path.Join(given, path.Base(s.path)), nil
	case there == file && s.is == directory:
		return "", cluster.Usagef("%s is a directory, and %s is none", s.path, given)
	case there == file && strings.HasSuffix(given, "/"):
		return "", cluster.Usagef("%s is no directory", given)
	case there == absent && s.is == file && strings.HasSuffix(given, "/"):
		return "", cluster.Usagef("no such directory: %s", given)
	default:
		return path.Clean(given), nil
	}
}

// looks is a script's word for what is at a path.
const looks = `if [ -d "$1" ]; then echo 3; elif [ -e "$1" ] || [ -L "$1" ]; then echo 2; elif [ -d "$(dirname -- "$1")" ]; then echo 1; else echo 0; fi`

func look(ctx context.Context, m cluster.Machine, at string) (place, error) {
	r, err := m.Exec(ctx, cluster.Command{Args: []string{"/bin/sh", "-c", looks, "sh", path.Clean(at)}})
	if err != nil {
		return nothing, err
	}
	var p place
	if _, err := fmt.Sscan(r.Stdout, &p); err != nil {
		return nothing, fmt.Errorf("%s: what is at %s: %w", m.Name(), at, err)
	}
	return p, nil
}

func lookHere(at string) (place, error) {
	at = filepath.Clean(at)
	st, err := os.Stat(at)
	switch {
	case err == nil && st.IsDir():
		return directory, nil
	case err == nil:
		return file, nil
	case !errors.Is(err, os.ErrNotExist):
		return nothing, err
	}
	if _, err := os.Lstat(at); err == nil {
		return file, nil // a link that leads nowhere
	}
	if st, err := os.Stat(filepath.Dir(at)); err == nil && st.IsDir() {
		return absent, nil
	}
	return nothing, nil
}

// onMachine is a path of a machine; one that is not absolute is from the root, as docker has it.
func onMachine(given string) string {
	if !strings.HasPrefix(given, "/") {
		return "/" + given
	}
	return given
}

// FromMachine copies a file or directory of a machine to this host.
func FromMachine(ctx context.Context, m cluster.Machine, src, dst string, o Options) (err error) {
	s := sourceOf(onMachine(src))
	if s.is, err = look(ctx, m, s.path); err != nil {
		return err
	}
	if s.is != file && s.is != directory {
		return cluster.Usagef("%s: no such file or directory: %s", m.Name(), s.path)
	}
	link, err := m.Exec(ctx, cluster.Command{Args: []string{"/bin/sh", "-c", `[ ! -L "$1" ] || echo link`, "sh", s.path}})
	if err != nil {
		return err
	}
	if link.Stdout != "" && !o.Follow && !s.contents {
		s.is = file // the link itself
	}
	there, err := lookHere(dst)
	if err != nil {
		return fmt.Errorf("cp: %w", err)
	}
	target, err := s.target(dst, there)
	if err != nil {
		return err
	}
	args := []string{"tar", "-cf", "-"}
	if o.Follow {
		args = append(args, "-h")
	}
	if s.is == directory {
		args = append(args, "-C", s.path, ".")
	} else {
		args = append(args, "-C", path.Dir(s.path), "--", path.Base(s.path))
	}
	in, out := io.Pipe()
	var both errgroup.Group
	both.Go(func() error {
		err := cluster.Stream(ctx, m, cluster.Command{Args: args}, out)
		var exit *cluster.ExecError
		if errors.As(err, &exit) && exit.Code == tarDiffers && exit.Cause == nil {
			o.Warn("%s", strings.TrimSpace(exit.Result.Stderr))
			err = nil
		}
		return errors.Join(err, out.Close())
	})
	both.Go(func() error {
		err := unpack(in, target, s.is == directory, o)
		if err == nil {
			_, err = io.Copy(io.Discard, in) // the padding of the archive's end
		}
		return errors.Join(err, in.CloseWithError(err))
	})
	if err := both.Wait(); err != nil {
		return fmt.Errorf("cp %s:%s: %w", m.Name(), s.path, err)
	}
	return nil
}

// tarDiffers is tar's exit code when a file changed while it was read.
const tarDiffers = 1

// ToMachine copies a file or directory of this host to a machine, where root will own it.
func ToMachine(ctx context.Context, m cluster.Machine, src, dst string, o Options) error {
	s := sourceOf(filepath.ToSlash(src))
	st, err := os.Lstat(s.path)
	if err == nil && (o.Follow || s.contents) {
		st, err = os.Stat(s.path)
	}
	if err != nil {
		return cluster.Usagef("cp: %w", err)
	}
	if s.is = file; st.IsDir() {
		s.is = directory
	}
	dst = onMachine(dst)
	there, err := look(ctx, m, dst)
	if err != nil {
		return err
	}
	target, err := s.target(dst, there)
	if err != nil {
		return fmt.Errorf("%s: %w", m.Name(), err)
	}
	script, name := `mkdir -p -- "$1" && exec tar -xpf - -C "$1"`, "."
	if s.is == file {
		script, name = `exec tar -xpf - -C "$(dirname -- "$1")"`, path.Base(target)
	}
	in, out := io.Pipe()
	var both errgroup.Group
	both.Go(func() error {
		return out.CloseWithError(pack(out, s.path, name, there == directory && s.contents, o))
	})
	both.Go(func() error {
		err := cluster.Stream(ctx, m, cluster.Command{Args: []string{"/bin/sh", "-c", script, "sh", target}, Stdin: in}, io.Discard)
		return errors.Join(err, in.CloseWithError(io.ErrClosedPipe))
	})
	if err := both.Wait(); err != nil {
		return fmt.Errorf("cp to %s:%s: %w", m.Name(), target, err)
	}
	return nil
}
