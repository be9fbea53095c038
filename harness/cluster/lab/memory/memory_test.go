package memory

import (
	"strings"
	"testing"
)

func TestTheVictimIsTheOneAKernelWouldEnd(t *testing.T) {
	const total = 1000 << 20
	kubelet := Process{PID: 10, Name: "kubelet", Score: -999, Anon: 90 << 20}
	server := Process{PID: 11, Name: "kube-apiserver", Score: -997, Anon: 300 << 20}
	daemon := Process{PID: 12, Name: "node-agent", Anon: 20 << 20, File: 10 << 20}
	large := Process{PID: 13, Name: "large", Anon: 40 << 20}
	pod := Process{PID: 14, Name: "pod", Score: 1000, Anon: 1 << 20}
	eater := Process{PID: 15, Name: "eater", Score: -1000, Anon: 900 << 20}
	for name, c := range map[string]struct {
		all  []Process
		want string
	}{
		"a pod without requests before all":                      {[]Process{eater, kubelet, large, pod, server}, "pod"},
		"the largest of those alike":                             {[]Process{daemon, large, kubelet, eater}, "large"},
		"who has protected itself before who spares":             {[]Process{eater, kubelet}, "kubelet"},
		"a small daemon before a large server that is protected": {[]Process{server, daemon}, "node-agent"},
		"nobody": {[]Process{eater}, ""},
	} {
		got, ok := Victim(c.all, total)
		if got.Name != c.want || ok != (c.want != "") {
			t.Errorf("%s: %q, %t; want %q", name, got.Name, ok, c.want)
		}
	}
}

func TestAStatusIsRead(t *testing.T) {
	p, ok := parseStatus([]byte("Name:\tkube apiserver\nPid:\t77\nVmSize:\t  100 kB\nVmRSS:\t   60 kB\nRssAnon:\t   40 kB\nRssFile:\t   15 kB\nRssShmem:\t    5 kB\nVmPTE:\t    2 kB\nVmSwap:\t    1 kB\n"))
	want := Process{PID: 77, Name: "kube apiserver", Virtual: 100 << 10, Anon: 40 << 10, File: 15 << 10, Shmem: 5 << 10, Swap: 1 << 10, Tables: 2 << 10}
	if !ok || p != want {
		t.Errorf("%+v, %t", p, ok)
	}
	if got := p.badness(1000 << 10); got != 63<<10 {
		t.Errorf("badness %d", got)
	}
	if s := p.String(); !strings.HasPrefix(s, "Killed process 77 (kube apiserver) total-vm:100kB, anon-rss:40kB, ") {
		t.Error(s)
	}
	if _, ok := parseStatus([]byte("Name:\tkthreadd\nPid:\t2\nState:\tS (sleeping)\n")); ok {
		t.Error("one of the kernel's was taken for a process with memory")
	}
}
