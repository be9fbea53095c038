// Package runtime is the process runtime: a CRI v1 server that runs a pod's containers as plain processes, each with its own
// mount and PID namespace and the network namespace of its pod. Images are a table from references to binaries.
// What it leaves out, it refuses: running as another user, host ports without host networking, unknown images.
package runtime

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/grpc"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"

	"drydock.dev/drydock/harness/cluster/lab/process"
)

// Config is what a machine tells its runtime.
type Config struct {
	Socket   string // where the kubelet connects
	StateDir string // container roots and resolv.conf files; emptied at start, as after a reboot nothing runs
	Releases string // release cache: PRODUCT/vX.Y.Z/NAME
	Program  string // the drydock binary
	HeldDir  string // a file NAME there keeps the program NAME from starting
	PodNet   string // all pods of the cluster: not masqueraded
	Table    *process.Table
	// PullsHeld is a file: while it exists no image is pulled, and only those are there that containers run by.
	PullsHeld string
	// MountDev and MountProc make a container's /dev and /proc as harmless as the machine's.
	MountDev, MountProc func(string) error
	// Announce tells the lab that this machine has a pod range.
	Announce func(ctx context.Context, cidr string) error
}

// Server is the runtime service and the image service.
type Server struct {
	cri.UnimplementedRuntimeServiceServer
	cri.UnimplementedImageServiceServer
	cfg       Config
	streaming streaming.Server
	network   *podNetwork

	mu         sync.Mutex
	sandboxes  map[string]*sandbox
	containers map[string]*container
}

// New makes a runtime that does not listen yet.
func New(cfg Config) (*Server, error) {
	if err := os.RemoveAll(filepath.Join(cfg.StateDir, "run")); err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	for _, d := range []string{"run/containers", "run/sandboxes"} {
		if err := os.MkdirAll(filepath.Join(cfg.StateDir, d), 0o755); err != nil {
			return nil, fmt.Errorf("runtime: %w", err)
		}
	}
	s := &Server{cfg: cfg, sandboxes: map[string]*sandbox{}, containers: map[string]*container{}}
	s.network = &podNetwork{file: filepath.Join(cfg.StateDir, "pod-cidr"), announce: cfg.Announce}
	streamConfig := streaming.DefaultConfig
	streamConfig.Addr = "127.0.0.1:0"
	var err error
	if s.streaming, err = streaming.NewServer(streamConfig, streams{s}); err != nil {
		return nil, fmt.Errorf("runtime: streaming: %w", err)
	}
	return s, nil
}

// Start listens and serves in the background until the context ends.
func (s *Server) Start(ctx context.Context) error {
	if err := os.Remove(s.cfg.Socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("runtime: %w", err)
	}
	if err := s.network.restore(ctx); err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", s.cfg.Socket)
	if err != nil {
		return fmt.Errorf("runtime: %w", err)
	}
	server := grpc.NewServer()
	cri.RegisterRuntimeServiceServer(server, s)
	cri.RegisterImageServiceServer(server, s)
	go func() { _ = server.Serve(l) }()
	go func() { _ = s.streaming.Start(true) }()
	return nil
}

// StopAll ends every container as an orderly shutdown does: SIGTERM, then SIGKILL after a grace period.
func (s *Server) StopAll(ctx context.Context) error {
	s.mu.Lock()
	all := make([]*container, 0, len(s.containers))
	for _, c := range s.containers {
		all = append(all, c)
	}
	s.mu.Unlock()
	const grace = 2 * time.Second // etcd closes its files at once; an API server that has lost it would linger to the end
	var wg sync.WaitGroup
	for _, c := range all {
		wg.Go(func() { c.stop(ctx, grace) })
	}
	wg.Wait()
	return ctx.Err()
}

// Version names the runtime.
func (s *Server) Version(context.Context, *cri.VersionRequest) (*cri.VersionResponse, error) {
	return &cri.VersionResponse{Version: "0.1.0", RuntimeName: "drydock", RuntimeVersion: "1.0.0", RuntimeApiVersion: "v1"}, nil
}

// Status reports the runtime and its network ready; a pod that needs an address before the node has a range fails by itself.
func (s *Server) Status(context.Context, *cri.StatusRequest) (*cri.StatusResponse, error) {
	return &cri.StatusResponse{Status: &cri.RuntimeStatus{Conditions: []*cri.RuntimeCondition{
		{Type: cri.RuntimeReady, Status: true}, {Type: cri.NetworkReady, Status: true},
	}}}, nil
}

// RuntimeConfig says that cgroups, which this runtime does not use, are not systemd's.
func (s *Server) RuntimeConfig(context.Context, *cri.RuntimeConfigRequest) (*cri.RuntimeConfigResponse, error) {
	return &cri.RuntimeConfigResponse{Linux: &cri.LinuxRuntimeConfiguration{CgroupDriver: cri.CgroupDriver_CGROUPFS}}, nil
}

// UpdateRuntimeConfig receives the node's pod range.
func (s *Server) UpdateRuntimeConfig(ctx context.Context, r *cri.UpdateRuntimeConfigRequest) (*cri.UpdateRuntimeConfigResponse, error) {
	if cidr := r.GetRuntimeConfig().GetNetworkConfig().GetPodCidr(); cidr != "" {
		if err := s.network.setRange(ctx, cidr); err != nil {
			return nil, err
		}
	}
	return &cri.UpdateRuntimeConfigResponse{}, nil
}

// UpdateContainerResources accepts and does nothing: processes of a lab share the machine they run on.
func (s *Server) UpdateContainerResources(context.Context, *cri.UpdateContainerResourcesRequest) (*cri.UpdateContainerResourcesResponse, error) {
	return &cri.UpdateContainerResourcesResponse{}, nil
}
