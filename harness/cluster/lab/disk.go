package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// copyDisk copies a tree, telling of each entry what it copied. Sockets and the like have no meaning on a saved disk.
func copyDisk(ctx context.Context, src, dst string, tell func(rel string, r record) error) error {
	return filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		rel, err := filepath.Rel(src, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		r, ok, err := copyEntry(path, filepath.Join(dst, rel), info)
		if err != nil || !ok {
			return err
		}
		return tell(rel, r)
	})
}

func copyEntry(src, dst string, info fs.FileInfo) (r record, ok bool, err error) {
	r = record{Mode: info.Mode()}
	switch {
	case info.IsDir():
		return r, true, errors.Join(os.MkdirAll(dst, info.Mode().Perm()), os.Chmod(dst, info.Mode().Perm()))
	case info.Mode()&fs.ModeSymlink != 0:
		if r.Link, err = os.Readlink(src); err != nil {
			return r, false, err
		}
		return r, true, os.Symlink(r.Link, dst)
	case info.Mode().IsRegular():
		r.Size = info.Size()
		r.Sum, err = copyFile(src, dst, info)
		return r, true, err
	default:
		return r, false, nil
	}
}

func copyFile(src, dst string, info fs.FileInfo) (sum string, err error) {
	in, err := os.Open(src)
	if err != nil {
		return "", err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	h := sha256.New()
	if err := copySparse(out, in, h); err != nil {
		return "", fmt.Errorf("copy %s: %w", src, err)
	}
	// The mode given to open is cut by the umask; the manifest holds the true one.
	return hex.EncodeToString(h.Sum(nil)), errors.Join(out.Truncate(info.Size()), out.Chmod(info.Mode().Perm()))
}

// copySparse leaves holes where the data is zero: etcd preallocates its log, and most of a saved disk is that.
func copySparse(out *os.File, in io.Reader, h hash.Hash) error {
	buf, zero := make([]byte, 1<<20), make([]byte, 1<<20)
	for {
		n, err := io.ReadFull(in, buf)
		if n > 0 {
			_, _ = h.Write(buf[:n])
			if string(buf[:n]) == string(zero[:n]) {
				_, werr := out.Seek(int64(n), io.SeekCurrent)
				err = errors.Join(err, werr)
			} else if _, werr := out.Write(buf[:n]); werr != nil {
				return werr
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
