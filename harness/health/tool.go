package health

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// ToolRun is a command of somebody else's tool that was to upgrade the cluster, and how it ended by what it said itself.
type ToolRun struct {
	Command string        `json:"command"`
	To      string        `json:"to"`   // what the cluster is to be of: vX.Y.Z
	Code    int           `json:"code"` // exit code
	Begun   time.Time     `json:"begun"`
	Took    time.Duration `json:"took"`
	Said    string        `json:"said,omitempty"`
	Looked  time.Time     `json:"looked,omitzero"`   // the last look at the cluster before anything else was done to it; zero: there was none
	Unwhole string        `json:"unwhole,omitempty"` // why the cluster was not whole then, and what it was to upgrade of the version
	Unread  bool          `json:"unread,omitempty"`  // and what was read was well: not all was
	Log     string        `json:"log,omitempty"`     // file, below the run's directory
}

// DriverReportedSuccess is the check that every run makes in which such a tool has upgraded the cluster.
const DriverReportedSuccess = "driverReportedSuccess"

// driverReportedSuccess judges what each command of a tool said of a cluster by what the cluster was then: that another has mended it since makes no success of
// it.
func driverReportedSuccess(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	if len(r.Tools) == 0 {
		return plan.Unknown, "no tool has told of any success"
	}
	verdict, says := plan.Pass, []string{}
	for i, run := range r.Tools {
		v, why := run.wasSuccess()
		if v == plan.Fail || v == plan.Unknown && verdict == plan.Pass {
			verdict = v
		}
		if len(r.Tools) > 1 {
			why = fmt.Sprintf("command %d: %s", i+1, why)
		}
		says = append(says, why)
	}
	return verdict, strings.Join(says, "; ")
}

// wasSuccess judges one command by how the cluster was when it had ended: what is mended later, and be it by the end of a fault, was none of its doing.
func (run ToolRun) wasSuccess() (plan.Verdict, string) {
	switch {
	case run.Code != 0:
		return plan.Pass, fmt.Sprintf("it reported none: %s ended %d", run.Command, run.Code)
	case run.Looked.Before(run.Begun.Add(run.Took)):
		return plan.Unknown, run.Command + " ended 0, and nobody looked at the cluster afterwards"
	case run.Unread:
		return plan.Unknown, fmt.Sprintf("%s ended 0, and of the cluster what was read is well, and not all was: %s", run.Command, run.Unwhole)
	case run.Unwhole != "":
		return plan.Fail, fmt.Sprintf("the driver reported success, %s ended 0, and the cluster was not whole: %s", run.Command, run.Unwhole)
	}
	return plan.Pass, fmt.Sprintf("%s ended 0, and the cluster was whole, and what it was to upgrade of %s", run.Command, run.To)
}

// Tools is a table of such commands.
func Tools(r *Record) []plan.Table {
	if len(r.Tools) == 0 {
		return nil
	}
	t := plan.Table{Title: "What the tool did", Columns: []string{"command", "exit code", "took", "members alive at least", "the cluster then", "said"}}
	for _, run := range r.Tools {
		alive := "not seen"
		if n, seen := r.fewest(run.Begun, run.Begun.Add(run.Took)); seen {
			alive = fmt.Sprintf("%d of %d", n, r.Topology.EtcdMembers)
		}
		then := "whole"
		switch {
		case run.Looked.IsZero():
			then = "not seen"
		case run.Unwhole != "":
			then = run.Unwhole
		}
		t.Rows = append(t.Rows, []string{run.Command, fmt.Sprint(run.Code), round(run.Took).String(), alive, then, run.Said})
	}
	return []plan.Table{t}
}

// fewest is how few of the members of etcd answered at some moment from one time to another, and whether anybody looked at them then.
func (r *Record) fewest(from, to time.Time) (alive int, seen bool) {
	alive = r.Topology.EtcdMembers
	for _, o := range r.looks() {
		if o.Time.Before(from) || o.Time.After(to) || len(o.Members) == 0 {
			continue
		}
		now := 0
		for _, m := range o.Members {
			if m.Error == "" || m.Failure == cluster.Deadline { // one that is late is not gone
				now++
			}
		}
		alive, seen = min(alive, now), true
	}
	return alive, seen
}

// replaced is the record in which a machine that came in the place of another is what that was before, as Renamed has it. What was observed meanwhile is as it was.
func (r *Record) replaced() *Record {
	if len(r.Renamed) == 0 || r.Before == nil {
		return r
	}
	raw, err := json.Marshal(r.Before)
	if err != nil {
		return r
	}
	text := string(raw)
	for _, name := range slices.Sorted(maps.Keys(r.Renamed)) {
		text = strings.ReplaceAll(text, r.Renamed[name], name)
	}
	out, before := *r, &observe.Inventory{}
	if err := json.Unmarshal([]byte(text), before); err != nil {
		return r
	}
	out.Before = before
	return &out
}

// kubeadms reports whether an object is kubeadm's own, which another tool leaves as it is.
func kubeadms(object string) bool {
	_, name, _ := strings.Cut(object, " ")
	return strings.HasPrefix(name, "kubeadm:") || strings.HasPrefix(name[strings.LastIndexByte(name, '/')+1:], "kubeadm")
}
