package cluster

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// How much is kept of a machine's logs, whatever its programs have written: one that fails in a loop fills a disk.
const (
	logsMost  = 64 << 20 // bytes of a machine
	logMost   = 16 << 20 // bytes of a file, its last ones
	logAlways = 64 << 10 // bytes of a file that are kept when the machine has had its share: nothing is left out altogether
)

// JournalFormat is how a journal is asked for (journalctl --output): each line begins with when it was written, with its zone.
const JournalFormat = "short-iso-precise"

// LogDir is a directory that the logs of a machine are copied to. Whatever names the machine gives them, and whatever links it has put in their way,
// they stay in it.
type LogDir struct {
	root *os.Root
	left int64 // of what the machine may have
	most int64 // of a file
}

// OpenLogDir makes the directory, if it is not there.
func OpenLogDir(dir string) (*LogDir, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("logs: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("logs: %w", err)
	}
	return &LogDir{root: root, left: logsMost, most: logMost}, nil
}

// Close ends it; what was copied stays.
func (d *LogDir) Close() error { return d.root.Close() }

// Add copies a log of that size, or its end, and then says at its beginning how much was left out. A name that leads out of the directory is passed over.
func (d *LogDir) Add(name string, size int64, from io.Reader) (err error) {
	if !filepath.IsLocal(name) {
		return nil
	}
	if err := d.root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := d.root.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if out := size - min(d.most, max(d.left, logAlways)); out > 0 {
		if _, err := fmt.Fprintf(f, "… %d of %d bytes are left out before this …\n", out, size); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, from, out); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		size -= out
	}
	// No more than was there when its size was asked: whoever writes it goes on.
	n, err := io.Copy(f, io.LimitReader(from, size))
	d.left -= n
	return err
}

// Unpack copies the regular files of an archive. The error is of the first that could not be made; the others are.
func (d *LogDir) Unpack(from io.Reader) error {
	var first error
	for files := tar.NewReader(from); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return first
		}
		if err != nil {
			return errors.Join(first, fmt.Errorf("archive: %w", err))
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := d.Add(strings.TrimPrefix(h.Name, "./"), h.Size, files); err != nil && first == nil {
			first = err
		}
	}
}
