package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"drydock.dev/drydock/harness/cluster"
)

// A cluster image is the disks of a freshly booted cluster. The next Up of the same key boots from a copy of them.

// imageFormat changes when what a machine finds on its disk changes meaning.
const imageFormat = 1

// imageAge is how old an image may get: certificates of kubeadm last a year, and bootstrap tokens less.
const imageAge = 180 * 24 * time.Hour

type image struct {
	dir string
	key string
}

// manifest is written last: an image without a good one does not exist.
type manifest struct {
	Key   string            `json:"key"`
	Saved time.Time         `json:"saved"`
	Files map[string]record `json:"files"` // MACHINE/path -> record
}

type record struct {
	Mode fs.FileMode `json:"mode"`
	Size int64       `json:"size,omitempty"`
	Sum  string      `json:"sum,omitempty"` // SHA-256 of a regular file
	Link string      `json:"link,omitempty"`
}

// image names the image of a topology; nil when none is wanted.
func (p *Provider) image(t cluster.Topology) *image {
	shape := t
	shape.Name = ""
	key := p.Bootstrap.Key(t)
	if p.Images == "" || key == "" {
		return nil
	}
	raw := fmt.Sprintf("%d %+v %s %s", imageFormat, shape, key, p.Store.Root())
	sum := sha256.Sum256([]byte(raw))
	name := strings.NewReplacer(" ", "-", "(", "", ")", "", ",", "").Replace(shape.String())
	return &image{dir: filepath.Join(p.Images, name+"-"+hex.EncodeToString(sum[:6])), key: raw}
}

// fromImage boots from the image; false without an error means that there was none that worked.
func (p *Provider) fromImage(ctx context.Context, c *Lab, img *image) (bool, error) {
	m, err := img.open()
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	done := p.Progress.Phase("booting from a saved cluster")
	if err == nil {
		err = c.wipe()
	}
	if err == nil {
		err = img.restore(ctx, m, filepath.Join(c.dir, "disks"))
	}
	if err == nil {
		err = c.each(ctx, func(ctx context.Context, m *Machine) error { return m.On(ctx) })
	}
	if err == nil {
		err = p.Bootstrap.Ready(ctx, c)
	}
	done(err)
	if err == nil || ctx.Err() != nil {
		return err == nil, err
	}
	// Stale or damaged: drop it and start over on empty disks.
	again := p.Progress.Phase("the saved cluster cannot be used and is made anew (%v)", err)
	err = errors.Join(c.each(ctx, func(ctx context.Context, m *Machine) error { return m.Off(ctx) }), os.RemoveAll(img.dir), c.wipe())
	again(err)
	return false, err
}

// wipe empties all disks.
func (c *Lab) wipe() error {
	for _, m := range c.all() {
		disk := filepath.Join(c.dir, "disks", m.name)
		if err := os.RemoveAll(disk); err != nil {
			return fmt.Errorf("wipe %s: %w", m.name, err)
		}
		if err := os.MkdirAll(disk, 0o755); err != nil {
			return fmt.Errorf("wipe %s: %w", m.name, err)
		}
	}
	return nil
}

// save stops the cluster in order, keeps its disks and boots it from them, so that the first run and all later ones start alike.
func (p *Provider) save(ctx context.Context, c *Lab, img *image) (err error) {
	if err := p.Bootstrap.Ready(ctx, c); err != nil {
		return err
	}
	done := p.Progress.Phase("saving the cluster for the next time")
	err = c.each(ctx, func(ctx context.Context, m *Machine) error {
		return errors.Join(m.call(ctx, "shutdown", struct{}{}, nil), m.Off(ctx))
	})
	if err == nil {
		err = img.write(ctx, c)
	}
	done(err)
	if err != nil {
		return fmt.Errorf("save the cluster: %w", err)
	}
	ok, err := p.fromImage(ctx, c, img)
	if err == nil && !ok {
		err = errors.New("the cluster does not boot from the disks it was saved from")
	}
	return err
}

func (i *image) open() (manifest, error) {
	var m manifest
	raw, err := os.ReadFile(filepath.Join(i.dir, "manifest.json"))
	if err != nil {
		return m, fmt.Errorf("image: %w", err)
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return m, fmt.Errorf("image: manifest: %w", err)
	}
	if m.Key != i.key {
		return m, errors.New("image: it was made for another cluster")
	}
	if age := time.Since(m.Saved); age > imageAge {
		return m, fmt.Errorf("image: it is %d days old", int(age.Hours()/24))
	}
	return m, nil
}

// write copies the disks to the image's directory, by way of a temporary name.
func (i *image) write(ctx context.Context, c *Lab) (err error) {
	if err := os.MkdirAll(filepath.Dir(i.dir), 0o700); err != nil {
		return fmt.Errorf("image: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(i.dir), ".new-*")
	if err != nil {
		return fmt.Errorf("image: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	m := manifest{Key: i.key, Saved: time.Now(), Files: map[string]record{}}
	for _, mach := range c.all() {
		if err := copyDisk(ctx, filepath.Join(c.dir, "disks", mach.name), filepath.Join(tmp, mach.name), func(rel string, r record) error {
			m.Files[filepath.Join(mach.name, rel)] = r
			return nil
		}); err != nil {
			return err
		}
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("image: %w", err)
	}
	if err := os.WriteFile(filepath.Join(tmp, "manifest.json"), raw, 0o600); err != nil {
		return fmt.Errorf("image: %w", err)
	}
	if err := os.RemoveAll(i.dir); err != nil {
		return fmt.Errorf("image: %w", err)
	}
	return os.Rename(tmp, i.dir)
}

// restore copies the image to the disks and compares every file with the manifest on the way.
func (i *image) restore(ctx context.Context, m manifest, disks string) error {
	machines, err := os.ReadDir(i.dir)
	if err != nil {
		return fmt.Errorf("image: %w", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	var seen atomic.Int64
	for _, mach := range machines {
		if !mach.IsDir() {
			continue
		}
		g.Go(func() error {
			return copyDisk(ctx, filepath.Join(i.dir, mach.Name()), filepath.Join(disks, mach.Name()), func(rel string, r record) error {
				seen.Add(1)
				if want, ok := m.Files[filepath.Join(mach.Name(), rel)]; !ok || want != r {
					return fmt.Errorf("image: %s/%s is not what was saved", mach.Name(), rel)
				}
				return nil
			})
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if missing := len(m.Files) - int(seen.Load()); missing != 0 {
		return fmt.Errorf("image: %d files are missing", missing)
	}
	return nil
}

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
