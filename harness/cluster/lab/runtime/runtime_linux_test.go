package runtime

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"drydock.dev/drydock/harness/cluster/lab/process"
)

func TestLogIsInTheCRIFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pod", "0.log")
	l := &logFile{path: path}
	if err := l.open(); err != nil {
		t.Fatal(err)
	}
	s := l.stream("stdout")
	_, _ = s.Write([]byte("one\ntw"))
	_, _ = s.Write([]byte("o\n" + strings.Repeat("x", maxLine+3) + "\nlast"))
	s.flush()
	if err := os.Rename(path, path+".1"); err != nil { // as the kubelet rotates
		t.Fatal(err)
	}
	if err := l.open(); err != nil {
		t.Fatal(err)
	}
	_, _ = s.Write([]byte("new\n"))
	old, err := os.ReadFile(path + ".1")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z stdout (F|P) (.*)$`)
	var got []string
	for raw := range strings.Lines(string(old)) {
		m := line.FindStringSubmatch(strings.TrimSuffix(raw, "\n"))
		if m == nil {
			t.Fatalf("not a CRI log line: %q", raw)
		}
		got = append(got, m[2]+strings.TrimRight(m[3], "x"))
	}
	if want := "Fone Ftwo P F Plast"; strings.Join(got, " ") != want {
		t.Fatalf("lines %q, want %q", got, want)
	}
	if raw, err := os.ReadFile(path); err != nil || !strings.Contains(string(raw), "stdout F new") {
		t.Fatalf("after the rotation: %q, %v", raw, err)
	}
}

func TestExitCodes(t *testing.T) {
	for script, want := range map[string]int32{"exit 0": 0, "exit 7": 7, "kill -9 $$": 137, "kill -15 $$": 143} {
		code, reason := exitOf(exec.CommandContext(t.Context(), "/bin/sh", "-c", script).Run())
		if code != want || (reason == "Completed") != (want == 0) {
			t.Errorf("%s: %d %s, want %d", script, code, reason, want)
		}
	}
}

func testServer(t *testing.T) *Server {
	t.Helper()
	dir := t.TempDir()
	for _, p := range []string{"kubernetes/v1.35.4/kube-apiserver", "etcd/v3.6.6/etcd"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, p)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, p), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := New(Config{StateDir: filepath.Join(dir, "state"), Releases: dir, Program: filepath.Join(dir, "etcd/v3.6.6/etcd"), Table: process.NewTable()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestImagesAreATable(t *testing.T) {
	s := testServer(t)
	for ref, known := range map[string]bool{
		"registry.k8s.io/kube-apiserver:v1.35.4": true, "registry.k8s.io/etcd:3.6.6-0": true, "registry.k8s.io/pause:3.10.2": true,
		"docker.io/drydock/workload:latest": true, "registry.k8s.io/kube-apiserver:v1.99.0": false, "registry.k8s.io/etcd:3.6.8-0": false, "docker.io/library/nginx:latest": false,
	} {
		r, err := s.ImageStatus(t.Context(), &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: ref}})
		if err != nil || (r.GetImage() != nil) != known {
			t.Errorf("%s: known %v, %v; want %v", ref, r.GetImage() != nil, err, known)
		}
		if _, err := s.PullImage(t.Context(), &cri.PullImageRequest{Image: &cri.ImageSpec{Image: ref}}); (err == nil) != known {
			t.Errorf("pull %s: %v", ref, err)
		}
	}
}

func TestWhatIsLeftOutIsRefused(t *testing.T) {
	s := testServer(t)
	_, err := s.RunPodSandbox(t.Context(), &cri.RunPodSandboxRequest{Config: &cri.PodSandboxConfig{
		LogDirectory: t.TempDir(), PortMappings: []*cri.PortMapping{{HostPort: 80}},
	}})
	if err == nil || !strings.Contains(err.Error(), "host port 80") {
		t.Errorf("host port: %v", err)
	}
	host := &cri.LinuxPodSandboxConfig{SecurityContext: &cri.LinuxSandboxSecurityContext{NamespaceOptions: &cri.NamespaceOption{Network: cri.NamespaceMode_NODE}}}
	p, err := s.RunPodSandbox(t.Context(), &cri.RunPodSandboxRequest{Config: &cri.PodSandboxConfig{LogDirectory: t.TempDir(), Linux: host}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.CreateContainer(t.Context(), &cri.CreateContainerRequest{PodSandboxId: p.GetPodSandboxId(), Config: &cri.ContainerConfig{
		Image: &cri.ImageSpec{Image: "registry.k8s.io/etcd:3.6.6-0"},
		Linux: &cri.LinuxContainerConfig{SecurityContext: &cri.LinuxContainerSecurityContext{RunAsUser: &cri.Int64Value{Value: 1000}}},
	}})
	if err == nil || !strings.Contains(err.Error(), "runAsUser 1000") {
		t.Errorf("runAsUser: %v", err)
	}
	for range 2 { // idempotent, as the CRI asks
		if _, err := s.RemovePodSandbox(t.Context(), &cri.RemovePodSandboxRequest{PodSandboxId: p.GetPodSandboxId()}); err != nil {
			t.Error(err)
		}
	}
}

func TestAddressesGoRound(t *testing.T) {
	n := &podNetwork{announce: func(context.Context, string) error { return nil }}
	if _, _, _, err := n.reserve("x"); err == nil {
		t.Fatal("an address was given out before the node had a range")
	}
	n.cidr, n.used, n.last = netip.MustParsePrefix("10.0.0.0/29"), map[netip.Addr]string{}, netip.MustParseAddr("10.0.0.1")
	seen := map[netip.Addr]bool{}
	for range 5 { // .2 to .6
		a, _, _, err := n.reserve("x")
		if err != nil || seen[a] {
			t.Fatalf("%s, %v", a, err)
		}
		seen[a] = true
	}
	if _, _, _, err := n.reserve("x"); err == nil {
		t.Fatal("more addresses than there are")
	}
	n.release(netip.MustParseAddr("10.0.0.4"))
	if a, _, _, err := n.reserve("x"); err != nil || a.String() != "10.0.0.4" {
		t.Fatalf("%s, %v", a, err)
	}
}

func TestStatsSumTheTree(t *testing.T) {
	all := []process.Info{{PID: 1, Ticks: 100}, {PID: 2, Parent: 1, Ticks: 1, RSS: 10}, {PID: 3, Parent: 2, Ticks: 2, RSS: 20}, {PID: 4, Parent: 3, Ticks: 4, RSS: 40}}
	if u := tree(all, 2); u.cpu != 7*nanosecondsPerTick || u.memory != 70 || u.pids != 3 {
		t.Fatalf("%+v", u)
	}
}

// While pulls are held only the images that containers run by are there; with the hold gone all can be had again.
func TestPullsThatAreHeld(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "drydock")
	if err := os.WriteFile(program, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	s := &Server{cfg: Config{Program: program, PullsHeld: filepath.Join(dir, "pulls-held")}, containers: map[string]*container{}}
	const inUse, fresh = WorkloadImage + ":used", WorkloadImage + ":fresh"
	img, err := s.resolve(inUse)
	if err != nil {
		t.Fatal(err)
	}
	s.containers["c"] = &container{image: img}
	there := func(ref string) (bool, error) {
		st, err := s.ImageStatus(t.Context(), &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: ref}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.PullImage(t.Context(), &cri.PullImageRequest{Image: &cri.ImageSpec{Image: ref}})
		return st.GetImage() != nil, err
	}
	look := func(when string, want map[string]bool) {
		t.Helper()
		for ref, want := range want {
			if got, err := there(ref); got != want || (err == nil) != want {
				t.Errorf("%s: %s is there: %v, pulled: %v", when, ref, got, err)
			}
		}
	}
	look("before", map[string]bool{inUse: true, fresh: true})
	if err := os.WriteFile(s.cfg.PullsHeld, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	look("held", map[string]bool{inUse: true, fresh: false})
	if err := os.Remove(s.cfg.PullsHeld); err != nil {
		t.Fatal(err)
	}
	look("after", map[string]bool{inUse: true, fresh: true})
}
