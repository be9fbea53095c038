package cluster

import (
	"context"
	"strings"
)

// Shell runs a script on a machine and gives its standard output. The script ends at the first command that fails.
func Shell(ctx context.Context, m Machine, script string) (string, error) {
	r, err := m.Exec(ctx, Command{Args: []string{"/bin/sh", "-ec", script}})
	return r.Stdout, err
}

// Glob lists the files of a machine that match one of the shell's patterns, as full paths; none is no error.
func Glob(ctx context.Context, m Machine, patterns ...string) ([]string, error) {
	out, err := Shell(ctx, m, "ls -d "+strings.Join(patterns, " ")+" 2>/dev/null || true")
	return strings.Fields(out), err
}
