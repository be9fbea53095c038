package lab

import (
	"errors"
	"fmt"
	"os"
	"strings"

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
