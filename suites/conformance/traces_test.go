package conformance

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net"
	"os"
	osexec "os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"drydock.dev/drydock/harness/cluster"
)

// traces are what clusters and whoever makes them could leave on this host, as "KIND WHAT". Another user of the host may add some meanwhile.
type traces map[string]bool

// beside lists what was not there before.
func (t traces) beside(before traces) []string {
	var out []string
	for what := range t {
		if !before[what] {
			out = append(out, what)
		}
	}
	slices.Sort(out)
	return out
}

// traced looks at this host:
//   - containers, running or not, networks, volumes and images of Docker, where there is one;
//   - interfaces, routes and mounts; rules of nftables and iptables, and queues of tc, where the programs are there and may be run;
//   - processes that have the state directory or a container of ours in their arguments or run in a container, and frozen ones (T) whoever's they are;
//   - control groups of containers;
//   - files below the state directory, which are locks, records, sockets and disks, but runs' reports; and kind's in the directory for temporary ones;
//   - timers and services that systemd was told to run for a time, and the dead-man's switches of staging;
//   - the user's own kubeconfig.
//
// What a cluster that stays has in its own directory and containers is its own, and changes.
func traced(ctx context.Context, state, stays string) traces {
	t := traces{}
	add := func(kind string, what ...string) {
		for _, w := range what {
			t[kind+" "+w] = true
		}
	}
	for kind, command := range map[string]string{
		"container": "docker ps --all --format {{.Names}}", "network": "docker network ls --format {{.Name}}", "volume": "docker volume ls --quiet",
		"image": "docker images --all --format {{.ID}}|{{.Repository}}:{{.Tag}}", "rule": "nft --stateless list ruleset", "iptables": "iptables-save", "queue": "tc qdisc show",
		"unit": "systemctl list-units --all --no-legend --plain drydock*",
	} {
		add(kind, printed(ctx, command)...)
	}
	interfaces, _ := net.Interfaces()
	for _, i := range interfaces {
		add("interface", i.Name)
	}
	for kind, at := range map[string]struct {
		file   string
		fields [2]int
	}{"route": {"/proc/net/route", [2]int{0, 3}}, "mount": {"/proc/self/mountinfo", [2]int{4, 5}}} {
		raw, _ := os.ReadFile(at.file)
		for line := range strings.Lines(string(raw)) {
			if f := strings.Fields(line); len(f) > at.fields[1] {
				add(kind, strings.Join(f[at.fields[0]:at.fields[1]], " "))
			}
		}
	}
	_, err := os.Stat(filepath.Join(state, "kind", "clusters", stays))
	processes(state, err == nil, add)
	for _, pattern := range []string{
		"/sys/fs/cgroup/docker/*", "/sys/fs/cgroup/*/docker/*", "/sys/fs/cgroup/system.slice/docker-*", "/run/drydock-staging/*", filepath.Join(os.TempDir(), "kind-*"),
	} {
		found, _ := filepath.Glob(pattern)
		for _, f := range found {
			if info, err := os.Stat(f); err == nil && (info.IsDir() || !strings.HasPrefix(f, "/sys")) {
				add("path", f)
			}
		}
	}
	_ = filepath.WalkDir(state, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(state, path)
		switch {
		case err != nil:
			return nil //nolint:nilerr // gone meanwhile
		case rel == "runs", filepath.Base(filepath.Dir(path)) == stays && (d.Name() == "upgrade" || d.Name() == "logs" || d.Name() == "disks" || d.Name() == "run"):
			return fs.SkipDir
		case !d.IsDir():
			add("file", rel)
		}
		return nil
	})
	if home, err := os.UserHomeDir(); err == nil {
		raw, _ := os.ReadFile(filepath.Join(home, ".kube", "config"))
		add("kubeconfig", fmt.Sprintf("%x", sha256.Sum256(raw)))
	}
	return t
}

// counts are what counters and the like show, which is no trace of anybody.
var counts = regexp.MustCompile(`\[\d+:\d+\]|^#.*|0x[0-9a-f]+|refcnt \d+`)

// printed are the lines of a command, without what only counts; none where it is not there or may not be run.
func printed(ctx context.Context, command string) []string {
	words := strings.Fields(command)
	raw, err := osexec.CommandContext(ctx, words[0], words[1:]...).Output()
	if err != nil {
		return nil
	}
	var out []string
	for line := range strings.Lines(string(raw)) {
		out = append(out, strings.TrimSpace(counts.ReplaceAllString(line, "")))
	}
	return out
}

// processes are those of drydock on the state directory, of containers while none of them lives, and the frozen. Their numbers are not part of the trace.
func processes(state string, lives bool, add func(kind string, what ...string)) {
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range all {
		args, err := os.ReadFile(dir + "/cmdline")
		if err != nil || len(args) == 0 {
			continue
		}
		line := strings.TrimSpace(strings.ReplaceAll(string(args), "\x00", " "))
		cgroup, _ := os.ReadFile(dir + "/cgroup")
		status, _ := os.ReadFile(dir + "/status")
		switch contained := strings.Contains(string(cgroup), "docker"); {
		case contained && !lives, strings.Contains(line, state), !contained && strings.HasPrefix(line, "docker ") && strings.Contains(line, "drydock-"):
			add("process", line)
		}
		if strings.Contains(string(status), "\nState:\tT") {
			add("frozen process", filepath.Base(dir)+" "+line)
		}
	}
}

// unharmed looks into the machines: each has power, nothing is cut, held or frozen there, and no command of drydock's goes on.
func unharmed(ctx context.Context, p cluster.Provider, name string) {
	GinkgoHelper()
	c, err := p.Attach(ctx, name)
	Expect(err).NotTo(HaveOccurred())
	const left = `for f in /proc/[0-9]*/status; do grep -q '^State:.T' "$f" 2>/dev/null && cat "$f" | head -n 1; done
for f in /proc/[0-9]*/environ; do id=$({ tr '\0' '\n' <"$f"; } 2>/dev/null | sed -n 's/^DRYDOCK_EXEC=//p'); [ -z "$id" ] || [ "$id" = "$DRYDOCK_EXEC" ] || tr '\0' ' ' <"${f%environ}cmdline"; done
find /etc /var/lib/etcd /run -name '*drydock-held*' -type f 2>/dev/null || true
nft list tables 2>/dev/null | grep drydock-cut || true`
	for _, m := range c.Machines() {
		if on, err := cluster.As[cluster.Power](m); err == nil {
			Expect(power(ctx, on)).To(Equal("on"), m.Name())
		}
		Eventually(ctx, func() (string, error) { return cluster.Shell(ctx, m, left) }).WithTimeout(soon).Should(BeEmpty(), "left on %s", m.Name())
	}
}
