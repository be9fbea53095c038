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
	Log     string        `json:"log,omitempty"` // file, below the run's directory
}

// DriverReportedSuccess is the check that every run makes in which such a tool has upgraded the cluster.
const DriverReportedSuccess = "driverReportedSuccess"

// driverReportedSuccess judges what the tool's last command said of a cluster by what the cluster is.
func driverReportedSuccess(r *Record, _ *Window, p Params) (plan.Verdict, string) {
	if len(r.Tools) == 0 {
		return plan.Unknown, "no tool has told of any success"
	}
	last := r.Tools[len(r.Tools)-1]
	if last.Code != 0 {
		return plan.Pass, fmt.Sprintf("it reported none: %s ended %d", last.Command, last.Code)
	}
	if r.Final.Time.Before(last.Begun.Add(last.Took)) {
		return plan.Unknown, last.Command + " ended 0, and nobody looked at the cluster afterwards"
	}
	what := fmt.Sprintf("the driver reported success, %s ended 0, and ", last.Command)
	if r.Unwhole != "" {
		return plan.Fail, what + "the cluster is not whole: " + r.Unwhole
	}
	p.Version = last.To
	verdict, why := versionsAre(r, nil, p)
	if verdict != plan.Pass {
		return verdict, what + why
	}
	return verdict, fmt.Sprintf("%s ended 0, and the cluster is whole and of %s", last.Command, last.To)
}

// Tools is a table of such commands.
func Tools(r *Record) []plan.Table {
	if len(r.Tools) == 0 {
		return nil
	}
	t := plan.Table{Title: "What the tool did", Columns: []string{"command", "exit code", "took", "members alive at least", "said"}}
	for _, run := range r.Tools {
		alive := "not seen"
		if n, seen := r.fewest(run.Begun, run.Begun.Add(run.Took)); seen {
			alive = fmt.Sprintf("%d of %d", n, r.Topology.EtcdMembers)
		}
		t.Rows = append(t.Rows, []string{run.Command, fmt.Sprint(run.Code), round(run.Took).String(), alive, run.Said})
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
