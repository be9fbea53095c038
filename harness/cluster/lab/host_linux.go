package lab

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"drydock.dev/drydock/harness/cluster"
)

// CheckHost says whether this machine can hold a lab; the error has the reason as the system gives it and what to do.
func CheckHost() error { return checkHost(os.ReadFile, os.Geteuid()) }

func checkHost(read func(string) ([]byte, error), uid int) error {
	value := func(path string) string {
		raw, err := read(path)
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(raw))
	}
	refuse := func(what, do string) error {
		return cluster.Usagef("this machine cannot hold a lab: %s; %s", what, do)
	}
	if v := value("/proc/sys/user/max_user_namespaces"); v == "0" {
		return refuse("user namespaces are forbidden (/proc/sys/user/max_user_namespaces is 0)", "allow them with `sudo sysctl user.max_user_namespaces=10000`"+elsewhere)
	}
	if uid == 0 {
		return nil
	}
	if v := value("/proc/sys/kernel/unprivileged_userns_clone"); v == "0" {
		return refuse("user namespaces are for root only (/proc/sys/kernel/unprivileged_userns_clone is 0)",
			"run with sudo, or allow them with `sudo sysctl kernel.unprivileged_userns_clone=1`"+elsewhere)
	}
	if v := value("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"); v == "1" {
		return refuse("AppArmor takes their rights from user namespaces (/proc/sys/kernel/apparmor_restrict_unprivileged_userns is 1)",
			"run with sudo, or allow them with `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`"+elsewhere)
	}
	return nil
}

// Inotify instances that a machine's programs take (kubelet, API server, controller-manager; counted in /proc/*/fd of a lab at v1.36).
const (
	inotifyControlPlane = 12
	inotifyWorker       = 8
)

// checkInotify proves that there is room for the topology's inotify instances by taking them for a moment: the kernel's limit is a user's,
// and nothing tells how much of it is used.
func checkInotify(t cluster.Topology) error {
	need := inotifyControlPlane*t.ControlPlanes + inotifyWorker*t.Workers
	var taken []int
	defer func() {
		for _, fd := range taken {
			_ = unix.Close(fd)
		}
	}()
	for len(taken) < need {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		if err != nil {
			return cluster.Usagef("this cluster's kubelets need about %d inotify instances and this user can have %d more (%w): take another lab down, or `sudo sysctl fs.inotify.max_user_instances=%d`",
				need, len(taken), err, 1024)
		}
		taken = append(taken, fd)
	}
	return nil
}

// elsewhere names the way out that needs no change of this machine.
const elsewhere = ", or use a machine where Docker runs with --provider kind"

// explainStart adds what is likely to be wrong when the kernel refuses a lab although checkHost found nothing.
func explainStart(err error) error {
	if errors.Is(err, os.ErrPermission) || strings.Contains(err.Error(), "operation not permitted") {
		return cluster.Usagef("the kernel refuses a lab its namespaces: %w; inside a container they need --security-opt seccomp=unconfined "+
			"or --privileged; otherwise run with sudo%s", err, elsewhere)
	}
	return fmt.Errorf("start: %w", err)
}
