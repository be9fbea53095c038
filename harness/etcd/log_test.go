package etcd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
)

// written is a log of entries up to last, of which the log was told that a quorum has the first ones.
func written(t *testing.T, last, commit uint64) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "wal")
	about, err := (&etcdserverpb.Metadata{NodeID: 7, ClusterID: 1}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	w, err := wal.Create(zap.NewNop(), dir, about)
	if err != nil {
		t.Fatal(err)
	}
	for i := uint64(1); i <= last; i++ {
		if err := w.Save(raftpb.HardState{Term: 2, Commit: min(i, commit)}, []raftpb.Entry{{Term: 2, Index: i, Data: []byte(strings.Repeat("x", 2000))}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// What a quorum may have acknowledged is in the log before the log is told so: who begins from it must not drop that.
func TestTheLastEntriesOfALogAreTakenForAcknowledged(t *testing.T) {
	for name, c := range map[string]struct{ last, commit uint64 }{"told of all": {9, 9}, "not of the last": {9, 8}, "of nothing": {9, 0}, "empty": {0, 0}} {
		dir := written(t, c.last, c.commit)
		l, err := ReadLog(dir)
		if want := (Log{Cluster: 1, Member: 7, Term: l.Term, Last: c.last, Commit: c.commit}); err != nil || l != want || c.last > 0 && l.Term != 2 {
			t.Errorf("%s: %+v, %v; want %+v", name, l, err, want)
		}
		changed, err := acknowledgeAll(dir)
		if err != nil || len(changed) != 1 || !strings.HasSuffix(changed[0], ".wal") {
			t.Errorf("%s: changed %v, %v", name, changed, err)
		}
		again, err := ReadLog(dir)
		if l.Commit = c.last; err != nil || again != l {
			t.Errorf("%s: then %+v, %v; want %+v", name, again, err, l)
		}
	}
}

// A record that a power cut has torn was acknowledged to nobody; one that is damaged in the middle may have been.
func TestADamagedLogIsNotTakenForAShortOne(t *testing.T) {
	at := func(dir, what string) (file string, offset int64) {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(dir, "*.wal"))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		raw, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		if what == "end" {
			return files[0], int64(strings.LastIndex(string(raw), "xxxx"))
		}
		return files[0], int64(strings.Index(string(raw), "xxxx"))
	}
	write := func(file string, offset int64, data []byte) {
		t.Helper()
		f, err := os.OpenFile(file, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(data, offset); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	damaged := written(t, 9, 9)
	file, offset := at(damaged, "begin")
	write(file, offset, []byte("?"))
	if l, err := ReadLog(damaged); err == nil || !strings.Contains(err.Error(), "crc") {
		t.Errorf("damaged: %+v, %v", l, err)
	}
	torn := written(t, 9, 8)
	file, offset = at(torn, "end")
	if err := os.Truncate(file, offset-1000); err != nil {
		t.Fatal(err)
	}
	if l, err := ReadLog(torn); err != nil || l.Last != 8 {
		t.Errorf("torn: %+v, %v", l, err)
	}
	if _, err := acknowledgeAll(torn); err != nil {
		t.Errorf("torn: %v", err)
	}
	if l, err := ReadLog(torn); err != nil || l.Last != 8 || l.Commit != 8 {
		t.Errorf("torn, then: %+v, %v", l, err)
	}
	if l, err := ReadLog(t.TempDir()); err == nil {
		t.Errorf("no log: %+v", l)
	}
}

func TestTheLogThatGoesFurtherIsOfTheLaterTerm(t *testing.T) {
	for _, c := range []struct {
		a, b Log
		want bool
	}{
		{Log{Term: 1, Last: 9}, Log{Term: 2, Last: 3}, true}, {Log{Term: 2, Last: 3}, Log{Term: 1, Last: 9}, false},
		{Log{Term: 2, Last: 3}, Log{Term: 2, Last: 4}, true}, {Log{Term: 2, Last: 3}, Log{Term: 2, Last: 3, Commit: 9}, false},
	} {
		if c.a.Before(c.b) != c.want {
			t.Errorf("%s before %s: %v", c.a, c.b, !c.want)
		}
	}
}
