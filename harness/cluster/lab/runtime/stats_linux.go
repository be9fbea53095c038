package runtime

import (
	"context"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"drydock.dev/drydock/harness/cluster/lab/process"
)

const nanosecondsPerTick = uint64(time.Second) / 100 // USER_HZ is 100 on every architecture Go runs on

// usage is what a process and its descendants take now.
type usage struct {
	cpu    uint64 // nanoseconds
	memory uint64 // bytes resident
	pids   uint64
}

// tree sums a process and everything below it.
func tree(all []process.Info, root int) usage {
	var u usage
	for _, p := range process.Tree(all, root) {
		u.cpu += p.Ticks * nanosecondsPerTick
		u.memory += p.RSS
		u.pids++
	}
	return u
}

func (c *container) stats(all []process.Info, now int64) *cri.ContainerStats {
	st := &cri.ContainerStats{Attributes: &cri.ContainerAttributes{
		Id: c.id, Metadata: c.config.GetMetadata(), Labels: c.config.GetLabels(), Annotations: c.config.GetAnnotations(),
	}}
	pid := c.pid()
	if pid == 0 {
		return st
	}
	u := tree(all, pid)
	st.Cpu = &cri.CpuUsage{Timestamp: now, UsageCoreNanoSeconds: &cri.UInt64Value{Value: u.cpu}}
	st.Memory = &cri.MemoryUsage{Timestamp: now, WorkingSetBytes: &cri.UInt64Value{Value: u.memory}, RssBytes: &cri.UInt64Value{Value: u.memory}}
	return st
}

// ContainerStats reports processor time and resident memory of a container from /proc.
func (s *Server) ContainerStats(_ context.Context, r *cri.ContainerStatsRequest) (*cri.ContainerStatsResponse, error) {
	c, err := s.findContainer(r.GetContainerId())
	if err != nil {
		return nil, err
	}
	return &cri.ContainerStatsResponse{Stats: c.stats(process.List(), time.Now().UnixNano())}, nil
}

// ListContainerStats reports the running containers the filter lets through.
func (s *Server) ListContainerStats(_ context.Context, r *cri.ListContainerStatsRequest) (*cri.ListContainerStatsResponse, error) {
	all, now := process.List(), time.Now().UnixNano()
	out := &cri.ListContainerStatsResponse{}
	f := r.GetFilter()
	for _, c := range s.selected(f.GetId(), f.GetPodSandboxId(), f.GetLabelSelector()) {
		if c.pid() != 0 {
			out.Stats = append(out.Stats, c.stats(all, now))
		}
	}
	return out, nil
}

// PodSandboxStats reports one pod.
func (s *Server) PodSandboxStats(_ context.Context, r *cri.PodSandboxStatsRequest) (*cri.PodSandboxStatsResponse, error) {
	p, err := s.findSandbox(r.GetPodSandboxId())
	if err != nil {
		return nil, err
	}
	return &cri.PodSandboxStatsResponse{Stats: s.podStats(p, process.List(), time.Now().UnixNano())}, nil
}

// ListPodSandboxStats reports the pods the filter lets through.
func (s *Server) ListPodSandboxStats(_ context.Context, r *cri.ListPodSandboxStatsRequest) (*cri.ListPodSandboxStatsResponse, error) {
	s.mu.Lock()
	var pods []*sandbox
	for _, p := range s.sandboxes {
		if f := r.GetFilter(); (f.GetId() == "" || f.GetId() == p.id) && matches(f.GetLabelSelector(), p.config.GetLabels()) {
			pods = append(pods, p)
		}
	}
	s.mu.Unlock()
	all, now := process.List(), time.Now().UnixNano()
	out := &cri.ListPodSandboxStatsResponse{}
	for _, p := range pods {
		out.Stats = append(out.Stats, s.podStats(p, all, now))
	}
	return out, nil
}

func (s *Server) podStats(p *sandbox, all []process.Info, now int64) *cri.PodSandboxStats {
	st := &cri.PodSandboxStats{
		Attributes: &cri.PodSandboxAttributes{Id: p.id, Metadata: p.config.GetMetadata(), Labels: p.config.GetLabels(), Annotations: p.config.GetAnnotations()},
		Linux:      &cri.LinuxPodSandboxStats{},
	}
	var sum usage
	for _, c := range s.containersOf(p.id) {
		pid := c.pid()
		if pid == 0 {
			continue
		}
		u := tree(all, pid)
		sum.cpu, sum.memory, sum.pids = sum.cpu+u.cpu, sum.memory+u.memory, sum.pids+u.pids
		st.Linux.Containers = append(st.Linux.Containers, c.stats(all, now))
	}
	st.Linux.Cpu = &cri.CpuUsage{Timestamp: now, UsageCoreNanoSeconds: &cri.UInt64Value{Value: sum.cpu}}
	st.Linux.Memory = &cri.MemoryUsage{Timestamp: now, WorkingSetBytes: &cri.UInt64Value{Value: sum.memory}}
	st.Linux.Process = &cri.ProcessUsage{Timestamp: now, ProcessCount: &cri.UInt64Value{Value: sum.pids}}
	return st
}

// OOMScores are the oom_score_adj that its kubelet has asked for a container's processes, by PID. What is below zero could not be given to them.
func (s *Server) OOMScores() map[int]int {
	const ofPause = -998 // of every pod's (podSandboxOOMScoreAdj of containerd and CRI-O)
	s.mu.Lock()
	roots := map[int]int{}
	for _, c := range s.containers {
		if pid := c.pid(); pid != 0 {
			roots[pid] = int(c.config.GetLinux().GetResources().GetOomScoreAdj())
		}
	}
	for _, p := range s.sandboxes {
		if p.pause != nil {
			roots[p.pause.Process.Pid] = ofPause
		}
	}
	s.mu.Unlock()
	scores, all := map[int]int{}, process.List()
	for root, score := range roots {
		for _, p := range process.Tree(all, root) {
			scores[p.PID] = score
		}
	}
	return scores
}
