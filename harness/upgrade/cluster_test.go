package upgrade

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/upgrade/policy"
)

func TestCommandGetsItsEnvironment(t *testing.T) {
	u := &Upgrade{
		Spec: Spec{To: "v1.36.3", Command: []string{"sh", "-c", "env"}}, Path: policy.Path{From: "v1.35.4", Hops: []string{"v1.36.3"}}, Dir: t.TempDir(),
		Env: []string{"KUBECONFIG=/some/where"}, Topology: cluster.Topology{Name: "mine", ControlPlanes: 1, Workers: 2, Etcd: cluster.EtcdStacked},
	}
	if err := u.command(context.Background()); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(u.Dir, "command.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"KUBECONFIG=/some/where", "DRYDOCK_CLUSTER=mine", "DRYDOCK_FROM=v1.35.4", "DRYDOCK_TO=v1.36.3", "DRYDOCK_PATH=v1.36.3",
		"DRYDOCK_CONTROL_PLANES=control-plane-1", "DRYDOCK_WORKERS=worker-1,worker-2",
	} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("the environment lacks %s", want)
		}
	}
	u.Spec.Command = []string{"sh", "-c", "echo last words; exit 7"}
	if err := u.command(context.Background()); err == nil || !strings.Contains(err.Error(), "last words") || !strings.Contains(err.Error(), "exit status 7") {
		t.Errorf("error %v", err)
	}
}

// On Ctrl-C the user's program may tidy up: what it says on its way out is in its log.
func TestAnInterruptedCommandIsAskedToEnd(t *testing.T) {
	u := &Upgrade{
		Spec: Spec{To: "v1.36.3", Command: []string{"sh", "-c", "trap 'echo tidied; exit 3' TERM; touch begun; while :; do sleep 0.05; done"}},
		Path: policy.Path{From: "v1.35.4", Hops: []string{"v1.36.3"}}, Dir: t.TempDir(), Topology: cluster.Topology{Name: "mine", ControlPlanes: 1},
	}
	t.Chdir(u.Dir)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- u.command(ctx) }()
	if err := cluster.Await(ctx, "the program", cluster.Wait{For: 10 * time.Second, Every: 10 * time.Millisecond}, func(context.Context) error {
		_, err := os.Stat("begun")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "tidied") {
		t.Errorf("error %v", err)
	}
}
