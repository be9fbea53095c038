package etcd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/client/v3/snapshot"
	"go.uber.org/zap"
)

// Snapshot saves the data of one healthy member to a file and checks the checksum the server appended to it. An etcd takes snapshots from one
// member only: the others could be at another revision.
func (a *Access) Snapshot(ctx context.Context, w *Watcher, file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	var errs []error
	for _, m := range w.Members(ctx, 2*time.Second) {
		if !m.Healthy() {
			errs = append(errs, fmt.Errorf("member on %s: %s", m.Machine, m.Error))
			continue
		}
		err := a.SnapshotOf(ctx, m.Machine, file)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("snapshot: no member gave one: %w", errors.Join(errs...))
}

// SnapshotOf saves the data of one member to a file and checks its checksum. It needs no quorum: a member gives what it has.
func (a *Access) SnapshotOf(ctx context.Context, machine, file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	endpoint, err := a.Endpoint(machine)
	if err != nil {
		return err
	}
	cfg := a.config(ctx)
	cfg.Endpoints = []string{endpoint}
	if _, err := snapshot.SaveWithVersion(ctx, zap.NewNop(), cfg, file); err != nil {
		return fmt.Errorf("of the member on %s: %w", machine, err)
	}
	return CheckSnapshot(file)
}

// CheckSnapshot compares the SHA-256 at the end of a snapshot with its content.
func CheckSnapshot(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	const page = 512 // a database is whole pages, and what is over is the checksum
	if st.Size()%page != sha256.Size {
		return fmt.Errorf("snapshot %s has no checksum: it is cut off, or a copied database file", file)
	}
	h := sha256.New()
	if _, err := io.CopyN(h, f, st.Size()-sha256.Size); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	want, err := io.ReadAll(f)
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	if !bytes.Equal(h.Sum(nil), want) {
		return fmt.Errorf("snapshot %s does not have the checksum it was saved with", file)
	}
	return nil
}

// Revision is the one that a quorum confirms.
func (a *Access) Revision(ctx context.Context) (int64, error) {
	c, err := a.Client(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(ctx, changeWithin)
	defer cancel()
	got, err := c.Get(ctx, lastKey)
	if err != nil {
		return 0, fmt.Errorf("the revision of etcd: %w", err)
	}
	return got.Header.Revision, nil
}

// Holds is what a snapshot says it holds.
type Holds struct {
	Revision int64    `json:"revision"`
	Index    uint64   `json:"index"`   // of the last entry of the log that is in it
	Members  []uint64 `json:"members"` // on the list of the cluster that it is of
	Learners []uint64 `json:"learners,omitempty"`
}

// ReadSnapshot checks a snapshot and reads what it says of itself.
func ReadSnapshot(file string) (h Holds, err error) {
	if err := CheckSnapshot(file); err != nil {
		return h, err
	}
	db, err := bbolt.Open(file, 0o400, &bbolt.Options{ReadOnly: true})
	if err != nil {
		return h, fmt.Errorf("snapshot %s: %w", file, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = db.View(func(tx *bbolt.Tx) error {
		keys, meta, members := tx.Bucket([]byte("key")), tx.Bucket([]byte("meta")), tx.Bucket([]byte("members"))
		if keys == nil || meta == nil || members == nil {
			return errors.New("it is no database of etcd's")
		}
		if last, _ := keys.Cursor().Last(); len(last) >= 8 { // a key is its revision: 8 bytes, '_' and what in it
			h.Revision = int64(binary.BigEndian.Uint64(last))
		}
		if index := meta.Get([]byte("consistent_index")); len(index) == 8 {
			h.Index = binary.BigEndian.Uint64(index)
		}
		return members.ForEach(func(id, entry []byte) error {
			n, err := strconv.ParseUint(string(id), 16, 64)
			h.Members = append(h.Members, n)
			var is struct{ IsLearner bool }
			if err == nil {
				err = json.Unmarshal(entry, &is)
			}
			if is.IsLearner {
				h.Learners = append(h.Learners, n)
			}
			return err
		})
	})
	if err != nil {
		return h, fmt.Errorf("snapshot %s: %w", file, err)
	}
	return h, nil
}
