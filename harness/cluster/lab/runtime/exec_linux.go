package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/creack/pty"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"

	"drydock.dev/drydock/harness/cluster/lab/process"
)

// ExecSync runs a program in a container and returns what it wrote; exec probes use it.
func (s *Server) ExecSync(ctx context.Context, r *cri.ExecSyncRequest) (*cri.ExecSyncResponse, error) {
	c, err := s.findContainer(r.GetContainerId())
	if err != nil {
		return nil, err
	}
	if r.GetTimeout() > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(r.GetTimeout())*time.Second)
		defer cancel()
	}
	var stdout, stderr bytes.Buffer
	cmd := s.command(c, r.GetCmd())
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = c.runIn(ctx, cmd, nil)
	if ctx.Err() != nil {
		return nil, status.Errorf(codes.DeadlineExceeded, "%q did not end within %d s", r.GetCmd(), r.GetTimeout())
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, err
	}
	code, _ := exitOf(err)
	return &cri.ExecSyncResponse{Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), ExitCode: code}, nil
}

// command is a program in the container, found in the container's own PATH.
func (s *Server) command(c *container, argv []string) *exec.Cmd {
	spec := s.spec(c)
	cmd := &exec.Cmd{Path: argv[0], Args: argv, Env: spec.Env, Dir: "/", SysProcAttr: &syscall.SysProcAttr{Setsid: true}, WaitDelay: time.Second}
	if spec.Dir != "" {
		cmd.Dir = spec.Dir
	}
	if filepath.IsAbs(argv[0]) {
		return cmd
	}
	for _, dir := range filepath.SplitList(pathOf(spec.Env)) {
		if _, err := os.Stat(filepath.Join("/proc", strconv.Itoa(c.pid()), "root", dir, argv[0])); err == nil {
			cmd.Path = filepath.Join(dir, argv[0])
			break
		}
	}
	return cmd
}

func (c *container) pid() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd == nil || !c.finished.IsZero() {
		return 0
	}
	return c.cmd.Process.Pid
}

// runIn runs a program in the container's namespaces; started, if given, is called when it runs.
func (c *container) runIn(ctx context.Context, cmd *exec.Cmd, started func()) error {
	pid := c.pid()
	if pid == 0 {
		return status.Errorf(codes.FailedPrecondition, "container %s does not run", c.id)
	}
	ns := process.Namespaces{Net: pid, IPC: pid, UTS: pid, PID: pid, Mount: pid}
	if err := process.Inside(ns, func() error { return c.table.Start(cmd) }); err != nil {
		return fmt.Errorf("exec: %w", err)
	}
	if started != nil {
		started()
	}
	stop := context.AfterFunc(ctx, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer stop()
	return c.table.Wait(cmd)
}

// Exec answers with the address where the stream is served.
func (s *Server) Exec(_ context.Context, r *cri.ExecRequest) (*cri.ExecResponse, error) {
	if _, err := s.findContainer(r.GetContainerId()); err != nil {
		return nil, err
	}
	return s.streaming.GetExec(r)
}

// Attach answers with the address where the stream is served.
func (s *Server) Attach(_ context.Context, r *cri.AttachRequest) (*cri.AttachResponse, error) {
	if _, err := s.findContainer(r.GetContainerId()); err != nil {
		return nil, err
	}
	return s.streaming.GetAttach(r)
}

// PortForward answers with the address where the stream is served.
func (s *Server) PortForward(_ context.Context, r *cri.PortForwardRequest) (*cri.PortForwardResponse, error) {
	if _, err := s.findSandbox(r.GetPodSandboxId()); err != nil {
		return nil, err
	}
	return s.streaming.GetPortForward(r)
}

// streams is the side of the streaming server that does the work.
type streams struct{ s *Server }

func (t streams) Exec(ctx context.Context, id string, argv []string, in io.Reader, out, errOut io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize) error {
	c, err := t.s.findContainer(id)
	if err != nil {
		return err
	}
	cmd := t.s.command(c, argv)
	if tty {
		err = c.runTTY(ctx, cmd, in, out, resize)
	} else {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, errOut
		err = c.runIn(ctx, cmd, nil)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code, _ := exitOf(err)
		return utilexec.CodeExitError{Err: err, Code: int(code)}
	}
	return err
}

func (c *container) runTTY(ctx context.Context, cmd *exec.Cmd, in io.Reader, out io.Writer, resize <-chan remotecommand.TerminalSize) error {
	master, slave, err := pty.Open()
	if err != nil {
		return fmt.Errorf("exec: terminal: %w", err)
	}
	defer func() { _ = master.Close() }()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr.Setctty = true
	go func() {
		for size := range resize {
			_ = pty.Setsize(master, &pty.Winsize{Rows: size.Height, Cols: size.Width})
		}
	}()
	copied := make(chan struct{})
	err = c.runIn(ctx, cmd, func() {
		_ = slave.Close()
		if in != nil {
			go func() { _, _ = io.Copy(master, in) }()
		}
		go func() { _, _ = io.Copy(out, master); close(copied) }()
	})
	select {
	case <-copied: // the last words of the program
	case <-time.After(time.Second):
	}
	return err
}

func (t streams) Attach(ctx context.Context, id string, in io.Reader, out, _ io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize) error {
	c, err := t.s.findContainer(id)
	if err != nil {
		return err
	}
	if out != nil {
		defer c.log.attach(out)()
	}
	if in != nil && c.stdin != nil {
		go func() { _, _ = io.Copy(c.stdin, in) }()
	}
	select {
	case <-c.done:
	case <-ctx.Done():
	}
	return nil
}

func (t streams) PortForward(ctx context.Context, id string, port int32, stream io.ReadWriteCloser) error {
	p, err := t.s.findSandbox(id)
	if err != nil {
		return err
	}
	var ns process.Namespaces
	if p.pause != nil {
		ns.Net = p.pause.Process.Pid
	}
	var conn net.Conn
	err = process.Inside(ns, func() (err error) {
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
		return err
	})
	if err != nil {
		return fmt.Errorf("port forward: %w", err)
	}
	defer func() { _ = conn.Close() }()
	go func() { _, _ = io.Copy(conn, stream) }()
	_, _ = io.Copy(stream, conn)
	return nil
}
