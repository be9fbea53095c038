package kind

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

// Machine is one node.
type Machine struct {
	cluster *Cluster
	name    string
	role    cluster.Role
	addr    netip.Addr
	inside  *namespace
}

var (
	_ cluster.Machine   = (*Machine)(nil)
	_ cluster.Power     = (*Machine)(nil)
	_ cluster.Links     = (*Machine)(nil)
	_ cluster.Freezer   = (*Machine)(nil)
	_ cluster.Pauser    = (*Machine)(nil)
	_ cluster.Killer    = (*Machine)(nil)
	_ cluster.Keeper    = (*Machine)(nil)
	_ cluster.Dialer    = (*Machine)(nil)
	_ cluster.Resolver  = (*Machine)(nil)
	_ cluster.Installer = (*Machine)(nil)
	_ cluster.Terminal  = (*Machine)(nil)
	_ cluster.Limited   = (*Machine)(nil)
)

// Name is the node's and its container's.
func (m *Machine) Name() string { return m.name }

// Role is what the machine is for.
func (m *Machine) Role() cluster.Role { return m.role }

// Addr is the node's address in the cluster's network, which it gets again after every power cut.
func (m *Machine) Addr() netip.Addr { return m.addr }

// Lacks is what it cannot do.
func (m *Machine) Lacks() cluster.Lacks { return m.cluster.record.Lacks }

func (m *Machine) docker() docker { return m.cluster.provider.cli() }

// mark is an environment variable by which the processes of one command are found again: a docker exec that is killed leaves its command running.
const mark = "DRYDOCK_EXEC"

// Exec runs a command in the node.
func (m *Machine) Exec(ctx context.Context, cmd cluster.Command) (cluster.Result, error) {
	if len(cmd.Args) == 0 {
		return cluster.Result{}, &cluster.ExecError{Machine: m.name, Code: -1, Cause: errors.New("no command")}
	}
	id := rand.Text()
	args := []string{"exec", "--env", mark + "=" + id}
	for _, e := range cmd.Env {
		args = append(args, "--env", e)
	}
	if cmd.Stdin != nil {
		args = append(args, "--interactive")
	}
	var stdout, stderr bytes.Buffer
	err := m.docker()(ctx, streams{cmd.Stdin, &stdout, &stderr}, append(append(args, m.name), cmd.Args...)...)
	out := cluster.Result{Stdout: stdout.String(), Stderr: stderr.String()}
	if err == nil {
		return out, nil
	}
	failed := &cluster.ExecError{Machine: m.name, Args: cmd.Args, Code: -1, Result: out, Cause: err}
	if ctx.Err() != nil {
		m.end(ctx, id+"$")
		return out, failed
	}
	// What docker itself says of a container that does not run has the code of a command that failed.
	if code, ended := exitCode(err); ended && !strings.HasPrefix(out.Stderr, "Error response from daemon:") {
		failed.Code, failed.Cause = code, nil
	}
	return out, failed
}

// end kills what commands that were cut off have left in the node, by the pattern of their marks; one that is off has nothing.
func (m *Machine) end(ctx context.Context, marks string) {
	const within = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	script := fmt.Sprintf(`for p in /proc/[0-9]*; do if grep -qz '^%s=%s' $p/environ; then kill -KILL ${p#/proc/}; fi; done`, mark, marks)
	_, _ = m.docker().out(ctx, "exec", m.name, "/bin/sh", "-c", script)
}

// Shell runs a command on the caller's own streams.
func (m *Machine) Shell(ctx context.Context, args []string, tty bool, files ...*os.File) (int, error) {
	if len(files) != 3 {
		return -1, fmt.Errorf("%s: a shell has three streams, not %d", m.name, len(files))
	}
	flags := []string{"exec", "--interactive", "--env", "PS1=" + m.name + `:\w\$ `}
	if tty {
		flags = append(flags, "--tty")
	}
	err := m.docker()(ctx, streams{files[0], files[1], files[2]}, append(append(flags, m.name), args...)...)
	if code, ended := exitCode(err); ended {
		return code, nil
	}
	if err != nil {
		return -1, fmt.Errorf("%s: %w", m.name, err)
	}
	return 0, nil
}

// ReadFile reads a file as the node's programs see it.
func (m *Machine) ReadFile(ctx context.Context, name string) ([]byte, error) {
	if raw, err := m.inside.readFile(ctx, name); !errors.Is(err, errOutside) {
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		return raw, nil
	}
	return cluster.Cat(ctx, m, name)
}

// WriteFile replaces a file by a hidden one beside it: a rename is atomic only within a file system, and the kubelet takes any other file among its
// manifests for one.
func (m *Machine) WriteFile(ctx context.Context, name string, data []byte, mode fs.FileMode) error {
	tmp := path.Join(path.Dir(name), "."+path.Base(name)+".drydock-new")
	return m.put(ctx, bytes.NewReader(data), name, tmp, mode)
}

func (m *Machine) put(ctx context.Context, data io.Reader, name, tmp string, mode fs.FileMode) error {
	const script = `mkdir -p "$(dirname "$0")"; cat >"$1"; chmod "$2" "$1"; mv -f "$1" "$0"`
	_, err := m.Exec(ctx, cluster.Command{Args: []string{"/bin/sh", "-ec", script, name, tmp, fmt.Sprintf("%o", mode.Perm())}, Stdin: data})
	return err
}

// Replace keeps a file beside what takes its place.
func (m *Machine) Replace(ctx context.Context, name string, data []byte) error {
	return cluster.ReplaceFile(ctx, m, name, data)
}

// PutBack undoes it.
func (m *Machine) PutBack(ctx context.Context, name string) error {
	return cluster.PutBackFile(ctx, m, name)
}

// Dial connects from the node itself.
func (m *Machine) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := m.inside.dial(ctx, network, addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.name, err)
	}
	return conn, nil
}
