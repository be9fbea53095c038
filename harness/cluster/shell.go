package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Shell runs a script on a machine and gives its standard output. The script ends at the first command that fails.
func Shell(ctx context.Context, m Machine, script string) (string, error) {
	r, err := m.Exec(ctx, Command{Args: []string{"/bin/sh", "-ec", script}})
	return r.Stdout, err
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
