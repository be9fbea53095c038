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

// download gets the programs from the official release and compares the published checksums; any error means: build instead.
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
		return s.downloadFile(ctx, client, v, "", label, func(file string) error { return unpack(file, dir, names) })
	}
	for _, n := range names {
		if err := s.downloadFile(ctx, client, v, n, label+" "+n, func(file string) error { return install(file, filepath.Join(dir, n)) }); err != nil {
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
func (s *Store) downloadFile(ctx context.Context, client *http.Client, v Version, name, label string, use func(file string) error) (err error) {
	url := v.fill(v.Product.URL, name, runtime.GOARCH)
	sums, err := get(ctx, client, v.fill(v.Product.Checksum, name, runtime.GOARCH))
	if err != nil {
		return err
	}
	want := findSum(sums, path.Base(url))
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
		return fmt.Errorf("download %s: its SHA-256 is %s, published is %q", url, got, want)
	}
	return use(tmp.Name())
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
