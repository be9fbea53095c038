package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/lock"
	"drydock.dev/drydock/harness/wholefile"
)

// Ensure makes the named programs of a version available below Root. Two processes that want the same wait for each other;
// what is interrupted leaves nothing half-made and goes on where the Go build cache left it.
func (s *Store) Ensure(ctx context.Context, v Version, names ...string) error {
	own, err := s.fromBinDir(ctx, v, names)
	if err != nil {
		return err
	}
	var wanted []string
	for _, n := range names {
		if !own[n] {
			wanted = append(wanted, n)
		}
	}
	if len(s.Missing(v, wanted...)) > 0 {
		if err := s.fetch(ctx, v, wanted); err != nil {
			return err
		}
	}
	if err := s.verify(ctx, v, wanted); err != nil {
		return err
	}
	if s.BinDir == "" {
		return nil
	}
	for _, n := range wanted { // the rest of a mixed root comes from the cache
		if err := install(s.cached(v, n), s.Path(v.Product.Name, v.Version, n)); err != nil {
			return err
		}
	}
	return nil
}

// fromBinDir installs the programs the user's directory has, after asking each for its version.
func (s *Store) fromBinDir(ctx context.Context, v Version, names []string) (map[string]bool, error) {
	own := map[string]bool{}
	if s.BinDir == "" {
		return own, nil
	}
	if st, err := os.Stat(s.BinDir); err != nil || !st.IsDir() {
		return nil, fmt.Errorf("--bin-dir %s is not a directory: %w", s.BinDir, err)
	}
	for _, n := range names {
		path := filepath.Join(s.BinDir, n)
		if _, err := os.Stat(path); err != nil {
			continue
		}
		said := askVersion(ctx, path)
		if !Says(said, v.Version) {
			return nil, fmt.Errorf("--bin-dir: %s says it is %q, and %s is wanted", path, said, v.Version)
		}
		if err := install(path, s.Path(v.Product.Name, v.Version, n)); err != nil {
			return nil, err
		}
		own[n] = true
	}
	return own, nil
}

// saidVersion is a version among the words of a program, with the word for a pre-release. What else an own build has behind the numbers is no other release.
var saidVersion = regexp.MustCompile(`(?:^|[^\w.])v?((?:\d+\.){2}\d+(?:-(?:alpha|beta|rc)[\w.]*)?)(?:$|[^\w.])`)

// Says reports whether a program that says this of itself is of the release.
func Says(said, release string) bool {
	for _, m := range saidVersion.FindAllStringSubmatch(said, -1) {
		if m[1] == strings.TrimPrefix(release, "v") {
			return true
		}
	}
	return false
}

// askVersion tries the ways Kubernetes' and etcd's programs tell their version.
func askVersion(ctx context.Context, path string) string {
	args := []string{"--version"}
	switch filepath.Base(path) {
	case "kubeadm":
		args = []string{"version", "-o", "short"}
	case "kubectl":
		args = []string{"version", "--client"}
	case "etcdctl", "etcdutl":
		args = []string{"version"}
	}
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(out))
}

// install copies a program.
func install(src, dst string) error {
	if same(src, dst) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
		return fmt.Errorf("install %s: %w", filepath.Base(dst), err)
	}
	in, err := os.Open(src)
	if err != nil {
		return fmt.Errorf("install: %w", err)
	}
	defer func() { _ = in.Close() }()
	return place(in, dst)
}

// place writes a program where nobody ever sees half of it.
func place(r io.Reader, dst string) error {
	err := wholefile.Write(dst, 0o755, func(w io.Writer) error {
		_, err := io.Copy(w, r)
		return err
	})
	if err != nil {
		return fmt.Errorf("install %s: %w", dst, err)
	}
	return nil
}

func same(src, dst string) bool {
	a, err := os.Stat(src)
	if err != nil {
		return false
	}
	b, err := os.Stat(dst)
	return err == nil && a.Size() == b.Size() && !b.ModTime().Before(a.ModTime())
}

// fetch gets what is missing into the cache, holding the version's lock.
func (s *Store) fetch(ctx context.Context, v Version, names []string) (err error) {
	unlock, err := s.lock(ctx, v)
	if err != nil {
		return err
	}
	defer unlock()
	defer func() {
		if err != nil {
			_ = os.Remove(s.dir(v)) // if it is empty: a release that is none is not known for having been asked for
		}
	}()
	missing := s.Missing(v, names...) // another process may have made them meanwhile
	if len(missing) == 0 {
		return nil
	}
	if err := removeAll(abandoned(s.dir(v))); err != nil {
		return err
	}
	label := fmt.Sprintf("%s %s", v.Product.Name, v.Version)
	downloadErr := s.download(ctx, v, missing, label)
	if downloadErr == nil || ctx.Err() != nil || errors.Is(downloadErr, errMismatch) {
		return downloadErr
	}
	missing = s.Missing(v, missing...) // some may have come before the server went away
	if _, err := exec.LookPath("go"); err != nil {
		return cluster.Usagef("%s: no download (%w) and no Go to build it: install Go 1.26, give --bin-dir, or drydock fetch --import what another machine has exported", label, downloadErr)
	}
	err = s.build(ctx, v, missing, label)
	s.Progress.Finish(label, err)
	return err
}

// abandoned lists what somebody who was killed while he filled the directory, or one of a pattern, has left in it. Its lock says whether somebody fills it now.
func abandoned(dir string) []string {
	var out []string
	for _, pattern := range []string{".build-*", ".download-*", wholefile.Unfinished} {
		found, _ := filepath.Glob(filepath.Join(dir, pattern)) // the pattern is a good one
		out = append(out, found...)
	}
	return out
}

func removeAll(paths []string) error {
	for _, p := range paths {
		if err := os.RemoveAll(p); err != nil {
			return fmt.Errorf("release cache: %w", err)
		}
	}
	return nil
}

// dir is where the cache has the programs of a version.
func (s *Store) dir(v Version) string { return filepath.Join(s.Dir, v.Product.Name, v.Version) }

// lock takes that directory for this process, and makes it where there is none: who had it before may have removed it.
func (s *Store) lock(ctx context.Context, v Version) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(s.dir(v)), 0o755); err != nil {
		return nil, fmt.Errorf("release cache: %w", err)
	}
	l, err := lock.Wait(ctx, s.dir(v)+".lock", lock.Try, func(by string) {
		s.Progress.Advance(fmt.Sprintf("%s %s: %s is getting it", v.Product.Name, v.Version, by), 0, 0)
	})
	if err != nil {
		return nil, fmt.Errorf("release cache: %w", err)
	}
	if err := os.MkdirAll(s.dir(v), 0o755); err != nil {
		return nil, errors.Join(fmt.Errorf("release cache: %w", err), l.Release())
	}
	return func() { _ = l.Release() }, nil
}

// Keep makes a program that was built elsewhere one of the cache, by the name of its product.
func (s *Store) Keep(product, version, program string) error {
	return install(program, s.Path(product, version, product))
}
