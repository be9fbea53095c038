package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/lock"
)

// A cluster image is the disks of a freshly booted cluster. The next Up of the same key boots from a copy of them.

// imageFormat changes when what a machine finds on its disk changes meaning.
const imageFormat = 1

// imageAge is how old an image may get: certificates of kubeadm last a year, and bootstrap tokens less.
const imageAge = 180 * 24 * time.Hour

type image struct {
	dir    string
	key    string
	writer *lock.Lock // of one that is being written
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

// image names the image of all that a topology asks for but its name: its members' quota and version and its machines' names are on the disks as well, and
// its short description, which the directory is called by, leaves them out. nil when none is wanted.
func (p *Provider) image(c *Lab, key string) *image {
	if p.Images == "" || key == "" {
		return nil
	}
	type fields cluster.Topology
	asked := fields(c.topology)
	asked.Name = ""
	raw := fmt.Sprintf("%d %#v %s %s", imageFormat, asked, key, p.Store.Root())
	sum := sha256.Sum256([]byte(raw))
	name := strings.NewReplacer(" ", "-", "(", "", ")", "", ",", "").Replace(c.topology.String())
	return &image{dir: filepath.Join(p.Images, name+"-"+hex.EncodeToString(sum[:6])), key: raw}
}

// fromImage boots from the image; false without an error means that there was none that worked.
func (p *Provider) fromImage(ctx context.Context, c *Lab, img *image) (bool, error) {
	reading, err := img.lock(ctx, lock.Share)
	if err != nil {
		return false, err
	}
	m, err := img.open()
	if errors.Is(err, fs.ErrNotExist) {
		return false, reading.Keep()
	}
	done := p.Progress.Phase("booting from a saved cluster")
	if err == nil {
		err = c.restore(ctx, img, m)
	}
	damaged := err
	if err = errors.Join(err, reading.Keep()); err == nil {
		_ = os.Chtimes(img.dir, time.Time{}, time.Now()) // for Prune: it is in use
		err = p.boot(ctx, c)
	}
	done(err)
	if err == nil || ctx.Err() != nil {
		return err == nil, err
	}
	again := p.Progress.Phase("the saved cluster cannot be used and is made anew (%v)", err)
	err = c.each(ctx, func(ctx context.Context, m *Machine) error { return m.Off(ctx) })
	if damaged != nil { // one that is whole and did not become ready stays, for the host may have been slow, until a proven one takes its place
		err = errors.Join(err, img.drop(ctx, m))
	}
	err = errors.Join(err, c.wipe())
	again(err)
	return false, err
}

// restore gives the machines the image's disks.
func (c *Lab) restore(ctx context.Context, img *image, m manifest) error {
	if err := c.wipe(); err != nil {
		return err
	}
	return img.restore(ctx, m, filepath.Join(c.dir, "disks"))
}

// boot switches all machines on and returns when the cluster serves.
func (p *Provider) boot(ctx context.Context, c *Lab) error {
	if err := c.each(ctx, func(ctx context.Context, m *Machine) error { return m.On(ctx) }); err != nil {
		return err
	}
	return p.Bootstrap(c.topology).Ready(ctx, c)
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

// save stops the cluster in order, copies its disks and boots it from the copy, so that the first run and all later ones start alike. Only what
// has booted takes the place of an earlier image.
func (p *Provider) save(ctx context.Context, c *Lab, img *image) (err error) {
	if err := p.Bootstrap(c.topology).Ready(ctx, c); err != nil {
		return err
	}
	done := p.Progress.Phase("saving the cluster for the next time")
	err = c.each(ctx, func(ctx context.Context, m *Machine) error {
		return errors.Join(m.call(ctx, "shutdown", struct{}{}, nil), m.Off(ctx))
	})
	var fresh *image
	if err == nil {
		fresh, err = img.fresh(ctx)
	}
	if err != nil {
		done(err)
		return fmt.Errorf("save the cluster: %w", err)
	}
	defer func() { err = errors.Join(err, fresh.close()) }()
	err = fresh.write(ctx, c)
	done(err)
	if err != nil {
		return fmt.Errorf("save the cluster: %w", err)
	}
	done = p.Progress.Phase("booting from the saved cluster")
	m, err := fresh.open()
	if err == nil {
		err = c.restore(ctx, fresh, m)
	}
	if err == nil {
		err = p.boot(ctx, c)
	}
	done(err)
	if err != nil {
		return fmt.Errorf("the cluster does not boot from the disks it was saved from: %w", err)
	}
	return img.publish(ctx, fresh)
}

// lock takes the directory of all images: shared to read one, alone to change what there is. Both take seconds.
func (i *image) lock(ctx context.Context, how func(string) (*lock.Lock, error)) (*lock.Lock, error) {
	l, err := lock.Wait(ctx, filepath.Join(filepath.Dir(i.dir), ".lock"), how, func(string) {})
	if err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}
	return l, nil
}

// The images that are not: one being written, with a lock of its writer's in it, and one that another has taken the place of.
const (
	freshPrefix = ".new-"
	oldPrefix   = ".old-"
	writerLock  = "writer"
)

// fresh makes the directory for an image to be written, and removes those that writers who were killed have left.
func (i *image) fresh(ctx context.Context) (_ *image, err error) {
	alone, err := i.lock(ctx, lock.Try)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, alone.Release()) }()
	images := filepath.Dir(i.dir)
	for _, dead := range abandoned(images) {
		if err := os.RemoveAll(dead); err != nil {
			return nil, fmt.Errorf("image: %w", err)
		}
	}
	dir, err := os.MkdirTemp(images, freshPrefix+"*")
	if err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}
	writer, err := lock.Try(filepath.Join(dir, writerLock))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("image: %w", err), os.RemoveAll(dir))
	}
	return &image{dir: dir, key: i.key, writer: writer}, nil
}

// close removes what was not published.
func (i *image) close() error { return errors.Join(os.RemoveAll(i.dir), i.writer.Release()) }

// abandoned lists what was left of images by writers that are no more.
func abandoned(images string) []string {
	var dead []string
	for _, pattern := range []string{freshPrefix + "*", oldPrefix + "*"} {
		found, _ := filepath.Glob(filepath.Join(images, pattern)) // the pattern is a good one
		for _, dir := range found {
			var held *lock.HeldError
			l, err := lock.Try(filepath.Join(dir, writerLock))
			if errors.As(err, &held) {
				continue
			}
			_ = l.Release() // it goes with its directory
			dead = append(dead, dir)
		}
	}
	return dead
}

// publish puts a fresh image in the place of what is there.
func (i *image) publish(ctx context.Context, fresh *image) (err error) {
	alone, err := i.lock(ctx, lock.Try)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, alone.Release()) }()
	old := filepath.Join(filepath.Dir(i.dir), oldPrefix+filepath.Base(fresh.dir))
	if err := os.Rename(i.dir, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("image: %w", err)
	}
	if err := errors.Join(fresh.writer.Release(), os.Rename(fresh.dir, i.dir)); err != nil {
		return fmt.Errorf("image: %w", err)
	}
	return os.RemoveAll(old)
}

// drop removes a damaged image, unless another has taken its place meanwhile.
func (i *image) drop(ctx context.Context, seen manifest) (err error) {
	alone, err := i.lock(ctx, lock.Try)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, alone.Release()) }()
	if now, err := i.open(); err == nil && !now.Saved.Equal(seen.Saved) {
		return nil
	}
	return os.RemoveAll(i.dir)
}

// open reads what a cluster of this image's key can boot from.
func (i *image) open() (manifest, error) {
	m, err := i.read()
	if err == nil && m.Key != i.key {
		err = errors.New("image: it was made for another cluster")
	}
	return m, err
}

// read reads what the image is made of, and says what keeps everybody from using it.
func (i *image) read() (manifest, error) {
	var m manifest
	raw, err := os.ReadFile(filepath.Join(i.dir, "manifest.json"))
	if err != nil {
		return m, fmt.Errorf("image: %w", err)
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return m, fmt.Errorf("image: manifest: %w", err)
	}
	if age := time.Since(m.Saved); age > imageAge {
		return m, fmt.Errorf("image: it is %d days old", int(age.Hours()/24))
	}
	return m, nil
}

// write copies the disks to the image's directory, and then says what they are.
func (i *image) write(ctx context.Context, c *Lab) error {
	m := manifest{Key: i.key, Saved: time.Now(), Files: map[string]record{}}
	for _, mach := range c.all() {
		if err := copyDisk(ctx, filepath.Join(c.dir, "disks", mach.name), filepath.Join(i.dir, mach.name), func(rel string, r record) error {
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
	if err := os.WriteFile(filepath.Join(i.dir, "manifest.json"), raw, 0o600); err != nil {
		return fmt.Errorf("image: %w", err)
	}
	return nil
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
