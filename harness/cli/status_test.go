package cli

import (
	"bytes"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
)

// TestStatusIsWhatRunsAndNotWhatWasWished: a machine whose programs do not answer has dashes, and why.
func TestStatusIsWhatRunsAndNotWhatWasWished(t *testing.T) {
	seen := observe.Observation{
		Members:    []etcd.Member{{Machine: "cp-1", ID: 1, Leader: 1, Version: "3.6.16"}, {Machine: "cp-2", Error: "connection refused"}},
		Nodes:      []observe.Node{{Name: "cp-1", Ready: true, Version: "v1.36.3"}, {Name: "cp-2"}},
		Components: []observe.Component{{Name: observe.Scheduler, Machine: "cp-2", Error: "connection refused"}},
		Versions:   map[string]string{"etcd/cp-1": "v3.6.16", "kubelet/cp-1": "v1.36.3", "kube-apiserver/cp-1": "v1.35.4", "kubelet/cp-10": "v1.34.4"},
	}
	st := clusterStatus{Name: "c", Topology: "two of them"}
	st.know(seen)
	for _, name := range []string{"cp-1", "cp-2"} {
		m := machineStatus{Name: name, Role: cluster.ControlPlane, Address: "10.0.0.1", Power: "on"}
		m.know(seen)
		st.Machines = append(st.Machines, m)
	}
	for format, want := range map[string]string{
		"": `c: two of them
MACHINE  ROLE           ADDRESS   POWER  KUBELET  ETCD
cp-1     control-plane  10.0.0.1  on     v1.36.3  leader, v3.6.16
cp-2     control-plane  10.0.0.1  on     -        unreachable
`,
		"wide": `c: two of them
MACHINE  ROLE           ADDRESS   POWER  NODE      KUBE-APISERVER  KUBE-CONTROLLER-MANAGER  KUBE-SCHEDULER  KUBELET  ETCD
cp-1     control-plane  10.0.0.1  on     Ready     v1.35.4         -                        -               v1.36.3  leader, v3.6.16
cp-2     control-plane  10.0.0.1  on     NotReady  -               -                        -               -        unreachable
no answer: etcd on cp-2: connection refused
no answer: kube-scheduler on cp-2: connection refused
`,
	} {
		var out bytes.Buffer
		if err := printStatus(&out, []clusterStatus{st}, format); err != nil || out.String() != want {
			t.Errorf("%q: %v\n%s\nwant\n%s", format, err, out.String(), want)
		}
	}
	var out bytes.Buffer
	if err := printStatus(&out, []clusterStatus{st}, "json"); err != nil || !strings.Contains(out.String(), `"kube-apiserver": "v1.35.4"`) {
		t.Errorf("%v\n%s", err, out.String())
	}
	if code, said := command(t, "status", "-o", "yaml"); code != exitUsage || !strings.Contains(said, "wide, json") {
		t.Errorf("exit code %d, %q", code, said)
	}
}
