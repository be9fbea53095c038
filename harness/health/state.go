package health

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// knownState: a kernel that has ended a process for want of memory leaves a machine in a state that nobody knows, until all that it ran runs again. What
// came instead of it, or stayed, is no better known.
func knownState(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	if v, why := r.compared(); v != plan.Pass {
		return v, why
	}
	for when, in := range map[string]*observe.Inventory{"before": r.Before, "after": r.After} {
		if len(in.Machines) == 0 {
			return plan.Unknown, "what machines run was not read " + when + ": " + in.Unseen
		}
	}
	var why []string
	programs := 0
	for _, m := range slices.Sorted(maps.Keys(r.Before.Machines)) {
		was := r.Before.Machines[m]
		is, there := r.After.Machines[m]
		if !there {
			why = append(why, m+" is gone")
			continue
		}
		programs += len(was.Processes)
		why = append(why, otherProcesses(m, was.Processes, is.Processes)...)
		why = append(why, others(was.Mounts, is.Mounts, "%s is no longer mounted on "+m, "%s is mounted on "+m+" and was not before")...)
		why = append(why, others(was.Pods, is.Pods, "pod %s is not ready on "+m+" any more", "pod %s is on "+m+" and was not before")...)
	}
	if len(why) > 0 {
		return plan.Fail, strings.Join(why, "; ")
	}
	return plan.Pass, fmt.Sprintf("%d machines run the %d programs they ran, with the same mounts and pods", len(r.Before.Machines), programs)
}

// otherProcesses lists what has run for a while before and does not run after, and what has for a while after and did not run before.
func otherProcesses(machine string, was, is map[string][]float64) []string {
	const told = 120          // of a command line
	const ran, stays = 1., 5. // seconds: whoever looks, and what a program starts in passing, is over by then
	var out []string
	for _, line := range slices.Sorted(maps.Keys(was)) {
		if w, n := lasting(was[line], ran), len(is[line]); n < w {
			out = append(out, fmt.Sprintf("%s runs %d instead of %d of %q", machine, n, w, line[:min(told, len(line))]))
		}
	}
	for _, line := range slices.Sorted(maps.Keys(is)) {
		if w, n := len(was[line]), lasting(is[line], stays); n > w {
			out = append(out, fmt.Sprintf("%s runs %d of %q and ran %d", machine, n, line[:min(told, len(line))], w))
		}
	}
	return out
}

// lasting counts those that have run for so many seconds.
func lasting(ages []float64, least float64) (n int) {
	for _, a := range ages {
		if a >= least {
			n++
		}
	}
	return n
}

// others lists what was and is not, and what is and was not.
func others(was, is []string, gone, come string) []string {
	var out []string
	for _, s := range was {
		if !slices.Contains(is, s) {
			out = append(out, fmt.Sprintf(gone, s))
		}
	}
	for _, s := range is {
		if !slices.Contains(was, s) {
			out = append(out, fmt.Sprintf(come, s))
		}
	}
	return out
}
