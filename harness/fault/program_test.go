package fault

import "testing"

// A machine's kubelet keeps the logs of the old pod beside the new one's: only the new program's restarts are the fault's.
func TestOnlyTheNewProgramsRestartsCount(t *testing.T) {
	const old, fresh = "/var/log/pods/kube-system_kube-apiserver-c_aaa/kube-apiserver", "/var/log/pods/kube-system_kube-apiserver-c_bbb/kube-apiserver"
	f := &apiServerCrashLoop{}
	before := []string{old + "/3.log", old + "/4.log"} // a cluster that has been through something
	for name, c := range map[string]struct {
		logs []string
		want int
	}{
		"before":                {before, -1},
		"the old one restarted": {append(before, old+"/5.log"), -1},
		"the new one started":   {append(before, fresh+"/0.log"), 0},
		"restarted once":        {append(before, fresh+"/0.log", fresh+"/1.log"), 1},
		"a loop":                {append(before, fresh+"/9.log", fresh+"/10.log"), 10},
		"rotated":               {append(before, fresh+"/1.log.20261121-150000", fresh+"/1.log"), 1},
	} {
		f.known("c", before)
		if _, got := crashes(c.logs, f.known("c", c.logs)); got != c.want {
			t.Errorf("%s: %d restarts, want %d", name, got, c.want)
		}
	}
}
