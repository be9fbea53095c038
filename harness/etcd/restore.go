package etcd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
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

// Restore makes the data of a stopped member from a snapshot, as one of a new cluster of the members on the named machines. All of them must be given the
// same.
func Restore(ctx context.Context, c cluster.Cluster, m cluster.Machine, snapshot []byte, members []string) error {
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
	if err := m.WriteFile(ctx, file, snapshot, 0o600); err != nil {
		return err
	}
	sum := sha256.Sum256(snapshot)
	_, err := cluster.Shell(ctx, m, fmt.Sprintf(`rm -rf %[2]s
etcdutl snapshot restore %[1]s --data-dir %[2]s --name %[3]s --initial-advertise-peer-urls %[4]s --initial-cluster %[5]s --initial-cluster-token restored-%[6]s --bump-revision %[7]d --mark-compacted
mkdir -p %[8]s
if test -e %[9]s/member; then
  if test -e %[8]s/member; then rm -rf %[9]s/member; else mv %[9]s/member %[8]s/member; fi
fi
mv %[2]s/member %[9]s/member
rm -rf /var/lib/drydock-restore`,
		file, fresh, m.Name(), peerURL(m, scheme), strings.Join(initial, ","), hex.EncodeToString(sum[:6]), revisionsAhead, ReplacedDir+"-"+hex.EncodeToString(sum[:6]), DataDir))
	return err
}
