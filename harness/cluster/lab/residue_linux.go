package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"drydock.dev/drydock/harness/cluster/lab/labinit"
	"drydock.dev/drydock/harness/cluster/lab/process"
)

// Residue looks for what a lab that ended could have left on the host: its PID 1; processes in its PID namespace or one below; whoever
// holds its network namespace, and with it its interfaces, or its mounts, by a process, an open file or a mount; mounts below its
// directory; and its loopback port. Of other users' processes it sees what /proc shows. Without a trace in lab.json, because the lab never
// came so far or its directory is gone, it looks for the PID 1 and mounts only.
func Residue(dir string) ([]string, error) {
	left, err := mountsBelow(dir)
	if err != nil {
		return nil, err
	}
	left = append(left, firsts(dir)...)
	cfg, err := labinit.ReadConfig(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && cfg.Trace == (labinit.Trace{}) {
		return left, nil
	}
	if err != nil {
		return nil, fmt.Errorf("residue: %w", err)
	}
	left = append(left, remains(cfg.Trace)...)
	return append(left, portResidue(cfg.APIPort)...), nil
}

// firsts lists the PID 1s of the lab.
func firsts(dir string) (left []string) {
	for _, p := range process.List() {
		raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID))
		if strings.HasSuffix(string(raw), "\x00lab-init\x00"+dir+"\x00") {
			left = append(left, fmt.Sprintf("process %d (%s), PID 1 of the lab", p.PID, p.Name))
		}
	}
	return left
}

// inhabitants lists the processes that the lab began: its PID 1 and those in its PID namespace or one below.
func inhabitants(dir string) []string {
	left := firsts(dir)
	if cfg, err := labinit.ReadConfig(dir); err == nil && cfg.Trace != (labinit.Trace{}) {
		inside, _ := within(residents(), "pid", cfg.Trace.PID, cfg.Trace.Start)
		left = append(left, inside...)
	}
	return left
}

// mountsBelow lists the mounts on the directory and below it, in this process's mount namespace.
func mountsBelow(dir string) ([]string, error) {
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("residue: %w", err)
	}
	var left []string
	for line := range strings.Lines(string(raw)) {
		const point = 4 // proc_pid_mountinfo(5)
		if f := strings.Fields(line); len(f) > point && below(unescape(f[point]), dir) {
			left = append(left, "mount "+strings.TrimSpace(line))
		}
	}
	return left, nil
}

func below(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

// unescape undoes what mountinfo does to spaces, tabs, newlines and backslashes in a path.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// resident is a process and the namespaces it is in.
type resident struct {
	process.Info
	first bool // PID 1 of its PID namespace
	in    map[string][]uint64
}

// remains looks for holders of a lab's namespaces.
func remains(t labinit.Trace) (left []string) {
	all := residents()
	names := map[string]string{} // as /proc names an open namespace
	for kind, inode := range map[string]uint64{"pid": t.PID, "net": t.Net, "mnt": t.Mount} {
		inside, mine := within(all, kind, inode, t.Start)
		if mine {
			names[kind] = fmt.Sprintf("%s:[%d]", kind, inode)
			left = append(left, inside...)
		}
	}
	for _, r := range all {
		left = append(left, r.opened(names)...)
	}
	slices.Sort(left)
	return append(left, pinned(names)...)
}

// within lists those in a namespace. It is not the lab's when another PID 1 than the one that began then is in it: the kernel has given
// the number away.
func within(all []resident, kind string, inode, start uint64) (left []string, mine bool) {
	if slices.ContainsFunc(all, func(r resident) bool { return r.first && r.Start != start && r.in[kind][0] == inode }) {
		return nil, false
	}
	for _, r := range all {
		if slices.Contains(r.in[kind], inode) {
			left = append(left, fmt.Sprintf("process %d (%s) in its namespace %s:[%d]", r.PID, r.Name, kind, inode))
		}
	}
	return left, true
}

// residents are all processes that run.
func residents() (all []resident) {
	for _, p := range process.List() {
		if p.State != "Z" { // of such a one nothing is left but that its parent has not asked
			all = append(all, look(p))
		}
	}
	return all
}

// look reads what /proc shows of a process: nothing of one that has ended meanwhile, and little of one of another user.
func look(p process.Info) resident {
	dir := filepath.Join("/proc", strconv.Itoa(p.PID))
	r := resident{Info: p, in: map[string][]uint64{"pid": ancestry(dir), "net": {inode(dir + "/ns/net")}, "mnt": {inode(dir + "/ns/mnt")}}}
	raw, _ := os.ReadFile(filepath.Join(dir, "status"))
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "NSpid:" {
			r.first = f[len(f)-1] == "1"
		}
	}
	return r
}

func inode(path string) uint64 {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return 0
	}
	return st.Ino
}

// ancestry is a process's PID namespace and, as far as this process may see, those above it (ioctl_nsfs(2)); 0 when it may see none.
func ancestry(dir string) []uint64 {
	fd, err := unix.Open(dir+"/ns/pid", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return []uint64{0}
	}
	var out []uint64
	for {
		var st unix.Stat_t
		err := unix.Fstat(fd, &st)
		above, noneAbove := unix.IoctlRetInt(fd, unix.NS_GET_PARENT)
		_ = unix.Close(fd)
		out = append(out, st.Ino)
		if err != nil || noneAbove != nil {
			return out
		}
		fd = above
	}
}

// opened lists those of the namespaces that the process holds by an open file.
func (r resident) opened(names map[string]string) (left []string) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", r.PID))
	for _, f := range files {
		target, err := os.Readlink(f)
		for _, name := range names {
			if err == nil && target == name {
				left = append(left, fmt.Sprintf("process %d (%s), which has its namespace %s open", r.PID, r.Name, name))
			}
		}
	}
	return left
}

// pinned lists the mounts of this process's mount namespace that keep a namespace, as `ip netns` does.
func pinned(names map[string]string) (left []string) {
	raw, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(raw)) {
		for _, name := range names {
			if strings.Contains(line, " "+name+" ") {
				left = append(left, "mount "+strings.TrimSpace(line))
			}
		}
	}
	return left
}

// portResidue tries to take the port the lab had; somebody else may have it by now, so only a free one proves anything.
func portResidue(port int) []string {
	if port == 0 {
		return nil
	}
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		return []string{fmt.Sprintf("port %d on 127.0.0.1", port)}
	}
	_ = l.Close()
	return nil
}
