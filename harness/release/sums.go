package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/wholefile"
)

// What is in the cache is known by its SHA-256, recorded beside it (VERSION.sums.json) when it was put there. A download is compared with
// the version table where that has its checksum; where it has none, with what its server publishes, which proves only that it came
// whole: so the record of the first download is kept, and another one by the same name is refused. What is built needs no such proof: the
// go command compares every source with go.sum.

// record is what is known of a program, or of an archive that programs came in.
type record struct {
	SHA256 string `json:"sha256"`
	From   string `json:"from"`           // where it came from, for people
	Seen   string `json:"seen,omitempty"` // the file's identity when its sum was last taken
}

// sums are the records of a version: of programs by their names, of what was downloaded by "download/" and the file's name on its server.
type sums map[string]record

func downloadKey(file string) string { return "download/" + file }

func (s *Store) sumsFile(v Version) string {
	return s.dir(v) + ".sums.json"
}

func (s *Store) readSums(v Version) (sums, error) {
	known := sums{}
	raw, err := os.ReadFile(s.sumsFile(v))
	if errors.Is(err, fs.ErrNotExist) {
		return known, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &known)
	}
	if err != nil {
		return nil, fmt.Errorf("release cache: the checksums of %s %s (remove %s and the programs to get them anew): %w", v.Product.Name, v.Version, s.sumsFile(v), err)
	}
	return known, nil
}

// writeSums replaces the records; by the holder of the version's lock.
func (s *Store) writeSums(v Version, known sums) error {
	if err := wholefile.WriteJSON(s.sumsFile(v), 0o644, known); err != nil {
		return fmt.Errorf("release cache: %w", err)
	}
	return nil
}

// remember records programs that were just put into the cache; by the holder of the version's lock.
func (s *Store) remember(v Version, from string, names ...string) error {
	known, err := s.readSums(v)
	if err != nil {
		return err
	}
	for _, n := range names {
		r, err := measure(s.cached(v, n))
		if err != nil {
			return err
		}
		r.From = from
		known[n] = r
	}
	return s.writeSums(v, known)
}

// verify refuses programs of the cache that are not what was put there. The whole sum is taken of those whose file is not the one that was
// summed before: another inode, size, or time of change, which nobody can set. What has no record is from an older Drydock and gets one.
func (s *Store) verify(ctx context.Context, v Version, names []string) error {
	known, err := s.readSums(v)
	if err != nil {
		return err
	}
	var unsure []string
	for _, n := range names {
		if id, err := identity(s.cached(v, n)); err != nil || id != known[n].Seen {
			unsure = append(unsure, n)
		}
	}
	if len(unsure) == 0 {
		return nil
	}
	unlock, err := s.lock(ctx, v)
	if err != nil {
		return err
	}
	defer unlock()
	if known, err = s.readSums(v); err != nil {
		return err
	}
	for _, n := range unsure {
		r, err := measure(s.cached(v, n))
		if err != nil {
			return err
		}
		was, recorded := known[n]
		switch {
		case !recorded:
			was = record{SHA256: r.SHA256, From: "found in the cache"}
		case was.SHA256 != r.SHA256:
			return cluster.Usagef("%s %s: %s was changed in the cache: its SHA-256 is %s, and %s when it came (%s); remove %s to get it anew, or give your own with --bin-dir",
				v.Product.Name, v.Version, n, r.SHA256, was.SHA256, was.From, s.cached(v, n))
		}
		was.Seen = r.Seen
		known[n] = was
	}
	return s.writeSums(v, known)
}

// Sums are the SHA-256 of a version's programs that there are below Root, by their names. Of those whose file was summed before that is known.
func (s *Store) Sums(product, version string) (map[string]string, error) {
	v, err := Resolve(product, version)
	if err != nil {
		return nil, err
	}
	known, err := s.readSums(v)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, name := range v.Programs {
		path := s.Path(product, v.Version, name)
		id, err := identity(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		r := known[name]
		if err != nil || id != r.Seen {
			if r, err = measure(path); err != nil {
				return nil, err
			}
		}
		out[name] = r.SHA256
	}
	return out, nil
}

// measure takes the sum of a program.
func measure(path string) (r record, err error) {
	if r.Seen, err = identity(path); err != nil {
		return r, fmt.Errorf("release cache: %w", err)
	}
	if r.SHA256, err = wholefile.Sum(path); err != nil {
		return r, fmt.Errorf("release cache: %w", err)
	}
	return r, nil
}

// identity changes with every write to a file, and when another takes its place.
func identity(path string) (string, error) {
	st, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return "", nil
	}
	return fmt.Sprintf("%d %d %d.%09d", sys.Ino, st.Size(), sys.Ctim.Sec, sys.Ctim.Nsec), nil
}

// cached is where the cache has a program.
func (s *Store) cached(v Version, name string) string {
	return filepath.Join(s.dir(v), name)
}
