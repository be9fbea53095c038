package staging

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/term"
	"k8s.io/apimachinery/pkg/util/rand"

	"drydock.dev/drydock/harness/cluster"
)

// Machine is a host that was there before Drydock and stays when it is gone.
type Machine struct {
	cluster *Cluster
	name    string
	role    cluster.Role
	addr    netip.Addr
	host    Host
	remote  *remote
	found   found
	way     way // to the others, for Cluster.Dial
}

var (
	_ cluster.Machine  = (*Machine)(nil)
	_ cluster.Power    = (*Machine)(nil)
	_ cluster.Links    = (*Machine)(nil)
	_ cluster.Freezer  = (*Machine)(nil)
	_ cluster.Killer   = (*Machine)(nil)
	_ cluster.Dialer   = (*Machine)(nil)
	_ cluster.Terminal = (*Machine)(nil)
	_ cluster.Limited  = (*Machine)(nil)
)

// Name is the Node's, or the inventory's.
func (m *Machine) Name() string { return m.name }

// Role is what the machine is for.
func (m *Machine) Role() cluster.Role { return m.role }

// Addr is the machine's address among its peers.
func (m *Machine) Addr() netip.Addr { return m.addr }

// Lacks is what the machine said it cannot do.
func (m *Machine) Lacks() cluster.Lacks { return m.found.lacks }

// markEnv marks the processes of one command, so that they can be found and ended.
const markEnv = "DRYDOCK_EXEC"

// line is a command as sshd's shell takes it. What administrators have on their PATH is on it, sudo or not.
func (m *Machine) line(cmd cluster.Command, mark string) string {
	words := []string{}
	if m.remote.logins.user != "root" {
		words = append(words, "sudo", "-n", "--")
	}
	if len(cmd.Env) > 0 {
		words = append(append(words, "env"), cmd.Env...)
	}
	words = append(words, "/bin/sh", "-c", `PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin"; `+markEnv+`=$0; export PATH `+markEnv+`; exec "$@"`, mark)
	words = append(words, cmd.Args...)
	for i, w := range words {
		words[i] = quote(w)
	}
	return strings.Join(words, " ")
}

// quote makes one word of a shell's.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// Exec runs a command to its end. When the context ends first, the command is killed.
func (m *Machine) Exec(ctx context.Context, cmd cluster.Command) (cluster.Result, error) {
	var stdout, stderr said
	code, err := m.run(ctx, cmd, func(s *ssh.Session) { s.Stdin, s.Stdout, s.Stderr = cmd.Stdin, &stdout, &stderr })
	res := cluster.Result{Stdout: stdout.String(), Stderr: stderr.String()}
	if err != nil || code != 0 {
		return res, &cluster.ExecError{Machine: m.name, Args: cmd.Args, Code: code, Result: res, Cause: err}
	}
	return res, nil
}

func (m *Machine) run(ctx context.Context, cmd cluster.Command, prepare func(*ssh.Session)) (code int, err error) {
	s, done, err := m.remote.session(ctx)
	if err != nil {
		return -1, err
	}
	defer done()
	prepare(s)
	mark := rand.String(12)
	if err := s.Start(m.line(cmd, mark)); err != nil {
		return -1, fmt.Errorf("ssh: %w", err)
	}
	var waited error
	ended := make(chan struct{})
	go func() {
		waited = s.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		err = waited
	case <-ctx.Done():
		go m.end(context.WithoutCancel(ctx), mark)
		select {
		case <-ended:
		case <-time.After(endWithin): // what the command has left running may hold its output
		}
		return -1, context.Cause(ctx)
	}
	var exit *ssh.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit) && exit.Signal() == "":
		return exit.ExitStatus(), nil
	case errors.As(err, &exit):
		return -1, fmt.Errorf("killed by %s", exit.Signal())
	default: // the connection ended before the command told how it did
		return -1, fmt.Errorf("ssh: %w", err)
	}
}

// endWithin is how long a command may take to be gone when it has been ended.
const endWithin = 500 * time.Millisecond

// end kills all that has the mark. The protocol's own signals do not do it: OpenSSH refuses them for root ("session signalling requires privilege
// separation"), and a command whose login is closed goes on.
func (m *Machine) end(ctx context.Context, mark string) {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	_, _ = m.script(ctx, `for e in $(grep -ls "`+markEnv+`=$1" /proc/[0-9]*/environ); do e=${e#/proc/}; kill -9 "${e%/environ}" || true; done`, mark) // a machine that does not answer ends nothing
}

// said is what a command has said. It may go on saying when nobody waits for it any more.
type said struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// script runs a shell script with arguments and gives its standard output.
func (m *Machine) script(ctx context.Context, script string, args ...string) (string, error) {
	r, err := m.Exec(ctx, cluster.Command{Args: append([]string{"/bin/sh", "-ec", script, "sh"}, args...)})
	return r.Stdout, err
}

// ReadFile reads a file.
func (m *Machine) ReadFile(ctx context.Context, path string) ([]byte, error) {
	return cluster.Cat(ctx, m, path)
}

// WriteFile replaces a file by rename, and only when all of it has come through.
func (m *Machine) WriteFile(ctx context.Context, path string, data []byte, mode fs.FileMode) error {
	const script = `d=$(dirname -- "$1"); mkdir -p -- "$d"; t=$(mktemp "$d/.drydock-XXXXXX"); trap 'rm -f -- "$t"' EXIT
cat >"$t"; [ "$(wc -c <"$t")" -eq "$2" ] || { echo "cut short" >&2; exit 1; }; chmod "$3" "$t"; sync "$t" 2>/dev/null || true; mv -f -- "$t" "$1"`
	_, err := m.Exec(ctx, cluster.Command{
		Args:  []string{"/bin/sh", "-ec", script, "sh", path, strconv.Itoa(len(data)), fmt.Sprintf("%o", mode.Perm())},
		Stdin: bytes.NewReader(data),
	})
	return err
}

// Dial connects from the machine itself.
func (m *Machine) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return m.remote.dial(ctx, network, addr)
}

// Shell runs a command on the caller's own streams.
func (m *Machine) Shell(ctx context.Context, args []string, tty bool, streams ...*os.File) (int, error) {
	var failed error
	code, err := m.run(ctx, cluster.Command{Args: args}, func(s *ssh.Session) {
		s.Stdin, s.Stdout, s.Stderr = streams[0], streams[1], streams[2]
		if !tty {
			return
		}
		fd := int(streams[0].Fd())
		width, height, err := term.GetSize(fd)
		if err != nil {
			failed = err
			return
		}
		_, rawErr := term.MakeRaw(fd) // the terminal that counts is the machine's
		failed = errors.Join(rawErr, s.RequestPty("xterm", height, width, ssh.TerminalModes{}))
	})
	return code, errors.Join(failed, err)
}
