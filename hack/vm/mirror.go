package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// anyMirror is where packages come from when the host is not told of a mirror.
const anyMirror = "http://deb.debian.org/debian"

// index is what a mirror has, as its signed index says.
type index struct {
	mirror   string
	packages map[string]pkg
}

// pkg is one package of it.
type pkg struct {
	name, version string
	depends       []string // of each the first alternative
	file, sum     string   // below the mirror, and its SHA-256
}

// readIndex gets the mirror's index by its signed list of checksums (https://wiki.debian.org/DebianRepository/Format).
func (w want) readIndex(ctx context.Context) (*index, error) {
	mirror := w.mirror
	if mirror == "" {
		mirror = configured("/", w.suite)
	}
	const name = "main/binary-amd64/Packages.gz"
	base := mirror + "/dists/" + w.suite + "/"
	w.tell("reading the index of %s %s", mirror, w.suite)
	signed, err := get(ctx, base+"InRelease", "")
	if err != nil {
		return nil, err
	}
	release, err := verify(ctx, signed, w.keyring)
	if err != nil {
		return nil, fmt.Errorf("%sInRelease: %w", base, err)
	}
	sum, err := sumOf(release, name)
	if err != nil {
		return nil, fmt.Errorf("%sInRelease: %w", base, err)
	}
	raw, err := get(ctx, base+name, sum)
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("%s%s: %w", base, name, err)
	}
	packages, err := parsePackages(z)
	if err != nil {
		return nil, fmt.Errorf("%s%s: %w", base, name, err)
	}
	return &index{mirror: mirror, packages: packages}, nil
}

// get downloads; with a sum, what has it.
func get(ctx context.Context, url, sum string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the mirror answers %s", resp.Status)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	if got := sha256.Sum256(raw); sum != "" && hex.EncodeToString(got[:]) != sum {
		return nil, fmt.Errorf("%s: its SHA-256 is %x and should be %s: the mirror changes just now, or somebody has changed it", url, got, sum)
	}
	return raw, nil
}

// verify gives what is signed with one of the keys, by the program that apt has it done by.
func verify(ctx context.Context, signed []byte, keyring string) ([]byte, error) {
	if _, err := os.Stat(keyring); err != nil {
		return nil, fmt.Errorf("the keys of Debian's archive are not there (package debian-archive-keyring, or --keyring FILE): %w", err)
	}
	cmd := exec.CommandContext(ctx, "gpgv", "--keyring", keyring, "--output", "-")
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(signed), &out, &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("its signature: %w: %s", err, said.Bytes())
	}
	return out.Bytes(), nil
}

// sumOf finds a file's SHA-256 in a Release file.
func sumOf(release []byte, name string) (string, error) {
	_, sums, found := strings.Cut(string(release), "\nSHA256:\n")
	for line := range strings.Lines(sums) {
		f := strings.Fields(line)
		if !found || len(f) != 3 || line[0] != ' ' {
			break
		}
		if f[2] == name {
			return f[0], nil
		}
	}
	return "", fmt.Errorf("it has no SHA-256 of %s", name)
}

// parsePackages reads paragraphs of fields, keeping of several versions the first.
func parsePackages(r io.Reader) (map[string]pkg, error) {
	out := map[string]pkg{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 4<<20)
	var p pkg
	keep := func() {
		if _, there := out[p.name]; p.name != "" && !there {
			out[p.name] = p
		}
		p = pkg{}
	}
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		switch key {
		case "":
			keep()
		case "Package":
			p.name = value
		case "Version":
			p.version = value
		case "Filename":
			p.file = value
		case "SHA256":
			p.sum = value
		case "Depends", "Pre-Depends":
			for d := range strings.SplitSeq(value, ",") {
				first, _, _ := strings.Cut(d, "|")
				name, _, _ := strings.Cut(strings.TrimSpace(first), " ")
				name, _, _ = strings.Cut(name, ":")
				p.depends = append(p.depends, name)
			}
		}
	}
	keep()
	return out, lines.Err()
}

// closure is a package with those of its dependencies that follow lets through, and theirs.
func (x *index) closure(root string, follow func(name string) bool) ([]pkg, error) {
	var out []pkg
	seen := map[string]bool{}
	for next := []string{root}; len(next) > 0; next = next[1:] {
		name := next[0]
		if seen[name] {
			continue
		}
		seen[name] = true
		p, ok := x.packages[name]
		if !ok {
			return nil, fmt.Errorf("%s has no package %s", x.mirror, name)
		}
		out = append(out, p)
		next = append(next, slices.DeleteFunc(slices.Clone(p.depends), func(d string) bool { return !follow(d) })...)
	}
	return out, nil
}

// configured is the mirror of the suite that apt of this host is configured with (sources.list(5)).
func configured(root, suite string) string {
	lists, _ := filepath.Glob(filepath.Join(root, "etc/apt/sources.list.d/*"))
	for _, name := range append([]string{filepath.Join(root, "etc/apt/sources.list")}, lists...) {
		raw, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		uri := inLines(string(raw), suite)
		if filepath.Ext(name) == ".sources" {
			uri = inStanzas(string(raw), suite)
		}
		if uri != "" {
			return strings.TrimSuffix(uri, "/")
		}
	}
	return anyMirror
}

func inLines(text, suite string) string {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) > 1 && strings.HasPrefix(f[1], "[") { // options
			end := slices.IndexFunc(f, func(s string) bool { return strings.HasSuffix(s, "]") })
			f = append(f[:1], f[end+1:]...)
		}
		if len(f) > 3 && f[0] == "deb" && f[2] == suite && slices.Contains(f[3:], "main") {
			return f[1]
		}
	}
	return ""
}

func inStanzas(text, suite string) string {
	for stanza := range strings.SplitSeq(text, "\n\n") {
		fields := map[string][]string{}
		for line := range strings.Lines(stanza) {
			key, value, _ := strings.Cut(line, ":")
			fields[key] = strings.Fields(value)
		}
		if slices.Contains(fields["Types"], "deb") && slices.Contains(fields["Suites"], suite) && slices.Contains(fields["Components"], "main") && len(fields["URIs"]) > 0 {
			return fields["URIs"][0]
		}
	}
	return ""
}
