package lab

import (
	"errors"
	"os"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
)

func TestCheckHostNamesTheReasonAndTheWayOut(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		uid   int
		want  string
	}{
		"fine":             {uid: 1000},
		"forbidden to all": {files: map[string]string{"/proc/sys/user/max_user_namespaces": "0\n"}, uid: 0, want: "sysctl user.max_user_namespaces"},
		"for root only":    {files: map[string]string{"/proc/sys/kernel/unprivileged_userns_clone": "0"}, uid: 1000, want: "run with sudo"},
		"root may":         {files: map[string]string{"/proc/sys/kernel/unprivileged_userns_clone": "0"}, uid: 0},
		"apparmor":         {files: map[string]string{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1"}, uid: 1000, want: "AppArmor"},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkHost(func(p string) ([]byte, error) {
				if v, ok := c.files[p]; ok {
					return []byte(v), nil
				}
				return nil, os.ErrNotExist
			}, c.uid)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var usage *cluster.UsageError
			if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "--provider kind") {
				t.Fatalf("error %v, want a usage error with %q and --provider kind", err, c.want)
			}
		})
	}
}

func TestCheckSpaceRefusesAFullDisk(t *testing.T) {
	if err := checkSpace(t.TempDir(), 1); err != nil {
		t.Skipf("this disk is itself full: %v", err)
	}
	err := checkSpace(t.TempDir(), 1<<30)
	if err == nil || !strings.Contains(err.Error(), "disk full") || !strings.Contains(err.Error(), "--state-dir") {
		t.Fatalf("error %v, want one that says disk full and what to do", err)
	}
}

func TestTooManyKubeletsAreRefusedBeforeAnythingIsMade(t *testing.T) {
	if err := checkInotify(cluster.Topology{ControlPlanes: 1}); err != nil {
		t.Skipf("other labs use them up: %v", err)
	}
	err := checkInotify(cluster.Topology{ControlPlanes: 10_000})
	if err == nil || !strings.Contains(err.Error(), "fs.inotify.max_user_instances") {
		t.Errorf("room for 10000 control planes: %v", err)
	}
}
