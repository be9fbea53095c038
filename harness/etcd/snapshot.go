package etcd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

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
