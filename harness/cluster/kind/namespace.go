package kind

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// namespace is what one container sees: its network, to connect from, and its files. Where this process may enter it does, which costs no program;
// where it may not (another user than root, or Docker in a virtual machine) socat and cat do it through docker exec.
type namespace struct {
	docker    docker
	container string

	mu  sync.Mutex
	pid int    // of the container's first process, on this host
	net uint64 // the inode of its network namespace: another one's pid may be the same; 0: it was never entered
}

// dialWithin bounds one connection, as callers may not: docker commands are part of it.
const dialWithin = 30 * time.Second

func (n *namespace) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	conn, err := n.dialInside(ctx, network, addr)
	if errors.Is(err, errOutside) {
		return n.relay(ctx, network, addr)
	}
	return conn, err
}

// errOutside says that this process may not enter a container: docker exec is to do it.
var errOutside = errors.New("it cannot be entered from here")

// relay is a connection that socat makes in the container.
func (n *namespace) relay(ctx context.Context, network, addr string) (net.Conn, error) {
	if network != "tcp" && network != "tcp4" {
		return nil, &net.OpError{Op: "dial", Net: network, Err: net.UnknownNetworkError(network)}
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	said, complain := io.Pipe()
	ours, theirs := net.Pipe()
	go func() {
		err := n.docker(life, streams{theirs, theirs, complain}, "exec", "--interactive", n.container, "socat", "-d", "-d", "-", "TCP4:"+addr)
		complain.CloseWithError(fmt.Errorf("socat in %s: %w", n.container, err))
		_ = theirs.Close()
		end()
	}()
	stop := context.AfterFunc(ctx, end)
	err := connected(said)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		end()
		_ = ours.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	go func() { _, _ = io.Copy(io.Discard, said) }()
	return &relayed{Conn: ours, end: end}, nil
}

// connected reads what socat tells until it is connected, or why it is not.
func connected(said io.Reader) error {
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.Contains(line, "starting data transfer loop"):
			return nil
		case strings.Contains(line, "Connection refused"):
			return syscall.ECONNREFUSED
		case strings.Contains(line, "No route to host"):
			return syscall.EHOSTUNREACH
		case strings.Contains(line, "timed out"):
			return syscall.ETIMEDOUT
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return exec.ErrNotFound
}

// relayed ends socat with the connection.
type relayed struct {
	net.Conn
	end func()
}

func (r *relayed) Close() error {
	err := r.Conn.Close()
	// What was written last is on its way through two pipes.
	time.AfterFunc(time.Second, r.end)
	return err
}
