package release

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"

	"drydock.dev/drydock/harness/cluster"
)

// An archive of the cache is a compressed tar: first a manifest of all that is in it with its checksums, then the programs in that order.

// manifestFile is the first in an archive.
const manifestFile = "drydock-cache.json"

// Manifest tells what an archive of the cache has.
type Manifest struct {
	Arch     string    `json:"arch"`
	Programs []Program `json:"programs"`
}

// Program is one of them.
type Program struct {
	Product string `json:"product"`
	Version string `json:"version"`
	Name    string `json:"name"`
	SHA256  string `json:"sha256"`
	From    string `json:"from"` // where it came from, for people
	Size    int64  `json:"size"`
}

func (p Program) path() string { return path.Join(p.Product, p.Version, p.Name) }

// Export writes all programs of versions, which are there, into an archive. The same programs make the same archive.
func (s *Store) Export(ctx context.Context, to io.Writer, versions ...Version) error {
	m := Manifest{Arch: runtime.GOARCH}
	for _, v := range versions {
		if err := s.verify(ctx, v, v.Programs); err != nil { // what somebody has changed is not handed on
			return err
		}
		known, err := s.readSums(v)
		if err != nil {
			return err
		}
		for _, n := range v.Programs {
			st, err := os.Stat(s.cached(v, n))
			if err != nil {
				return err
			}
			m.Programs = append(m.Programs, Program{Product: v.Product.Name, Version: v.Version, Name: n, SHA256: known[n].SHA256, From: known[n].From, Size: st.Size()})
		}
	}
	raw, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	zw, err := gzip.NewWriterLevel(to, gzip.BestSpeed) // a gigabyte of programs
	if err != nil {
		return err
	}
	tw := tar.NewWriter(zw)
	err = tw.WriteHeader(&tar.Header{Name: manifestFile, Mode: 0o644, Size: int64(len(raw))})
	if err == nil {
		_, err = tw.Write(raw)
	}
	for i := 0; err == nil && i < len(m.Programs); i++ {
		err = s.pack(ctx, tw, m.Programs[i])
	}
	return errors.Join(err, tw.Close(), zw.Close())
}

func (s *Store) pack(ctx context.Context, tw *tar.Writer, p Program) (err error) {
	f, err := os.Open(filepath.Join(s.Dir, p.path()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := tw.WriteHeader(&tar.Header{Name: p.path(), Mode: 0o755, Size: p.Size}); err != nil {
		return err
	}
	_, err = io.CopyN(tw, f, p.Size)
	return errors.Join(err, ctx.Err())
}

// Import puts the programs of an archive into the cache, each after its checksum was compared with the manifest's: whoever made the archive is believed, and
// whatever it went through since is not. What the cache has already stays; tell is told of each. An archive that is damaged, of other machines, or of what this
// Drydock does not know is a UsageError, and of a version of which anything is wrong nothing is used.
func (s *Store) Import(ctx context.Context, from io.Reader, name string, tell func(p Program, kept bool)) error {
	zr, err := gzip.NewReader(from)
	if err != nil {
		return cluster.Usagef("import %s: it is no archive of `drydock fetch --export`: %w", name, err)
	}
	tr := tar.NewReader(zr)
	m, err := readManifest(tr)
	if err != nil {
		return cluster.Usagef("import %s: %w", name, err)
	}
	for programs := m.Programs; len(programs) > 0; {
		first := programs[0]
		n := slices.IndexFunc(programs, func(p Program) bool { return p.Product != first.Product || p.Version != first.Version })
		if n < 0 {
			n = len(programs)
		}
		if err := s.importVersion(ctx, tr, programs[:n], name, tell); err != nil {
			return err
		}
		programs = programs[n:]
	}
	if h, err := tr.Next(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = fmt.Errorf("%s is not in its manifest", h.Name)
		}
		return cluster.Usagef("import %s: %w", name, err)
	}
	return nil
}

func readManifest(tr *tar.Reader) (m Manifest, err error) {
	h, err := tr.Next()
	if err != nil || h.Name != manifestFile {
		return m, fmt.Errorf("it does not begin with %s: %w", manifestFile, errors.Join(err))
	}
	if err := json.NewDecoder(io.LimitReader(tr, 1<<20)).Decode(&m); err != nil {
		return m, fmt.Errorf("%s: %w", manifestFile, err)
	}
	if m.Arch != runtime.GOARCH {
		return m, fmt.Errorf("its programs are for %s, and this machine is %s", m.Arch, runtime.GOARCH)
	}
	return m, nil
}

// importVersion reads the programs of one version beside their places, and puts them there when all are good.
func (s *Store) importVersion(ctx context.Context, tr *tar.Reader, programs []Program, name string, tell func(p Program, kept bool)) (err error) {
	v, err := Resolve(programs[0].Product, programs[0].Version)
	if err != nil {
		return fmt.Errorf("import %s: %w", name, err)
	}
	unlock, err := s.lock(ctx, v)
	if err != nil {
		return err
	}
	defer unlock()
	fresh, err := os.MkdirTemp(s.dir(v), ".download-*")
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(fresh)) }()
	for _, p := range programs {
		if err := unpackProgram(tr, p, v, fresh); err != nil {
			return cluster.Usagef("import %s: %w; nothing of %s %s was used", name, err, v.Product.Name, v.Version)
		}
	}
	for _, p := range programs {
		kept := len(s.Missing(v, p.Name)) == 0
		if !kept {
			if err := os.Rename(filepath.Join(fresh, p.Name), s.cached(v, p.Name)); err != nil {
				return fmt.Errorf("import: %w", err)
			}
			if err := s.remember(v, "imported: "+p.From, p.Name); err != nil {
				return err
			}
		}
		tell(p, kept)
	}
	return nil
}

func unpackProgram(tr *tar.Reader, p Program, v Version, dir string) error {
	h, err := tr.Next()
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", p.path(), err)
	case h.Name != p.path() || h.Typeflag != tar.TypeReg:
		return fmt.Errorf("it has %s where its manifest says %s", h.Name, p.path())
	case !slices.Contains(v.Programs, p.Name):
		return fmt.Errorf("%s %s has no program %q", v.Product.Name, v.Version, p.Name)
	}
	hash := sha256.New()
	if err := place(io.TeeReader(tr, hash), filepath.Join(dir, p.Name)); err != nil {
		return err
	}
	sum := hex.EncodeToString(hash.Sum(nil))
	if sum != p.SHA256 {
		return fmt.Errorf("%s: %w: its SHA-256 is %s, and %s by the manifest", p.path(), errMismatch, sum, p.SHA256)
	}
	return nil
}
