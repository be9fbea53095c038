// Package memory has a machine's memory run out: a program of the machine takes it, and where the machine's kernel is the host's, which has more, a
// Killer does what a kernel of the machine's own would have done (mm/oom_kill.c of Linux).
package memory

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Room is how much more the programs of a machine without a kernel of its own may take, once its memory is being filled, before it has run out.
const Room = 256 << 20

// Process is what the kernel weighs of a process. Sizes are in bytes.
type Process struct {
	PID     int
	Name    string
	Score   int    // oom_score_adj of proc(5): -1000 spares it
	Virtual uint64 // of these the kernel tells, and weighs the rest
	Anon    uint64
	File    uint64
	Shmem   uint64
	Swap    uint64
	Tables  uint64
}

// Held is what a process has of the memory that no other can be given: what files are mapped into can be read again.
func (p Process) Held() uint64 { return p.Anon + p.Shmem }

// spared is the score of a process that is never chosen.
const spared = -1000

// badness is oom_badness of mm/oom_kill.c: what ending the process would free, and a thousandth of all memory for each point of its score.
func (p Process) badness(total uint64) int64 {
	return int64(p.Anon+p.File+p.Shmem+p.Swap+p.Tables) + int64(p.Score)*int64(total/1000)
}

// Victim is the process that a kernel with that much memory would end; false: there is none it may.
func Victim(all []Process, total uint64) (Process, bool) {
	may := slices.DeleteFunc(slices.Clone(all), func(p Process) bool { return p.Score == spared })
	if len(may) == 0 {
		return Process{}, false
	}
	return slices.MaxFunc(may, func(a, b Process) int { return cmp.Compare(a.badness(total), b.badness(total)) }), true
}

// String is the kernel's own line about a process it ends (__oom_kill_process).
func (p Process) String() string {
	kb := func(n uint64) string { return fmt.Sprintf("%dkB", n>>10) }
	return fmt.Sprintf("Killed process %d (%s) total-vm:%s, anon-rss:%s, file-rss:%s, shmem-rss:%s, UID:0 pgtables:%s oom_score_adj:%d",
		p.PID, p.Name, kb(p.Virtual), kb(p.Anon), kb(p.File), kb(p.Shmem), kb(p.Tables), p.Score)
}

// parseStatus reads /proc/PID/status (proc_pid_status(5)); false for a process that has no memory: one of the kernel's, or one that has ended.
func parseStatus(raw []byte) (p Process, ok bool) {
	sizes := map[string]*uint64{
		"VmSize": &p.Virtual, "RssAnon": &p.Anon, "RssFile": &p.File, "RssShmem": &p.Shmem, "VmSwap": &p.Swap, "VmPTE": &p.Tables,
	}
	for lines := bufio.NewScanner(bytes.NewReader(raw)); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimSpace(value)
		switch size := sizes[key]; {
		case key == "Name":
			p.Name = value
		case key == "Pid":
			p.PID, _ = strconv.Atoi(value)
		case size != nil:
			kb, _ := strconv.ParseUint(strings.TrimSuffix(value, " kB"), 10, 64)
			*size, ok = kb<<10, true
		}
	}
	return p, ok
}
