package cluster

import "fmt"

// Computer is the host of a run.
type Computer struct {
	System     string `json:"system"` // its own name for itself
	Kernel     string `json:"kernel"`
	Processor  string `json:"processor"`
	Processors int    `json:"processors"`
	Memory     uint64 `json:"memoryBytes"`
}

// String is the host in one line.
func (c Computer) String() string {
	const gibibyte = 1 << 30
	return fmt.Sprintf("%s, Linux %s, %d × %s, %.1f GiB", c.System, c.Kernel, c.Processors, c.Processor, float64(c.Memory)/gibibyte)
}
