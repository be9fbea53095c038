package release

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// answerTimeout is how long the release server may take to answer at all: without one, building from modules starts soon.
const answerTimeout = 5 * time.Second

// download gets the programs from the official release. Any error but errMismatch means: build instead.
func (s *Store) download(ctx context.Context, v Version, names []string, label string) error {
	client := &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: answerTimeout, TLSHandshakeTimeout: answerTimeout,
	}}
	probe, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if _, err := get(probe, client, v.fill(v.Product.Checksum, names[0], runtime.GOARCH)); err != nil {
		return err
	}
	dir := filepath.Join(s.Dir, v.Product.Name, v.Version)
	if v.Product.Archive {
		return s.downloadFile(ctx, client, v, "", label, func(file, url string) error {
			return errors.Join(unpack(file, dir, names), s.remember(v, url, names...))
		})
	}
	for _, n := range names {
		if err := s.downloadFile(ctx, client, v, n, label+" "+n, func(file, url string) error {
			return errors.Join(install(file, s.cached(v, n)), s.remember(v, url, n))
		}); err != nil {
			return err
		}
	}
	return nil
}

// get reads a small file.
func get(ctx context.Context, client *http.Client, url string) (string, error) {
	body, _, err := open(ctx, client, url)
	if err != nil {
		return "", err
	}
	defer func() { _ = body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(body, 1<<20))
	if err != nil {
		return "", fmt.Errorf("download %s: %w", url, err)
	}
	return string(raw), nil
}

func open(ctx context.Context, client *http.Client, url string) (io.ReadCloser, int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, 0, fmt.Errorf("download %s: %w", url, err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, 0, fmt.Errorf("download: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, 0, errors.Join(fmt.Errorf("download %s: %s", url, resp.Status), resp.Body.Close())
	}
	return resp.Body, resp.ContentLength, nil
}

// downloadFile fetches one file next to the cache, checks it, and hands it to use.
func (s *Store) downloadFile(ctx context.Context, client *http.Client, v Version, name, label string, use func(file, url string) error) (err error) {
	url := v.fill(v.Product.URL, name, runtime.GOARCH)
	want, by, err := s.expected(ctx, client, v, name)
	if err != nil {
		return err
	}
	body, size, err := open(ctx, client, url)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	tmp, err := os.CreateTemp(filepath.Join(s.Dir, v.Product.Name, v.Version), ".download-*")
	if err != nil {
		return fmt.Errorf("download: %w", err)
	}
	defer func() { err = errors.Join(err, tmp.Close(), os.Remove(tmp.Name())) }()
	defer func() { s.Progress.Finish(label, err) }()
	hash := sha256.New()
	count := &counter{size: int(size >> 20), label: label + ": MiB", progress: s.Progress}
	if _, err := io.Copy(io.MultiWriter(tmp, hash, count), body); err != nil {
		return fmt.Errorf("download %s: %w", url, err)
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != want {
		return fmt.Errorf("download %s: %w: its SHA-256 is %s, and %s by %s; it was not used", url, errMismatch, got, want, by)
	}
	if err := use(tmp.Name(), url); err != nil {
		return err
	}
	return s.rememberDownload(v, path.Base(url), record{SHA256: want, From: url})
}

// errMismatch is a download that is not what was published. Nothing takes its place: somebody must know of it.
var errMismatch = errors.New("its checksum is wrong")

// expected is the SHA-256 a download must have, and who says so: the version table, or else the server that has it, if it does not say
// something else than before.
func (s *Store) expected(ctx context.Context, client *http.Client, v Version, name string) (sum, by string, err error) {
	url := v.fill(v.Product.URL, name, runtime.GOARCH)
	file := path.Base(url)
	if pinned := v.SHA256[runtime.GOARCH+"/"+file]; pinned != "" {
		return pinned, "the version table", nil
	}
	text, err := get(ctx, client, v.fill(v.Product.Checksum, name, runtime.GOARCH))
	if err != nil {
		return "", "", err
	}
	sum = findSum(text, file)
	if raw, err := hex.DecodeString(sum); err != nil || len(raw) != sha256.Size {
		return "", "", fmt.Errorf("download %s: its server publishes no SHA-256 of it", url)
	}
	known, err := s.readSums(v)
	if err != nil {
		return "", "", err
	}
	if was, downloaded := known[downloadKey(file)]; downloaded && was.SHA256 != sum {
		return "", "", fmt.Errorf("download %s: %w: its server publishes %s now, and %s when it was first downloaded; if a release was made again for a good reason, remove its entry from %s",
			url, errMismatch, sum, was.SHA256, s.sumsFile(v))
	}
	return sum, "its own server", nil
}

// rememberDownload records a download by the name it has on its server; by the holder of the version's lock.
func (s *Store) rememberDownload(v Version, file string, r record) error {
	known, err := s.readSums(v)
	if err != nil {
		return err
	}
	known[downloadKey(file)] = r
	return s.writeSums(v, known)
}

type counter struct {
	size, n  int
	label    string
	progress Progress
}

func (c *counter) Write(p []byte) (int, error) {
	c.n += len(p)
	c.progress.Advance(c.label, c.n>>20, c.size)
	return len(p), nil
}

// findSum reads a bare checksum or the line of a SHA256SUMS file that names the file.
func findSum(sums, file string) string {
	for line := range strings.Lines(sums) {
		f := strings.Fields(line)
		if len(f) == 1 || (len(f) == 2 && strings.TrimPrefix(f[1], "*") == file) {
			return f[0]
		}
	}
	return ""
}

// unpack takes the named programs out of a tar.gz.
func unpack(archive, dir string, names []string) error {
	f, err := os.Open(archive)
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	defer func() { _ = f.Close() }()
	zr, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	left := slices.Clone(names)
	for tr := tar.NewReader(zr); len(left) > 0; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("unpack: the archive has no %s", strings.Join(left, ", "))
		}
		if err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
		i := slices.Index(left, path.Base(h.Name))
		if i < 0 || h.Typeflag != tar.TypeReg {
			continue
		}
		if err := place(tr, filepath.Join(dir, left[i])); err != nil {
			return err
		}
		left = slices.Delete(left, i, i+1)
	}
	return nil
}
