package staging

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	clientv3 "go.etcd.io/etcd/client/v3"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
)

// traces are the places where Drydock could have left something on a machine, each with a script that prints what is there. Dead-man timers' words are
// no trace: they are there for people.
func traces() map[string]string {
	return map[string]string{
		"files in /run/drydock-staging": "ls -A /run/drydock-staging 2>/dev/null | grep -v '^dead-man.log$' || true",
		"tables of nftables":            "command -v nft >/dev/null && nft list ruleset || true",
		"queues of tc":                  `command -v tc >/dev/null && tc qdisc show | grep -Ev ' (noqueue|mq|fq_codel|pfifo_fast) ' || true`,
		"timers and loops":              `for p in /proc/[0-9]*; do tr '\0' ' ' <$p/cmdline 2>/dev/null | grep -F /run/drydock-staging/ | grep -v 'grep -F' || true; done`,
		"stopped processes":             `for p in /proc/[0-9]*; do sed -n 's/^\([0-9]*\) (\(.*\)) [tT] .*/\1 \2/p' $p/stat 2>/dev/null || true; done`,
		"logins that go on":             "sleep 0.2; for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline 2>/dev/null | grep '^sshd[a-z-]*: ' | grep -v listener || true; done",
		"units of systemd-run":          "ls /run/systemd/transient 2>/dev/null | grep drydock || true",
	}
}

// broken is what of Drydock is on the machines but for the maintenance lock, which goes with its process and not with a fault.
func (s *strangers) broken(ctx context.Context) (string, error) { return s.found(ctx, "maintenance") }

// keys counts what Drydock has written to etcd and not removed.
func (s *strangers) keys(ctx context.Context) int64 {
	GinkgoHelper()
	access, err := etcd.Open(ctx, s.lab)
	Expect(err).NotTo(HaveOccurred())
	c, err := access.Client(ctx)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = c.Close() }()
	keys, err := c.Get(ctx, "/drydock/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	Expect(err).NotTo(HaveOccurred())
	return keys.Count
}

// left is what of Drydock is on the machines.
func (s *strangers) left(ctx context.Context) (string, error) { return s.found(ctx, "") }

// found is every line of the traces on the machines but for one.
func (s *strangers) found(ctx context.Context, but string) (string, error) {
	var b strings.Builder
	for _, m := range s.lab.Machines() {
		for what, script := range traces() {
			out, err := cluster.Shell(ctx, m, script)
			if err != nil {
				return "", err
			}
			for line := range strings.Lines(out) {
				if line = strings.TrimSpace(line); line != but {
					fmt.Fprintf(&b, "%s of %s: %s\n", what, m.Name(), line)
				}
			}
		}
	}
	return b.String(), nil
}

// touchable is what whoever breaks or changes something would change: all files but etcd's data and logs, what of Drydock could be there, which etcd
// runs, and etcd's revision, which every write moves.
func (s *strangers) touchable(ctx context.Context) map[string]string {
	GinkgoHelper()
	out := map[string]string{}
	var err error
	out["left"], err = s.left(ctx)
	Expect(err).NotTo(HaveOccurred())
	for _, m := range s.lab.Machines() {
		out["etcd of "+m.Name()], err = cluster.Shell(ctx, m, `for q in $(pgrep -x etcd); do sed 's/.*) //' /proc/$q/stat | cut -d' ' -f1,20; done | sed 's/^[RSD] //'`)
		Expect(err).NotTo(HaveOccurred())
		disk := filepath.Join(s.lab.Dir(), "disks", m.Name())
		Expect(filepath.WalkDir(disk, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel := strings.TrimPrefix(path, disk)
			if rel == "/var/lib/etcd" || rel == "/var/log" || rel == "/tmp" { // a shell's here-document is a file of /tmp for as long as it is read
				return fs.SkipDir
			}
			info, err := d.Info()
			if err == nil && !d.IsDir() {
				out[m.Name()+":"+rel] = fmt.Sprint(info.Mode(), info.Size(), info.ModTime().Format(time.RFC3339Nano))
			}
			return err
		})).To(Succeed())
	}
	access, err := etcd.Open(ctx, s.lab)
	Expect(err).NotTo(HaveOccurred())
	members, err := access.Watch(ctx)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = members.Close() }()
	_, revision, err := members.Identity(ctx)
	Expect(err).NotTo(HaveOccurred())
	out["etcd's revision"] = fmt.Sprint(revision)
	return out
}
