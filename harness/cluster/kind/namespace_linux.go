package kind

import (
	"context"
	"fmt"
	"net"
	"os"
	"path"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// process gives the container's first process, as this host has it; errOutside when it cannot be entered from here.
func (n *namespace) process(ctx context.Context) (int, error) {
	if os.Geteuid() != 0 {
		return 0, errOutside
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.pid != 0 {
		if at, err := netOf(n.pid); err == nil && at == n.net {
			return n.pid, nil
		}
	}
	c, there, err := n.docker.inspect(ctx, n.container)
	if err != nil || !there || !c.State.Running {
		n.pid = 0
		return 0, fmt.Errorf("container %s does not run (there: %t): %w", n.container, there, errOr(err, unix.EHOSTDOWN))
	}
	at, err := netOf(c.State.Pid)
	switch {
	case err == nil:
	case n.net == 0:
		return 0, errOutside // Docker's processes are another machine's
	default: // of one that was entered before: it has ended, and Docker has not noticed; docker exec would hang in it for good
		n.pid = 0
		return 0, fmt.Errorf("container %s has lost its first process this moment: %w", n.container, unix.EHOSTDOWN)
	}
	n.pid, n.net = c.State.Pid, at
	return n.pid, nil
}

func errOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

func netOf(pid int) (uint64, error) {
	var st unix.Stat_t
	err := unix.Stat(fmt.Sprintf("/proc/%d/ns/net", pid), &st)
	return st.Ino, err
}

// inside does something on a thread that is thrown away afterwards: what it has entered nobody else is to be in.
func inside(do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- do()
	}()
	return <-done
}

func (n *namespace) dialInside(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	pid, err := n.process(ctx)
	if err != nil {
		return nil, err
	}
	err = inside(func() error {
		ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
		if err != nil {
			return err
		}
		defer func() { _ = ns.Close() }()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter %s: %w", n.container, err)
		}
		conn, err = (&net.Dialer{}).DialContext(ctx, network, addr)
		return err
	})
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// readFile reads as a program of the container does, its links followed in it. What /proc shows depends on who reads, who has to be one of its processes.
func (n *namespace) readFile(ctx context.Context, name string) (raw []byte, err error) {
	if strings.HasPrefix(path.Clean(name), "/proc/") {
		return nil, errOutside
	}
	pid, err := n.process(ctx)
	if err != nil {
		return nil, err
	}
	err = inside(func() error {
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("enter %s: %w", n.container, err)
		}
		if err := unix.Chroot(fmt.Sprintf("/proc/%d/root", pid)); err != nil {
			return fmt.Errorf("enter %s: %w", n.container, err)
		}
		raw, err = os.ReadFile(name)
		return err
	})
	return raw, err
}
