package etcd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"

	"drydock.dev/drydock/harness/cluster"
)

// logDir is where a member keeps its write-ahead log.
const logDir = DataDir + "/member/wal"

// Log is how far a member's write-ahead log goes. What a quorum has acknowledged is in the logs of that quorum, on their disks, before anybody hears of it.
type Log struct {
	Cluster uint64 `json:"cluster"` // of which it is; those of another cannot be compared
	Member  uint64 `json:"member"`  // whose it is
	Term    uint64 `json:"term"`    // of the last entry
	Last    uint64 `json:"last"`    // the last entry
	// Commit is up to which entry the log says that a quorum has them. It hears of that late: with the next entry, and in a file later still. So what comes
	// after may have been acknowledged as well.
	Commit uint64 `json:"commit"`
}

// Before reports whether another log of the cluster goes further: whatever was acknowledged and is in one of the two is in that one (raft, "up-to-date", §5.4.1).
func (l Log) Before(other Log) bool {
	return l.Term < other.Term || l.Term == other.Term && l.Last < other.Last
}

func (l Log) String() string {
	return fmt.Sprintf("entry %d of term %d", l.Last, l.Term)
}

// ReadLog reads the write-ahead log in a directory of this host. One whose last record was torn by a power cut ends before that.
func ReadLog(dir string) (Log, error) {
	start, err := begins(dir)
	if err != nil {
		return Log{}, fmt.Errorf("write-ahead log: %w", err)
	}
	w, err := wal.OpenForRead(zap.NewNop(), dir, start)
	if err != nil {
		return Log{}, fmt.Errorf("write-ahead log: %w", err)
	}
	defer func() { _ = w.Close() }()
	l, _, err := readAll(w, start)
	return l, err
}

// begins is the newest snapshot that the log tells of, from which on its entries are read.
func begins(dir string) (walpb.Snapshot, error) {
	snaps, err := wal.ValidSnapshotEntries(zap.NewNop(), dir)
	if err != nil {
		return walpb.Snapshot{}, err
	}
	if len(snaps) == 0 {
		return walpb.Snapshot{}, errors.New("it has no beginning")
	}
	return snaps[len(snaps)-1], nil
}

func readAll(w *wal.WAL, start walpb.Snapshot) (Log, raftpb.HardState, error) {
	about, state, entries, err := w.ReadAll()
	if err != nil {
		return Log{}, state, fmt.Errorf("write-ahead log: %w", err)
	}
	l := Log{Term: start.Term, Last: start.Index, Commit: state.Commit}
	var whose etcdserverpb.Metadata
	if err := whose.Unmarshal(about); err != nil {
		return Log{}, state, fmt.Errorf("write-ahead log: whose it is: %w", err)
	}
	l.Cluster, l.Member = whose.ClusterID, whose.NodeID
	if n := len(entries); n > 0 {
		l.Term, l.Last = entries[n-1].Term, entries[n-1].Index
	}
	return l, state, nil
}

// acknowledgeAll writes at the end of a log in a directory of this host that a quorum has all its entries, and says which of its files were changed by
// that. Who begins anew from the log alone (etcd --force-new-cluster) drops what is not said to be so.
func acknowledgeAll(dir string) (changed []string, err error) {
	start, err := begins(dir)
	if err != nil {
		return nil, fmt.Errorf("write-ahead log: %w", err)
	}
	before, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil || len(before) == 0 {
		return nil, fmt.Errorf("write-ahead log: no file in %s: %w", dir, err)
	}
	w, l, state, err := openToWrite(dir, start)
	if errors.Is(err, io.ErrUnexpectedEOF) && wal.Repair(zap.NewNop(), dir) { // its end was torn by a power cut: nobody was told of that
		w, l, state, err = openToWrite(dir, start)
	}
	if err != nil {
		return nil, err
	}
	state.Commit, state.Term = l.Last, max(state.Term, l.Term)
	if err := errors.Join(w.Save(state, nil), w.Close()); err != nil {
		return nil, fmt.Errorf("write-ahead log: %w", err)
	}
	after, err := filepath.Glob(filepath.Join(dir, "*.wal")) // sorted, as the names are numbers of one length
	if err != nil {
		return nil, fmt.Errorf("write-ahead log: %w", err)
	}
	return after[len(before)-1:], nil
}

func openToWrite(dir string, start walpb.Snapshot) (*wal.WAL, Log, raftpb.HardState, error) {
	w, err := wal.Open(zap.NewNop(), dir, start)
	if err != nil {
		return nil, Log{}, raftpb.HardState{}, fmt.Errorf("write-ahead log: %w", err)
	}
	l, state, err := readAll(w, start)
	if err != nil {
		return nil, l, state, errors.Join(err, w.Close())
	}
	return w, l, state, nil
}

// fetchLog copies a machine's log into a directory of this host, which the caller removes.
func fetchLog(ctx context.Context, m cluster.Machine, from string) (dir string, err error) {
	if dir, err = os.MkdirTemp("", "drydock-log-"); err != nil {
		return "", fmt.Errorf("write-ahead log of %s: %w", m.Name(), err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	files, err := cluster.Glob(ctx, m, from+"/*.wal")
	if err != nil {
		return "", err
	}
	if len(files) == 0 {
		return "", fmt.Errorf("%s has no file of a write-ahead log in %s", m.Name(), from)
	}
	for _, f := range files {
		if err := fetch(ctx, m, f, filepath.Join(dir, path.Base(f))); err != nil {
			return "", err
		}
	}
	return dir, nil
}
