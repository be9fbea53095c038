// Package debian gets packages of Debian without root and without installing anything: by the mirror's signed index, each with its checksum, unpacked
// into a directory of ours.
package debian

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
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

// Source is where packages come from.
type Source struct {
	Mirror  string                           // empty: the one in /etc/apt, else a public one
	Suite   string                           // Debian's release
	Keyring string                           // file with the public keys that the mirror's index must be signed with
	Tell    func(format string, args ...any) // of what is got, and how much it is
}

// Flags are the options of a program that gets packages.
func (s *Source) Flags(f *flag.FlagSet, suite string) {
	f.StringVar(&s.Mirror, "mirror", "", "Debian mirror (default the one in /etc/apt, else "+anyMirror+")")
	f.StringVar(&s.Suite, "suite", "bookworm", "Debian's release"+suite)
	f.StringVar(&s.Keyring, "keyring", "/usr/share/keyrings/debian-archive-keyring.gpg", "public keys the mirror's index must be signed with")
}

// Index is what a mirror has, as its signed index says.
type Index struct {
	source   Source
	packages map[string]Package
}

// Package is one package of it.
type Package struct {
	Name, Version string
	depends       []string // of each the first alternative
	file, sum     string   // below the mirror, and its SHA-256
}

// Index gets the mirror's index by its signed list of checksums (https://wiki.debian.org/DebianRepository/Format).
func (s Source) Index(ctx context.Context) (*Index, error) {
	if s.Mirror == "" {
		s.Mirror = configured("/", s.Suite)
	}
	const name = "main/binary-amd64/Packages.gz"
	base := s.Mirror + "/dists/" + s.Suite + "/"
	s.Tell("reading the index of %s %s", s.Mirror, s.Suite)
	signed, err := get(ctx, base+"InRelease", "")
	if err != nil {
		return nil, err
	}
	release, err := verify(ctx, signed, s.Keyring)
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
	return &Index{source: s, packages: packages}, nil
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

// parsePackages reads paragraphs of fields, keeping of several versions the first. A name that is no package's is that of the first which provides it.
func parsePackages(r io.Reader) (map[string]Package, error) {
	out, provided := map[string]Package{}, map[string]Package{}
	var virtual []string
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 4<<20)
	var p Package
	keep := func() {
		if _, there := out[p.Name]; p.Name != "" && !there {
			out[p.Name] = p
			for _, v := range virtual {
				if _, there := provided[v]; !there {
					provided[v] = p
				}
			}
		}
		p, virtual = Package{}, nil
	}
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		switch key {
		case "":
			keep()
		case "Package":
			p.Name = value
		case "Version":
			p.Version = value
		case "Filename":
			p.file = value
		case "SHA256":
			p.sum = value
		case "Depends", "Pre-Depends":
			p.depends = append(p.depends, names(value)...)
		case "Provides":
			virtual = names(value)
		}
	}
	keep()
	for name, p := range provided {
		if _, there := out[name]; !there {
			out[name] = p
		}
	}
	return out, lines.Err()
}

// names are the packages of a list, of alternatives the first, without versions and architectures.
func names(list string) (out []string) {
	for one := range strings.SplitSeq(list, ",") {
		first, _, _ := strings.Cut(one, "|")
		name, _, _ := strings.Cut(strings.TrimSpace(first), " ")
		name, _, _ = strings.Cut(name, ":")
		out = append(out, name)
	}
	return out
}

// Closure is a package with those of its dependencies that follow lets through, and theirs.
func (x *Index) Closure(root string, follow func(name string) bool) ([]Package, error) {
	var out []Package
	seen := map[string]bool{}
	for next := []string{root}; len(next) > 0; next = next[1:] {
		name := next[0]
		p, ok := x.packages[name]
		if !ok {
			return nil, fmt.Errorf("%s has no package %s", x.source.Mirror, name)
		}
		if seen[p.Name] {
			continue
		}
		seen[p.Name] = true
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
