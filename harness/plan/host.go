package plan

import "fmt"

// Host is what the host of the harness was like, and how much of the run it kept the harness from seeing.
type Host struct {
	Stalls              int     `json:"stalls"`
	LongestStallSeconds float64 `json:"longestStallSeconds"`
	BlindSeconds        float64 `json:"blindSeconds"` // in which what was not answered counts for nothing
	ClockJumps          int     `json:"clockJumps"`
	OOMKills            int     `json:"oomKills"`
	MinAvailable        uint64  `json:"minAvailableBytes"` // of memory
	Load                float64 `json:"maxLoad"`           // of a minute
	CPU                 float64 `json:"maxCPUPressure"`    // per cent of 10 s in which something waited for a processor
	IO                  float64 `json:"maxIOPressure"`
	Memory              float64 `json:"maxMemoryPressure"`
}

// String is the host in one line.
func (h *Host) String() string {
	const gibibyte = 1 << 30
	s := fmt.Sprintf("%.1f s not seen (%d stalls, the longest %.1f s); load %.1f, waiting for processors %.0f %%, for disks %.0f %%, for memory %.0f %%; at the least %.1f GiB free",
		h.BlindSeconds, h.Stalls, h.LongestStallSeconds, h.Load, h.CPU, h.IO, h.Memory, float64(h.MinAvailable)/gibibyte)
	if h.ClockJumps > 0 {
		s += fmt.Sprintf("; its clock jumped %d times", h.ClockJumps)
	}
	if h.OOMKills > 0 {
		s += fmt.Sprintf("; it killed %d processes for want of memory", h.OOMKills)
	}
	return s
}

// merge takes the worse of two cells' looks at the same host.
func (h *Host) merge(o *Host) *Host {
	switch {
	case h == nil:
		return o
	case o == nil:
		return h
	}
	return &Host{
		Stalls: max(h.Stalls, o.Stalls), LongestStallSeconds: max(h.LongestStallSeconds, o.LongestStallSeconds), BlindSeconds: max(h.BlindSeconds, o.BlindSeconds),
		ClockJumps: max(h.ClockJumps, o.ClockJumps), OOMKills: max(h.OOMKills, o.OOMKills), MinAvailable: min(h.MinAvailable, o.MinAvailable),
		Load: max(h.Load, o.Load), CPU: max(h.CPU, o.CPU), IO: max(h.IO, o.IO), Memory: max(h.Memory, o.Memory),
	}
}
