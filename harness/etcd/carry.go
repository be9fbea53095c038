package etcd

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"drydock.dev/drydock/harness/cluster"
)

// fetch copies a file of a machine to one of this host. What etcd keeps is large and has much in it that is empty: it comes packed.
func fetch(ctx context.Context, m cluster.Machine, from, to string) (err error) {
	r, err := m.Exec(ctx, cluster.Command{Args: []string{"gzip", "-1", "-c", from}})
	if err != nil {
		return err
	}
	unpacked, err := gzip.NewReader(strings.NewReader(r.Stdout))
	if err != nil {
		return fmt.Errorf("%s of %s: %w", from, m.Name(), err)
	}
	f, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("%s of %s: %w", from, m.Name(), err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := io.Copy(f, unpacked); err != nil {
		return fmt.Errorf("%s of %s: %w", from, m.Name(), err)
	}
	return nil
}

// send copies a file of this host to a machine, whole or not at all, readable by root alone.
func send(ctx context.Context, m cluster.Machine, from, to string) (err error) {
	f, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("%s for %s: %w", to, m.Name(), err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	packed, in := io.Pipe()
	go func() {
		z, err := gzip.NewWriterLevel(in, gzip.BestSpeed)
		if err == nil {
			_, err = io.Copy(z, f)
			err = errors.Join(err, z.Close())
		}
		_ = in.CloseWithError(err)
	}()
	defer func() { _ = packed.Close() }()
	const script = `umask 077; mkdir -p -- "$(dirname -- "$0")"; gzip -dc >"$0.new"; mv -f -- "$0.new" "$0"`
	_, err = m.Exec(ctx, cluster.Command{Args: []string{"/bin/sh", "-ec", script, to}, Stdin: packed})
	if err != nil {
		return fmt.Errorf("%s: %w", path.Base(to), err)
	}
	return nil
}
