package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"drydock.dev/drydock/harness/cluster/lab/process"
)

// container is a process with its own root.
type container struct {
	id      string
	sandbox *sandbox
	config  *cri.ContainerConfig
	image   image
	dir     string
	created time.Time
	log     *logFile
	table   *process.Table

	mu       sync.Mutex
	cmd      *exec.Cmd
	stdin    io.WriteCloser
	started  time.Time
	finished time.Time
	exitCode int32
	reason   string
	message  string
	done     chan struct{} // closed when the process has ended
}

// CreateContainer prepares a container without starting it.
func (s *Server) CreateContainer(_ context.Context, r *cri.CreateContainerRequest) (*cri.CreateContainerResponse, error) {
	p, err := s.findSandbox(r.GetPodSandboxId())
	if err != nil {
		return nil, err
	}
	cfg := r.GetConfig()
	ref := cfg.GetImage().GetUserSpecifiedImage()
	if ref == "" {
		ref = cfg.GetImage().GetImage()
	}
	img, err := s.resolve(ref)
	if err != nil {
		return nil, status.Error(codes.NotFound, err.Error())
	}
	sec := cfg.GetLinux().GetSecurityContext()
	// pause reads and writes nothing, so it matters to nobody as whom it runs; kubeadm's upgrade check is a pause of user 999.
	if uid := sec.GetRunAsUser(); uid.GetValue() != 0 && !img.isPause() {
		return nil, status.Errorf(codes.Unimplemented, "runAsUser %d: a lab machine has one user, root; leave runAsUser out", uid.GetValue())
	}
	c := &container{
		id: newID(), sandbox: p, config: cfg, image: img, created: time.Now(), table: s.cfg.Table,
		log: &logFile{path: filepath.Join(p.config.GetLogDirectory(), cfg.GetLogPath())}, done: make(chan struct{}),
	}
	c.dir = filepath.Join(s.cfg.StateDir, "run/containers", c.id)
	if err := os.MkdirAll(filepath.Join(c.dir, "root"), 0o755); err != nil {
		return nil, fmt.Errorf("container: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.containers[c.id] = c
	return &cri.CreateContainerResponse{ContainerId: c.id}, nil
}

// StartContainer starts the process in the pod's namespaces.
func (s *Server) StartContainer(_ context.Context, r *cri.StartContainerRequest) (*cri.StartContainerResponse, error) {
	c, err := s.findContainer(r.GetContainerId())
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd != nil {
		return nil, status.Errorf(codes.FailedPrecondition, "container %s was started before", c.id)
	}
	if err := s.launch(c); err != nil {
		return nil, err
	}
	return &cri.StartContainerResponse{}, nil
}

func (s *Server) launch(c *container) error {
	if err := c.log.open(); err != nil {
		return err
	}
	cmd := exec.Command(s.cfg.Program, "container-init") //nolint:noctx // ended by stop
	specRead, specWrite, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("container: %w", err)
	}
	defer func() { _ = specRead.Close(); _ = specWrite.Close() }()
	cmd.ExtraFiles = []*os.File{specRead}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID}
	stdout, stderr := c.log.stream("stdout"), c.log.stream("stderr")
	cmd.Stdout, cmd.Stderr = stdout, stderr
	// A grandchild may hold the streams open after the container's process has ended.
	cmd.WaitDelay = 2 * time.Second
	if c.config.GetStdin() {
		if c.stdin, err = cmd.StdinPipe(); err != nil {
			return fmt.Errorf("container: %w", err)
		}
	}
	var ns process.Namespaces
	if pause := c.sandbox.pause; pause != nil {
		ns = process.Namespaces{Net: pause.Process.Pid, IPC: pause.Process.Pid, UTS: pause.Process.Pid}
	}
	if err := process.Inside(ns, func() error { return s.cfg.Table.Start(cmd) }); err != nil {
		return fmt.Errorf("container: %w", err)
	}
	c.cmd, c.started = cmd, time.Now()
	go c.wait(stdout, stderr)
	if err := json.NewEncoder(specWrite).Encode(s.spec(c)); err != nil {
		_ = cmd.Process.Kill()
		return fmt.Errorf("container: %w", err)
	}
	return nil
}

func (c *container) wait(streams ...*logStream) {
	err := c.table.Wait(c.cmd)
	for _, s := range streams {
		s.flush()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finished = time.Now()
	c.exitCode, c.reason = exitOf(err)
	c.log.close()
	close(c.done)
}

// exitOf follows the shell's convention for signals, 128 + number, as container runtimes do.
func exitOf(err error) (code int32, reason string) {
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return 0, "Completed"
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return 255, "Error"
	}
	if st, ok := exit.Sys().(syscall.WaitStatus); ok && st.Signaled() {
		return 128 + int32(st.Signal()), "Error"
	}
	return int32(exit.ExitCode()), "Error"
}

// stop asks the process to end and kills it after the grace period; it returns when the process has ended.
func (c *container) stop(ctx context.Context, grace time.Duration) {
	c.mu.Lock()
	cmd := c.cmd
	c.mu.Unlock()
	if cmd == nil {
		return
	}
	if grace > 0 {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Process.Signal(syscall.SIGCONT) // a frozen process would not hear it
		select {
		case <-c.done:
			return
		case <-ctx.Done():
		case <-time.After(grace):
		}
	}
	_ = cmd.Process.Kill() // PID 1 of its namespace: everything in the container goes with it
	<-c.done
}

// StopContainer ends a container within the grace period; idempotent.
func (s *Server) StopContainer(ctx context.Context, r *cri.StopContainerRequest) (*cri.StopContainerResponse, error) {
	s.mu.Lock()
	c := s.containers[r.GetContainerId()]
	s.mu.Unlock()
	if c != nil {
		c.stop(ctx, time.Duration(r.GetTimeout())*time.Second)
	}
	return &cri.StopContainerResponse{}, nil
}

// RemoveContainer forgets a container, killing it if it runs; idempotent.
func (s *Server) RemoveContainer(ctx context.Context, r *cri.RemoveContainerRequest) (*cri.RemoveContainerResponse, error) {
	s.mu.Lock()
	c := s.containers[r.GetContainerId()]
	s.mu.Unlock()
	if c == nil {
		return &cri.RemoveContainerResponse{}, nil
	}
	c.stop(ctx, 0)
	s.mu.Lock()
	delete(s.containers, c.id)
	s.mu.Unlock()
	if err := os.RemoveAll(c.dir); err != nil {
		return nil, fmt.Errorf("container: %w", err)
	}
	return &cri.RemoveContainerResponse{}, nil
}

func (s *Server) findContainer(id string) (*container, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.containers[id]; c != nil {
		return c, nil
	}
	return nil, status.Errorf(codes.NotFound, "container %q", id)
}

// state must be called with c.mu held.
func (c *container) state() cri.ContainerState {
	switch {
	case !c.finished.IsZero():
		return cri.ContainerState_CONTAINER_EXITED
	case c.cmd != nil:
		return cri.ContainerState_CONTAINER_RUNNING
	default:
		return cri.ContainerState_CONTAINER_CREATED
	}
}

// ContainerStatus reports times, exit code and mounts of a container.
func (s *Server) ContainerStatus(_ context.Context, r *cri.ContainerStatusRequest) (*cri.ContainerStatusResponse, error) {
	c, err := s.findContainer(r.GetContainerId())
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	st := &cri.ContainerStatus{
		Id: c.id, Metadata: c.config.GetMetadata(), State: c.state(), CreatedAt: c.created.UnixNano(),
		Image: &cri.ImageSpec{Image: c.image.ref}, ImageRef: c.image.id(), ImageId: c.image.id(),
		Labels: c.config.GetLabels(), Annotations: c.config.GetAnnotations(), Mounts: c.config.GetMounts(),
		LogPath: c.log.path, ExitCode: c.exitCode, Reason: c.reason, Message: c.message,
	}
	if !c.started.IsZero() {
		st.StartedAt = c.started.UnixNano()
	}
	if !c.finished.IsZero() {
		st.FinishedAt = c.finished.UnixNano()
	}
	return &cri.ContainerStatusResponse{Status: st}, nil
}

// ListContainers lists the containers the filter lets through.
func (s *Server) ListContainers(_ context.Context, r *cri.ListContainersRequest) (*cri.ListContainersResponse, error) {
	out := &cri.ListContainersResponse{}
	f := r.GetFilter()
	for _, c := range s.selected(f.GetId(), f.GetPodSandboxId(), f.GetLabelSelector()) {
		c.mu.Lock()
		state := c.state()
		c.mu.Unlock()
		if f.GetState() != nil && f.GetState().GetState() != state {
			continue
		}
		out.Containers = append(out.Containers, &cri.Container{
			Id: c.id, PodSandboxId: c.sandbox.id, Metadata: c.config.GetMetadata(), State: state, CreatedAt: c.created.UnixNano(),
			Image: &cri.ImageSpec{Image: c.image.ref}, ImageRef: c.image.id(), ImageId: c.image.id(),
			Labels: c.config.GetLabels(), Annotations: c.config.GetAnnotations(),
		})
	}
	return out, nil
}

func (s *Server) selected(id, sandboxID string, labels map[string]string) []*container {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*container
	for _, c := range s.containers {
		if (id == "" || id == c.id) && (sandboxID == "" || sandboxID == c.sandbox.id) && matches(labels, c.config.GetLabels()) {
			out = append(out, c)
		}
	}
	return out
}

// ReopenContainerLog starts a new log file after the kubelet has renamed the old one.
func (s *Server) ReopenContainerLog(_ context.Context, r *cri.ReopenContainerLogRequest) (*cri.ReopenContainerLogResponse, error) {
	c, err := s.findContainer(r.GetContainerId())
	if err != nil {
		return nil, err
	}
	if err := c.log.open(); err != nil {
		return nil, err
	}
	return &cri.ReopenContainerLogResponse{}, nil
}
