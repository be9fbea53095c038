package observe

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

// collected are logs as providers collect them: a unit's and containers' of the lab, and a node's journal of kind.
func collected(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"cp-1/units/kubelet.log":                               "no time\nE1122 10:00:02.000000    1 a.go:1] second\n  its stack\nI1122 10:00:05.000000    1 a.go:1] fifth\n",
		"cp-1/pods/kube-system_etcd-cp-1_u1/etcd/0.log":        "2026-11-22T10:00:01Z stdout F {\"ts\":\"2026-11-22T09:59:59Z\",\"msg\":\"first\"}\n",
		"cp-1/pods/kube-system_etcd-cp-1_u0/etcd/1.log":        "2026-11-22T10:00:03Z stderr F third\n",
		"worker-1/pods/default_web-1_u2/app/0.log":             "2026-11-22T10:00:04Z stdout P fourth\n",
		"worker-1/kubelet.log":                                 "2026-11-22T11:00:06.000000+0100 worker-1 kubelet[7]: sixth\n",
		"worker-1/pods/default_web-1_u2/app/0.log.20261122.gz": "no log",
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLogsAreInTheOrderOfTime(t *testing.T) {
	t.Setenv("TZ", "UTC") // klog has no zone
	dir := collected(t)
	for name, c := range map[string]struct {
		units []string
		since string
		tail  int
		want  []string
	}{
		"all": {tail: -1, want: []string{"cp-1 kubelet no time", "cp-1 etcd first", "cp-1 kubelet second", "cp-1 kubelet its stack", "cp-1 etcd third", "worker-1 web-1/app fourth",
			"cp-1 kubelet fifth", "worker-1 kubelet sixth"}},
		"the last of each": {tail: 1, want: []string{"cp-1 etcd third", "worker-1 web-1/app fourth", "cp-1 kubelet fifth", "worker-1 kubelet sixth"}},
		"none of each":     {tail: 0},
		"since":            {tail: -1, since: "2026-11-22T10:00:04Z", want: []string{"worker-1 web-1/app fourth", "cp-1 kubelet fifth", "worker-1 kubelet sixth"}},
		"of a unit":        {tail: -1, units: []string{"etcd"}, want: []string{"cp-1 etcd first", "cp-1 etcd third"}},
		"of a service":     {tail: 1, units: []string{"kubelet.service"}, want: []string{"cp-1 kubelet fifth", "worker-1 kubelet sixth"}},
		"of a pod":         {tail: -1, units: []string{"web-1"}, want: []string{"worker-1 web-1/app fourth"}},
		"of a container":   {tail: -1, units: []string{"app", "etcd"}, want: []string{"cp-1 etcd first", "cp-1 etcd third", "worker-1 web-1/app fourth"}},
	} {
		logs, err := CollectedLogs(dir, c.units...)
		if err != nil {
			t.Fatal(err)
		}
		var since time.Time
		if c.since != "" {
			if since, err = time.Parse(time.RFC3339, c.since); err != nil {
				t.Fatal(err)
			}
		}
		lines, err := ReadLogs(dir, logs, since, c.tail)
		var got []string
		for _, l := range lines {
			words := strings.TrimSpace(l.Text)
			for _, w := range []string{"first", "second", "third", "fourth", "fifth", "sixth"} {
				if strings.Contains(words, w) {
					words = w
				}
			}
			got = append(got, l.Log.String()+" "+words)
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
	var usage *cluster.UsageError
	if _, err := CollectedLogs(dir, "etcd", "etdc"); !errors.As(err, &usage) || !strings.Contains(err.Error(), `"etdc"`) || !strings.Contains(err.Error(), "known: etcd, kubelet, web-1/app") {
		t.Errorf("of a unit that is not there: %v", err)
	}
}

// here is a machine whose commands run on this host.
type here struct{ cluster.Machine }

func (here) Name() string { return "here" }

func (here) Shell(ctx context.Context, args []string, _ bool, streams ...*os.File) (int, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = streams[0], streams[1], streams[2]
	err := cmd.Run()
	return cmd.ProcessState.ExitCode(), err
}

// TestFollowGoesOnWithTheNextFile: that of a container that was started again; and nothing of it is left on the machine when nobody reads any more.
func TestFollowGoesOnWithTheNextFile(t *testing.T) {
	dir := t.TempDir()
	write := func(file, text string) {
		f, err := os.OpenFile(filepath.Join(dir, file), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = f.WriteString(text)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	write("0.log", "2026-11-22T10:00:01Z stdout F one\n2026-11-22T10:00:02Z stdout F two\n")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lines, ended := make(chan string, 10), make(chan error, 1)
	l := &Log{Machine: "here", Unit: "app", path: dir + "/*.log"}
	go func() { ended <- l.Follow(ctx, here{}, time.Time{}, 1, func(l LogLine) { lines <- l.Text }) }()
	next := func(want string) {
		t.Helper()
		select {
		case got := <-lines:
			if got != want {
				t.Fatalf("it says %q, want %q", got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%q was not followed", want)
		}
	}
	next("two")
	write("0.log", "2026-11-22T10:00:03Z stdout F three\n")
	next("three")
	write("1.log", "2026-11-22T10:00:04Z stdout F four\n")
	if err := os.Chtimes(filepath.Join(dir, "1.log"), time.Now(), time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	next("four")
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	err := cluster.Await(t.Context(), "the followers' end", cluster.Wait{For: 20 * time.Second}, func(ctx context.Context) error {
		if out, _ := exec.CommandContext(ctx, "pgrep", "-af", dir).Output(); len(out) > 0 {
			return errors.New(string(out))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
