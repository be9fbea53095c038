package experiment

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/upgrade"
	"drydock.dev/drydock/harness/upgrade/replace"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func second(s float64) time.Time { return epoch.Add(time.Duration(s * float64(time.Second))) }

// stepsOf is the plan of an upgrade of one control plane and two workers, or of a user's own program.
func stepsOf(t *testing.T, change func(s *upgrade.Spec)) []*plan.Step {
	t.Helper()
	spec := upgrade.Spec{To: "v1.36"}
	if change != nil {
		change(&spec)
	}
	spec, err := spec.Complete()
	if err != nil {
		t.Fatal(err)
	}
	u, err := upgrade.New(spec, "v1.35.4", cluster.Topology{ControlPlanes: 1, Workers: 2, Etcd: cluster.EtcdStacked, EtcdMembers: 1})
	if err == nil {
		err = replace.Take(u)
	}
	if err != nil {
		t.Fatal(err)
	}
	return u.Steps()
}

// told is a window in a few words: its machines and components, from when to when.
func told(w health.Window) string {
	what := "all"
	if len(w.Components) > 0 {
		what = strings.Join(w.Components, "+")
	}
	if w.AtMost > 0 {
		what += fmt.Sprintf(" %d at a time", w.AtMost)
	}
	if w.Until != "" {
		what += " until " + w.Until
	}
	end := "open"
	if !w.Cleared.IsZero() {
		end = fmt.Sprint(w.Cleared.Sub(epoch).Seconds())
	}
	return fmt.Sprintf("%s %s %v-%s", strings.Join(w.Machines, "+"), what, w.Began.Sub(epoch).Seconds(), end)
}

func TestWindowsAreAsNarrowAsTheirSteps(t *testing.T) {
	const cp = "control-plane-1 etcd+kube-apiserver+kube-controller-manager+kube-scheduler "
	ran := func(name, status string, begin, end float64) plan.StepDone {
		return plan.StepDone{Name: name, Status: status, Started: second(begin), DurationSeconds: end - begin}
	}
	replaced := func(s *upgrade.Spec) { s.Strategy = upgrade.Replace }
	for name, c := range map[string]struct {
		spec func(s *upgrade.Spec)
		done []plan.StepDone
		want []string
	}{
		"drain, kubeadm on a worker": {nil, []plan.StepDone{ran("control-plane/1/drain", "done", 1, 2), ran("worker/1/drain", "done", 3, 4), ran("worker/1/kubeadm", "done", 4, 5)}, nil},
		"kubeadm on a control plane": {nil, []plan.StepDone{ran("control-plane/1/kubeadm", "done", 1, 9)}, []string{cp + "1-9"}},
		"a kubelet, until its gate": {
			nil, []plan.StepDone{ran("worker/1/kubelet", "done", 1, 2), ran("worker/1/gate", "done", 4, 9)},
			[]string{"worker-1 kubelet 1-4", "worker-1 kubelet 4-9"},
		},
		"a control plane's kubelet": {
			nil, []plan.StepDone{ran("control-plane/1/kubelet", "done", 1, 2), ran("control-plane/1/gate", "done", 2, 9)},
			[]string{"control-plane-1 kubelet 1-2", cp + "1-2", "control-plane-1 kubelet 2-9", cp + "2-9"},
		},
		"skipped, never run":             {nil, []plan.StepDone{ran("control-plane/1/kubeadm", "skipped", 1, 2), {Name: "control-plane/1/gate", Status: "skipped"}}, nil},
		"killed, and done by the next":   {nil, []plan.StepDone{ran("control-plane/1/kubeadm", killed, 1, 2), ran("control-plane/1/kubeadm", "done", 8, 20)}, []string{cp + "1-8", cp + "8-20"}},
		"ended, then killed, then later": {nil, []plan.StepDone{ran("control-plane/1/kubeadm", "done", 1, 9), ran("control-plane/1/kubeadm", "skipped", 30, 31), ran("worker/1/gate", "done", 40, 50)}, []string{cp + "1-9", "worker-1 kubelet 40-50"}},
		"killed, and found done":         {nil, []plan.StepDone{ran("worker/1/gate", killed, 1, 2), ran("worker/1/kubelet", "skipped", 8, 9)}, []string{"worker-1 kubelet 1-9"}},
		"ended, and gone on with later":  {nil, []plan.StepDone{ran("worker/1/kubelet", "done", 1, 2), ran("worker/1/kubelet", "skipped", 8, 9), ran("worker/1/gate", "done", 12, 15)}, []string{"worker-1 kubelet 1-12", "worker-1 kubelet 12-15"}},
		"ended, and found well later":    {nil, []plan.StepDone{ran("worker/1/kubelet", "done", 1, 2), ran("worker/1/kubelet", "skipped", 8, 9), ran("worker/1/gate", "skipped", 10, 11), ran("worker/1/gate", "done", 30, 31)}, []string{"worker-1 kubelet 1-11", "worker-1 kubelet 30-31"}},
		"killed, and nobody came":        {nil, []plan.StepDone{ran("worker/1/kubelet", killed, 1, 2), ran("worker/2/kubelet", "done", 5, 6), ran("worker/2/gate", "done", 6, 7)}, []string{"worker-1 kubelet 1-open", "worker-2 kubelet 5-6", "worker-2 kubelet 6-7"}},
		"killed, and none was missing":   {replaced, []plan.StepDone{ran("control-plane/1/deploy", killed, 1, 2), ran("missing", "skipped", 5, 6), ran("control-plane/1/delete", "skipped", 7, 8), ran("control-plane/1/deploy", "skipped", 8, 20), ran("control-plane/1/carry", "done", 20, 21), ran("control-plane/1/gate", "done", 21, 30)}, []string{"control-plane-1 all 1-20", "control-plane-1 all 20-21", "control-plane-1 all 21-30"}},
		"failed, and rolled back":        {nil, []plan.StepDone{ran("control-plane/1/kubeadm", "failed", 1, 5), ran("control-plane/1/rollback", "done", 7, 9)}, []string{cp + "1-7", "control-plane-1 kubelet 7-9", cp + "7-9"}},
		"replaced by a new machine": {
			func(s *upgrade.Spec) { s.Workers = upgrade.Surge },
			[]plan.StepDone{ran("worker/1/drain", "done", 0, 1), ran("worker/1/remove", "done", 1, 2), ran("worker/1/add", "done", 3, 8), ran("worker/1/gate", "done", 8, 9)},
			[]string{"worker-1 all 1-3", "worker-1 all 3-8", "worker-1 all 8-9"},
		},
		"somebody else's program, for control planes": {
			func(s *upgrade.Spec) {
				s.Strategy, s.Command, s.ControlPlaneOnly = upgrade.Command, []string{"x"}, true
			},
			[]plan.StepDone{ran("command", "done", 1, 60)}, []string{"control-plane-1 all 1 at a time until v1.36.3 1-60"},
		},
		"somebody else's program": {
			func(s *upgrade.Spec) { s.Strategy, s.Command = upgrade.Command, []string{"x"} },
			[]plan.StepDone{ran("command", "done", 1, 60)}, []string{"control-plane-1 all 1 at a time until v1.36.3 1-60", "worker-1+worker-2 all 1 at a time until v1.36.3 1-60"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, w := range upgradeWindows(stepsOf(t, c.spec), c.done) {
				got = append(got, told(w))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("windows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// TestWhatAKilledDriverDid: of each step its own end, also of steps that ran at the same time, and of a process that was killed none.
func TestWhatAKilledDriverDid(t *testing.T) {
	dir := t.TempDir()
	j, err := plan.CreateJournal(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	write := func(kind, id, status string) {
		if err := j.Write(kind, plan.StepDone{ID: id, Name: id, Status: status, Started: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	write("step-started", "1", "done")
	write("step-started", "2", "done")
	write("step", "1", "failed")
	write("step", "2", "skipped")
	write("step-started", "3", "done")
	write("step-started", "3", "done") // by the next process
	write("step", "3", "done")
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range driverSteps(dir) {
		got = append(got, d.ID+" "+d.Status)
	}
	if want := []string{"1 failed", "2 skipped", "3 " + killed, "3 done"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
