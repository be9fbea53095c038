package etcd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"drydock.dev/drydock/harness/cluster"
)

// ReplacedDir is, with a dash and a mark of what takes its place, where a member's data goes then, until somebody is sure not to need it.
const ReplacedDir = DataDir + "/replaced-by-snapshot"

// revisionsAhead is how far a restored cluster's revision jumps: watchers that saw later revisions than the snapshot's must see that history
// was cut, and not that nothing happened (etcdutl snapshot restore --bump-revision --mark-compacted).
const revisionsAhead = 1_000_000_000

// SetAside keeps a stopped member's data beside its place, in a directory of its own for each mark; what is kept under it already is kept.
func SetAside(ctx context.Context, m cluster.Machine, mark string) error {
	_, err := cluster.Shell(ctx, m, fmt.Sprintf("if test -e %[1]s/member && test ! -e %[2]s/member; then mkdir -p %[2]s; mv %[1]s/member %[2]s/member; fi", DataDir, ReplacedDir+"-"+mark))
	return err
}

// Restore makes the data of a stopped member from a snapshot in a file here, as one of a new cluster of the members on the named machines. All of them must be given the
// same, and the same mark, which is of this restore alone: letters, digits, dots and dashes. What was there goes to ReplacedDir with the mark.
func Restore(ctx context.Context, c cluster.Cluster, m cluster.Machine, snapshot string, members []string, mark string) error {
	scheme := "http"
	if c.Topology().Etcd == cluster.EtcdStacked {
		scheme = "https"
	}
	var initial []string
	for _, name := range members {
		member, err := c.Machine(name)
		if err != nil {
			return err
		}
		initial = append(initial, name+"="+peerURL(member, scheme))
	}
	const file, fresh = "/var/lib/drydock-restore/snapshot.db", "/var/lib/drydock-restore/data"
	if err := send(ctx, m, snapshot, file); err != nil {
		return err
	}
	_, err := cluster.Shell(ctx, m, fmt.Sprintf(`rm -rf %[2]s
etcdutl snapshot restore %[1]s --data-dir %[2]s --name %[3]s --initial-advertise-peer-urls %[4]s --initial-cluster %[5]s --initial-cluster-token restored-%[6]s --bump-revision %[7]d --mark-compacted
echo %[6]s >%[2]s/member/%[10]s
mkdir -p %[8]s
if test -e %[9]s/member; then
  if test -e %[8]s/member; then rm -rf %[9]s/member; else mv %[9]s/member %[8]s/member; fi
fi
mv %[2]s/member %[9]s/member
rm -rf /var/lib/drydock-restore`,
		file, fresh, m.Name(), peerURL(m, scheme), strings.Join(initial, ","), mark, revisionsAhead, ReplacedDir+"-"+mark, DataDir, path.Base(markFile)))
	return err
}

// forceFile has a member's unit start it with etcd's --force-new-cluster. It is where a boot takes it away, should nobody else.
const forceFile = "/run/systemd/system/etcd.service.d/force-new-cluster.conf"

// ForceNewCluster has the unit of a stopped member start it as the only member of a new cluster, with the data it has, or no longer: that is of its next start alone.
func ForceNewCluster(ctx context.Context, m cluster.Machine, force bool) error {
	if !force {
		_, err := cluster.Shell(ctx, m, "rm -f "+forceFile+"; systemctl daemon-reload")
		return err
	}
	if err := m.WriteFile(ctx, forceFile, []byte("[Service]\nEnvironment=ETCD_FORCE_NEW_CLUSTER=true\n"), 0o644); err != nil {
		return err
	}
	_, err := cluster.Shell(ctx, m, "systemctl daemon-reload")
	return err
}

// ForcesNewCluster reports whether it would start so.
func ForcesNewCluster(ctx context.Context, m cluster.Machine) (bool, error) {
	_, err := m.ReadFile(ctx, forceFile)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// MarkRestored has RestoredBy find that mark.
func MarkRestored(ctx context.Context, m cluster.Machine, mark string) error {
	return m.WriteFile(ctx, markFile, []byte(mark+"\n"), 0o600)
}

// markFile is in data that was made by Restore, or begun from anew, and goes where that goes.
const markFile = DataDir + "/member/drydock-restored"

// RestoredBy is the mark of the restore that a machine's data was made by; empty: it was not, or there is none.
func RestoredBy(ctx context.Context, m cluster.Machine) (mark string, err error) {
	raw, err := m.ReadFile(ctx, markFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(raw)), err
}
