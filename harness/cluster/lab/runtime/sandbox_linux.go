package runtime

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// sandbox is a pod: namespaces held by a pause process, or nothing but a record for a pod on the machine's network.
type sandbox struct {
	id      string
	config  *cri.PodSandboxConfig
	created time.Time
	dir     string

	mu    sync.Mutex
	ready bool
	addr  netip.Addr
	pause *exec.Cmd // nil with host networking
}

func newID() string { return strings.ReplaceAll(uuid.NewString()+uuid.NewString(), "-", "") }

func (p *sandbox) hostNetwork() bool {
	return p.config.GetLinux().GetSecurityContext().GetNamespaceOptions().GetNetwork() == cri.NamespaceMode_NODE
}

func (p *sandbox) isReady() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ready
}

// RunPodSandbox makes the pod's namespaces and gives it an address.
func (s *Server) RunPodSandbox(_ context.Context, r *cri.RunPodSandboxRequest) (*cri.RunPodSandboxResponse, error) {
	p := &sandbox{id: newID(), config: r.GetConfig(), created: time.Now(), ready: true}
	p.dir = filepath.Join(s.cfg.StateDir, "run/sandboxes", p.id)
	if err := p.prepare(); err != nil {
		return nil, err
	}
	if !p.hostNetwork() {
		if err := s.startPause(p); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	s.sandboxes[p.id] = p
	s.mu.Unlock()
	return &cri.RunPodSandboxResponse{PodSandboxId: p.id}, nil
}

func (p *sandbox) prepare() error {
	if !p.hostNetwork() {
		for _, m := range p.config.GetPortMappings() {
			if m.GetHostPort() != 0 {
				return status.Errorf(codes.Unimplemented, "host port %d: the process runtime has no port mapping; use hostNetwork", m.GetHostPort())
			}
		}
	}
	for _, d := range []string{p.dir, p.config.GetLogDirectory()} {
		if d == "" {
			continue
		}
		if err := os.MkdirAll(d, 0o755); err != nil {
			return fmt.Errorf("sandbox: %w", err)
		}
	}
	var resolv strings.Builder
	for _, server := range p.config.GetDnsConfig().GetServers() {
		fmt.Fprintf(&resolv, "nameserver %s\n", server)
	}
	if search := p.config.GetDnsConfig().GetSearches(); len(search) > 0 {
		fmt.Fprintf(&resolv, "search %s\n", strings.Join(search, " "))
	}
	if options := p.config.GetDnsConfig().GetOptions(); len(options) > 0 {
		fmt.Fprintf(&resolv, "options %s\n", strings.Join(options, " "))
	}
	return os.WriteFile(filepath.Join(p.dir, "resolv.conf"), []byte(resolv.String()), 0o644)
}

// startPause starts the process that holds the pod's namespaces.
func (s *Server) startPause(p *sandbox) error {
	cmd := exec.Command(s.cfg.Program, "workload", "pause") //nolint:noctx // ended by StopPodSandbox
	cmd.Env = []string{"GOMAXPROCS=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	if err := s.cfg.Table.Start(cmd); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	p.pause = cmd
	go func() {
		_ = s.cfg.Table.Wait(cmd)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.ready = false
	}()
	addr, err := s.network.attach(p.id, cmd.Process.Pid)
	if err != nil {
		_ = cmd.Process.Kill()
		return err
	}
	p.addr = addr
	return nil
}

// StopPodSandbox ends the pod's containers and frees its address; idempotent.
func (s *Server) StopPodSandbox(ctx context.Context, r *cri.StopPodSandboxRequest) (*cri.StopPodSandboxResponse, error) {
	s.mu.Lock()
	p := s.sandboxes[r.GetPodSandboxId()]
	s.mu.Unlock()
	if p == nil {
		return &cri.StopPodSandboxResponse{}, nil
	}
	for _, c := range s.containersOf(p.id) {
		c.stop(ctx, 0)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready = false
	if p.pause != nil {
		_ = p.pause.Process.Kill()
	}
	if p.addr.IsValid() {
		s.network.release(p.addr)
		p.addr = netip.Addr{}
	}
	return &cri.StopPodSandboxResponse{}, nil
}

// RemovePodSandbox forgets a pod; it stops it first, as the CRI asks; idempotent.
func (s *Server) RemovePodSandbox(ctx context.Context, r *cri.RemovePodSandboxRequest) (*cri.RemovePodSandboxResponse, error) {
	if _, err := s.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: r.GetPodSandboxId()}); err != nil {
		return nil, err
	}
	for _, c := range s.containersOf(r.GetPodSandboxId()) {
		if _, err := s.RemoveContainer(ctx, &cri.RemoveContainerRequest{ContainerId: c.id}); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.sandboxes[r.GetPodSandboxId()]; p != nil {
		delete(s.sandboxes, p.id)
		if err := os.RemoveAll(p.dir); err != nil {
			return nil, fmt.Errorf("sandbox: %w", err)
		}
	}
	return &cri.RemovePodSandboxResponse{}, nil
}

func (s *Server) containersOf(sandboxID string) []*container {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*container
	for _, c := range s.containers {
		if c.sandbox.id == sandboxID {
			out = append(out, c)
		}
	}
	return out
}

func (s *Server) findSandbox(id string) (*sandbox, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.sandboxes[id]; p != nil {
		return p, nil
	}
	return nil, status.Errorf(codes.NotFound, "sandbox %q", id)
}

func (p *sandbox) state() cri.PodSandboxState {
	if p.isReady() {
		return cri.PodSandboxState_SANDBOX_READY
	}
	return cri.PodSandboxState_SANDBOX_NOTREADY
}

// PodSandboxStatus reports a pod's state and address.
func (s *Server) PodSandboxStatus(_ context.Context, r *cri.PodSandboxStatusRequest) (*cri.PodSandboxStatusResponse, error) {
	p, err := s.findSandbox(r.GetPodSandboxId())
	if err != nil {
		return nil, err
	}
	st := &cri.PodSandboxStatus{
		Id: p.id, Metadata: p.config.GetMetadata(), State: p.state(), CreatedAt: p.created.UnixNano(),
		Labels: p.config.GetLabels(), Annotations: p.config.GetAnnotations(), Network: &cri.PodSandboxNetworkStatus{},
		Linux: &cri.LinuxPodSandboxStatus{Namespaces: &cri.Namespace{Options: p.config.GetLinux().GetSecurityContext().GetNamespaceOptions()}},
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.addr.IsValid() {
		st.Network.Ip = p.addr.String()
	}
	return &cri.PodSandboxStatusResponse{Status: st}, nil
}

// ListPodSandbox lists the pods the filter lets through.
func (s *Server) ListPodSandbox(_ context.Context, r *cri.ListPodSandboxRequest) (*cri.ListPodSandboxResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := r.GetFilter()
	out := &cri.ListPodSandboxResponse{}
	for _, p := range s.sandboxes {
		if (f.GetId() != "" && f.GetId() != p.id) || !matches(f.GetLabelSelector(), p.config.GetLabels()) {
			continue
		}
		if f.GetState() != nil && f.GetState().GetState() != p.state() {
			continue
		}
		out.Items = append(out.Items, &cri.PodSandbox{
			Id: p.id, Metadata: p.config.GetMetadata(), State: p.state(), CreatedAt: p.created.UnixNano(),
			Labels: p.config.GetLabels(), Annotations: p.config.GetAnnotations(),
		})
	}
	return out, nil
}

func matches(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return true
}
