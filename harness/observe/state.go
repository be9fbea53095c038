package observe

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubectl/pkg/util/podutils"

	"drydock.dev/drydock/harness/cluster"
)

// MachineState is what a machine is doing: a machine that is well has it again after a boot.
type MachineState struct {
	Processes map[string][]float64 `json:"processes"` // by command line, for how many seconds each has run; one that is stopped (SIGSTOP) does not. Whoever looks starts some himself
	Mounts    []string             `json:"mounts"`    // PATH (FILE SYSTEM), but those of pods and containers
	Pods      []string             `json:"pods"`      // NAMESPACE/NAME of those that are ready
}

// State reads what the machine's programs see of it.
func State(ctx context.Context, m cluster.Machine) (MachineState, error) {
	// One program reads it all: what a shell would start for each file were itself many processes. Some end meanwhile.
	out, err := cluster.Shell(ctx, m, "LC_ALL=C grep -aH '' /proc/uptime /proc/self/mountinfo /proc/[0-9]*/stat /proc/[0-9]*/cmdline 2>/dev/null || true")
	if err != nil {
		return MachineState{}, err
	}
	st := parseState(out)
	if len(st.Processes) == 0 || len(st.Mounts) == 0 {
		return st, fmt.Errorf("what %s runs cannot be read from its /proc", m.Name())
	}
	return st, nil
}

func parseState(out string) MachineState {
	st := MachineState{Processes: map[string][]float64{}}
	uptime, lines, started, stopped := 0.0, map[string]string{}, map[string]float64{}, map[string]bool{}
	for row := range strings.Lines(out) {
		file, text, ok := strings.Cut(strings.TrimSuffix(row, "\n"), ":")
		if !ok {
			continue
		}
		pid := path.Base(path.Dir(file))
		switch path.Base(file) {
		case "uptime":
			uptime, _ = strconv.ParseFloat(strings.Fields(text + " ")[0], 64)
		case "mountinfo":
			if mount := mountOf(text); mount != "" {
				st.Mounts = append(st.Mounts, mount)
			}
		case "stat":
			const startTime, perSecond = 19, 100 // proc_pid_stat(5), counted from the state, which is behind the name; USER_HZ
			if f := strings.Fields(text[strings.LastIndexByte(text, ')')+1:]); len(f) > startTime {
				ticks, _ := strconv.ParseFloat(f[startTime], 64)
				started[pid], stopped[pid] = ticks/perSecond, f[0] == "T"
			}
		case "cmdline":
			lines[pid] += strings.ReplaceAll(text, "\x00", " ")
		}
	}
	for pid, line := range lines { // a process of the kernel's, and one that has ended, has none
		if line = strings.TrimSpace(line); line == "" || stopped[pid] {
			continue
		}
		age := 0.0
		if begun, known := started[pid]; known {
			age = max(0, uptime-begun)
		}
		st.Processes[line] = append(st.Processes[line], age)
	}
	slices.Sort(st.Mounts)
	return st
}

// mountOf reads a line of mountinfo (proc_pid_mountinfo(5)); empty for what comes and goes with pods and their containers.
func mountOf(line string) string {
	const point = 4
	f := strings.Fields(line)
	kind := slices.Index(f, "-") + 1
	if len(f) <= point || kind == 0 || kind >= len(f) {
		return ""
	}
	for _, dir := range []string{"/var/lib/kubelet/pods/", "/run/containerd/", "/var/lib/containerd/", "/run/netns/", "/var/run/netns/", "/var/lib/containers/", "/run/crio/"} {
		if strings.HasPrefix(f[point]+"/", dir) {
			return ""
		}
	}
	return fmt.Sprintf("%s (%s)", f[point], f[kind])
}

// states reads all machines, and whose pods are ready on them; an error says what could not be read, and nothing else of the inventory needs it.
func (t *Target) states(ctx context.Context, pods []corev1.Pod) (map[string]MachineState, error) {
	out := map[string]MachineState{}
	for _, m := range t.Cluster.Machines() {
		st, err := State(ctx, m)
		if err != nil {
			return nil, err
		}
		st.Pods = readyOn(m.Name(), pods)
		out[m.Name()] = st
	}
	return out, nil
}

// readyOn are the pods that are ready on a machine, but a Job's: those end, and others come, while nobody does anything.
func readyOn(machine string, pods []corev1.Pod) (out []string) {
	for i := range pods {
		p := &pods[i]
		owner := metav1.GetControllerOf(p)
		if p.Spec.NodeName == machine && podutils.IsPodReady(p) && (owner == nil || owner.Kind != "Job") {
			out = append(out, p.Namespace+"/"+p.Name)
		}
	}
	slices.Sort(out)
	return out
}
