package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// Shell runs a script on a machine and gives its standard output. The script ends at the first command that fails.
func Shell(ctx context.Context, m Machine, script string) (string, error) {
	r, err := m.Exec(ctx, Command{Args: []string{"/bin/sh", "-ec", script}})
	return r.Stdout, err
}

// lastWords is how long a command that is killed with its context may still be heard.
const lastWords = time.Second

// Stream runs a command whose standard input and output are too long to be kept, or without an end. A command that fails is an *ExecError with what it said on
// its standard error. Whoever gives it a standard input that does not end by itself ends that.
func Stream(ctx context.Context, m Machine, cmd Command, stdout io.Writer) error {
	t, err := As[Terminal](m)
	if err != nil {
		return err
	}
	var stderr bytes.Buffer
	fail := func(code int, cause error) error {
		return &ExecError{Machine: m.Name(), Args: cmd.Args, Code: code, Result: Result{Stderr: stderr.String()}, Cause: cause}
	}
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		return fail(-1, err)
	}
	ends := []*os.File{inRead} // of the command
	go func() {
		if cmd.Stdin != nil {
			_, _ = io.Copy(inWrite, cmd.Stdin) // a command that reads no further says so itself
		}
		_ = inWrite.Close()
	}()
	var copies errgroup.Group
	for _, to := range []io.Writer{stdout, &stderr} {
		r, w, err := os.Pipe()
		if err != nil {
			return fail(-1, err)
		}
		ends = append(ends, w)
		stop := context.AfterFunc(ctx, func() { time.AfterFunc(lastWords, func() { _ = r.Close() }) })
		copies.Go(func() error {
			_, err := io.Copy(to, r)
			stop()
			return errors.Join(err, r.Close()) // where nobody reads on the command ends
		})
	}
	code, err := t.Shell(ctx, cmd.Args, false, ends...)
	for _, f := range ends {
		_ = f.Close()
	}
	switch copied := copies.Wait(); {
	case ctx.Err() != nil:
		return fail(code, ctx.Err())
	case err != nil || copied != nil:
		return fail(code, errors.Join(err, copied))
	case code != 0:
		return fail(code, nil)
	}
	return nil
}

// Cat reads a file by a shell, where a machine gives no nearer way; fs.ErrNotExist when there is none.
func Cat(ctx context.Context, m Machine, path string) ([]byte, error) {
	const noSuchFile = 44 // an exit code that cat has not
	r, err := m.Exec(ctx, Command{Args: []string{"/bin/sh", "-ec", fmt.Sprintf(`[ -e "$1" ] || exit %d; exec cat -- "$1"`, noSuchFile), "sh", path}})
	var exit *ExecError
	if errors.As(err, &exit) && exit.Code == noSuchFile {
		return nil, fmt.Errorf("%s: %w", m.Name(), &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist})
	}
	if err != nil {
		return nil, err
	}
	return []byte(r.Stdout), nil
}

// Glob lists the files of a machine that match one of the shell's patterns, as full paths; none is no error.
func Glob(ctx context.Context, m Machine, patterns ...string) ([]string, error) {
	out, err := Shell(ctx, m, "ls -d "+strings.Join(patterns, " ")+" 2>/dev/null || true")
	return strings.Fields(out), err
}

// besides are where ReplaceFile keeps a file, and what has taken its place: hidden, as who reads all files of a directory is not to take them for any.
func besides(name string) (kept, put string) {
	hidden := path.Join(path.Dir(name), "."+path.Base(name)+".drydock-")
	return hidden + "kept", hidden + "put"
}

// ReplaceFile is Keeper's Replace by a shell, for a file that is there.
func ReplaceFile(ctx context.Context, m Machine, name string, data []byte) error {
	kept, put := besides(name)
	const script = `if [ ! -e "$1" ]; then cp -p -- "$0" "$1.new"; mv -f -- "$1.new" "$1"; fi; stat -c %a -- "$1"`
	r, err := m.Exec(ctx, Command{Args: []string{"/bin/sh", "-ec", script, name, kept}})
	if err != nil {
		return err
	}
	mode, err := strconv.ParseUint(strings.TrimSpace(r.Stdout), 8, 32)
	if err != nil {
		return fmt.Errorf("%s: mode of %s: %w", m.Name(), name, err)
	}
	if err := m.WriteFile(ctx, put, data, fs.FileMode(mode)); err != nil {
		return err
	}
	return m.WriteFile(ctx, name, data, fs.FileMode(mode))
}

// PutBackFile is Keeper's PutBack by a shell.
func PutBackFile(ctx context.Context, m Machine, name string) error {
	kept, put := besides(name)
	const script = `sum() { sha256sum <"$1"; }
if [ -e "$1" ]; then
  if [ -e "$0" ] && [ -e "$2" ] && [ "$(sum "$0")" != "$(sum "$2")" ]; then rm -f -- "$1"; else mv -f -- "$1" "$0"; fi
fi
rm -f -- "$2" "$1.new"`
	_, err := m.Exec(ctx, Command{Args: []string{"/bin/sh", "-ec", script, name, kept, put}})
	return err
}

// KernelBootID is the boot id that the machine's programs see, its kubelet among them. Machines that share a kernel share it.
func KernelBootID(ctx context.Context, m Machine) (string, error) {
	raw, err := m.ReadFile(ctx, "/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(raw)), err
}

// KubeconfigFile writes the administrator's kubeconfig into the cluster's directory and returns its path.
func KubeconfigFile(ctx context.Context, c Cluster) (string, error) {
	raw, err := c.Kubeconfig(ctx)
	if err != nil {
		return "", err
	}
	path := filepath.Join(c.Dir(), "kubeconfig")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		return "", fmt.Errorf("kubeconfig: %w", err)
	}
	return path, nil
}
