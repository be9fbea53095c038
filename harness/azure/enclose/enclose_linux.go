package enclose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"drydock.dev/drydock/harness/cluster"
)

// childFD is the socket between the two processes, in the inner one.
const childFD = 3

// Run runs a program inside and returns its exit code when it has ended; a signal's is 128 and its number, as a shell has it. What the terminal sends both
// get, and the program decides; a SIGTERM is passed on. Nothing is left.
func (e Enclosure) Run(ctx context.Context, argv []string) (_ int, err error) {
	ways, addresses, hosts, err := e.ways()
	if err != nil {
		return 0, err
	}
	program, err := exec.LookPath(argv[0])
	if err != nil {
		return 0, cluster.Usagef("no program to run: %w", err)
	}
	if program, err = filepath.Abs(program); err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "drydock-inside-")
	if err != nil {
		return 0, fmt.Errorf("enclose: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	files, bundle, err := e.files(dir, hosts)
	if err != nil {
		return 0, fmt.Errorf("enclose: %w", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the program may become another user
		return 0, fmt.Errorf("enclose: %w", err)
	}
	told := inner{Addresses: addresses, Files: files, Argv: append([]string{program}, argv[1:]...), Env: environment(os.Environ(), bundle)}
	for _, w := range ways {
		told.Listen = append(told.Listen, w.Inside)
	}
	runtime.LockOSThread() // the inner process dies with the thread that started it, and must not before
	defer runtime.UnlockOSThread()
	child, err := e.start(told)
	if err != nil {
		return 0, err
	}
	defer child.close()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // it is the program that decides when it ends
	defer cancel()
	if err := child.serve(ctx, e, ways); err != nil {
		child.kill()
		return 0, err
	}
	return child.wait()
}

// child is the process that becomes the program.
type child struct {
	cmd    *exec.Cmd
	socket *net.UnixConn
	opened []interface{ Close() error }
}

// start starts the inner process: namespaces that belong to the caller's own user, and the rights in them until the program begins.
func (e Enclosure) start(told inner) (*child, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("enclose: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "socket"), os.NewFile(uintptr(pair[1]), "socket")
	defer func() { _, _ = ours.Close(), theirs.Close() }()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, fmt.Errorf("enclose: %w", err)
	}
	c := &child{socket: conn.(*net.UnixConn)}      //nolint:forcetypeassert // a Unix socket's
	c.cmd = exec.Command(e.Self[0], e.Self[1:]...) //nolint:noctx // the program decides when it ends
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.cmd.ExtraFiles = []*os.File{theirs}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
		UidMappings: same(os.Geteuid()), GidMappings: same(os.Getegid()), GidMappingsEnableSetgroups: os.Geteuid() == 0,
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_NET_BIND_SERVICE},
		Pdeathsig:   syscall.SIGKILL,
	}
	if err := c.cmd.Start(); err != nil {
		_ = conn.Close()
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EUSERS) {
			return nil, cluster.Usagef("%w: %w", errNoNamespaces, err)
		}
		return nil, fmt.Errorf("enclose: %w", err)
	}
	raw, err := json.Marshal(told)
	if err == nil {
		_, err = c.socket.Write(raw)
	}
	if err != nil {
		c.kill()
		return nil, fmt.Errorf("enclose: %w", err)
	}
	return c, nil
}

// same maps users to themselves: all for root, who may, and the caller alone for others.
func same(id int) []syscall.SysProcIDMap {
	if os.Geteuid() == 0 {
		if raw, err := os.ReadFile("/proc/self/uid_map"); err == nil {
			var inside, outside, size int
			if n, _ := fmt.Sscan(string(raw), &inside, &outside, &size); n == 3 && inside == 0 {
				return []syscall.SysProcIDMap{{Size: size}}
			}
		}
	}
	return []syscall.SysProcIDMap{{ContainerID: id, HostID: id, Size: 1}}
}

// serve takes the sockets that the inner process has opened, serves them from outside, and lets the program begin.
func (c *child) serve(ctx context.Context, e Enclosure, ways []Way) error {
	for i := range len(ways) + 1 {
		f, err := c.receive()
		if err != nil {
			return fmt.Errorf("enclose: %w", err)
		}
		if i == len(ways) {
			conn, err := net.FilePacketConn(f)
			_ = f.Close()
			if err != nil {
				return fmt.Errorf("enclose: %w", err)
			}
			c.opened = append(c.opened, conn)
			go e.names(conn)
			continue
		}
		l, err := net.FileListener(f)
		_ = f.Close()
		if err != nil {
			return fmt.Errorf("enclose: %w", err)
		}
		c.opened = append(c.opened, l)
		go carry(ctx, l, ways[i].Outside)
	}
	if _, err := c.socket.Write([]byte("go")); err != nil {
		return fmt.Errorf("enclose: %w", err)
	}
	return nil
}

// receive takes one socket; what comes without one is what went wrong inside.
func (c *child) receive() (*os.File, error) {
	said, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	n, r, _, _, err := c.socket.ReadMsgUnix(said, rights)
	if err != nil || n == 0 {
		return nil, fmt.Errorf("the inner process ended before the program: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:r])
	if err != nil || len(messages) == 0 {
		return nil, errors.New(string(said[:n]))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(fds[0])
	return os.NewFile(uintptr(fds[0]), "inside"), nil
}

func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
	c.close()
}

func (c *child) close() {
	_ = c.socket.Close()
	for _, o := range c.opened {
		_ = o.Close()
	}
}

// wait is for the program's end, and passes SIGTERM and SIGHUP on. What Ctrl-C sends goes to the whole group of the terminal.
func (c *child) wait() (int, error) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT)
	defer signal.Stop(signals)
	ended := make(chan error, 1)
	go func() { ended <- c.cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			if s != syscall.SIGINT {
				_ = c.cmd.Process.Signal(s)
			}
		case err := <-ended:
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				return 0, fmt.Errorf("enclose: %w", err)
			}
			if status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
				return 128 + int(status.Signal()), nil
			}
			return c.cmd.ProcessState.ExitCode(), nil
		}
	}
}

// Inside is the inner process: it opens what the program connects to, puts the files in place, and becomes the program. It returns only an error, which the
// outer process has been told.
func Inside() error {
	unix.CloseOnExec(childFD)
	f := os.NewFile(childFD, "socket")
	conn, err := net.FileConn(f)
	if err != nil {
		return fmt.Errorf("inside: %w", err)
	}
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return errors.New("inside: this is started by `drydock arm exec`")
	}
	raw := make([]byte, 1<<20)
	n, err := socket.Read(raw)
	if err != nil {
		return fmt.Errorf("inside: %w", err)
	}
	var told inner
	if err := json.Unmarshal(raw[:n], &told); err != nil {
		return fmt.Errorf("inside: %w", err)
	}
	if err := told.prepare(socket); err != nil {
		_, _ = socket.Write([]byte(err.Error()))
		return err
	}
	if _, err := socket.Read(raw); err != nil { // until all is served
		return fmt.Errorf("inside: %w", err)
	}
	return told.become()
}

// prepare makes the network and the files.
func (t inner) prepare(socket *net.UnixConn) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("inside: lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("inside: lo up: %w", err)
	}
	for _, a := range t.Addresses {
		ip := net.ParseIP(a)
		bits := 128
		if ip.To4() != nil {
			bits = 32
		}
		err := netlink.AddrAdd(lo, &netlink.Addr{IPNet: &net.IPNet{IP: ip, Mask: net.CIDRMask(bits, bits)}, Flags: unix.IFA_F_NODAD})
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("inside: address %s: %w", a, err)
		}
	}
	for _, at := range t.Listen {
		l, err := net.Listen("tcp", at) //nolint:noctx // it is opened and given away
		if err != nil {
			return fmt.Errorf("inside: %w", err)
		}
		if err := give(socket, l.(*net.TCPListener)); err != nil { //nolint:forcetypeassert // of TCP
			return err
		}
	}
	names, err := net.ListenPacket("udp", resolver) //nolint:noctx // it is opened and given away
	if err != nil {
		return fmt.Errorf("inside: %w", err)
	}
	if err := give(socket, names.(*net.UDPConn)); err != nil { //nolint:forcetypeassert // of UDP
		return err
	}
	return t.mount()
}

// give sends a socket to the outer process: it stays in this network, whoever holds it.
func give(to *net.UnixConn, s interface{ File() (*os.File, error) }) error {
	f, err := s.File()
	if err != nil {
		return fmt.Errorf("inside: %w", err)
	}
	defer func() { _ = f.Close() }()
	if _, _, err := to.WriteMsgUnix([]byte("."), unix.UnixRights(int(f.Fd())), nil); err != nil {
		return fmt.Errorf("inside: %w", err)
	}
	return nil
}

// mount puts the files in place, for this process and its own only.
func (t inner) mount() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("inside: own mounts: %w", err)
	}
	for path, file := range t.Files {
		if err := unix.Mount(file, path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("inside: %s in the place of %s: %w", file, path, err)
		}
	}
	const cache = "/run/nscd" // glibc asks the host's cache of names by a socket there, before any file
	if _, err := os.Stat(cache); err == nil {
		if err := unix.Mount("tmpfs", cache, "tmpfs", 0, "size=4k"); err != nil {
			return fmt.Errorf("inside: %s: %w", cache, err)
		}
	}
	return nil
}
