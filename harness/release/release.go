// Package release provides the programs of a Kubernetes or etcd version: from a directory the user names, from the cache, by
// download of the official release, or built from Go modules. What is there is never made again, and is held to the checksum it came with.
package release

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"

	"drydock.dev/drydock/fixtures"
	"drydock.dev/drydock/harness/cluster"
)

// The products of the version table.
const (
	Kubernetes = "kubernetes"
	Etcd       = "etcd"
)

// Version is one version of a product that can be had.
type Version struct {
	Product  fixtures.Product
	Version  string            // vX.Y.Z
	Module   string            // nested module that builds it; of a release that is not listed that of Like, or none: its programs then come of its own module
	Borrows  string            // release that programs are taken from which are not built; empty: all are
	Like     string            // release of the same minor that the module is for, where there is none for this one
	Programs []string          // sorted
	SHA256   map[string]string // ARCH/FILE of a download -> its checksum
}

// Resolve finds a version by vX.Y.Z, vX.Y or, given "", the newest listed; an unknown one is a UsageError that lists the known. Any patch release of a minor of
// Kubernetes that is listed is one, and any of etcd's since its modules can be built: whether there is such a release is seen when it is fetched.
func Resolve(product, want string) (Version, error) {
	products, err := fixtures.Versions()
	if err != nil {
		return Version{}, err
	}
	i := slices.IndexFunc(products, func(p fixtures.Product) bool { return p.Name == product })
	if i < 0 {
		return Version{}, cluster.Usagef("product %q is unknown", product)
	}
	p := products[i]
	v := Version{Product: p, Version: want, Programs: slices.Sorted(maps.Keys(p.Programs))}
	var known, minors []string
	for _, r := range slices.Backward(p.Releases) {
		if want == "" || want == r.Version || minorOf(r.Version) == want {
			v.Version, v.Module, v.SHA256 = r.Version, r.Module, r.SHA256
			return v, nil
		}
		known = append([]string{r.Version}, known...)
		minors = append([]string{minorOf(r.Version)}, minors...)
	}
	whole := patchRelease.MatchString(want)
	if p.Others.Builds != "" {
		minors = p.Others.Minors
		v.Borrows = known[len(known)-1]
	} else if i := slices.Index(minors, minorOf(want)); i >= 0 {
		v.Module, v.Like = p.Releases[i].Module, p.Releases[i].Version
	}
	if whole && slices.Contains(minors, minorOf(want)) {
		return v, nil
	}
	return Version{}, cluster.Usagef("%s version %q is unknown; known: %s; and any release of %s by its whole name, %s.N",
		product, want, strings.Join(known, ", "), strings.Join(slices.Compact(minors), ", "), minors[len(minors)-1])
}

// listed tells a release of the version table from one that only has a name.
func (v Version) listed() bool {
	return slices.ContainsFunc(v.Product.Releases, func(r fixtures.Release) bool { return r.Version == v.Version })
}

// patchRelease is a release, and no pre-release, in the one way to write it.
var patchRelease = regexp.MustCompile(`^v(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){2}$`)

// Known lists all versions of a product in the version table, oldest first.
func Known(product string) ([]Version, error) {
	products, err := fixtures.Versions()
	if err != nil {
		return nil, err
	}
	var out []Version
	for _, p := range products {
		if p.Name != product {
			continue
		}
		for _, r := range p.Releases {
			v, err := Resolve(product, r.Version)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
	}
	slices.SortFunc(out, byVersion)
	return out, nil
}

// Known lists the versions of the version table and the others that the cache has, oldest first.
func (s *Store) Known(product string) ([]Version, error) {
	out, err := Known(product)
	if err != nil {
		return nil, err
	}
	cached, _ := filepath.Glob(filepath.Join(s.Dir, product, "v*")) // the pattern is a good one
	for _, dir := range cached {
		v, err := Resolve(product, filepath.Base(dir))
		if err == nil && !v.listed() && v.Version == filepath.Base(dir) {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, byVersion)
	return out, nil
}

func byVersion(a, b Version) int {
	switch x, y := version.MustParseGeneric(a.Version), version.MustParseGeneric(b.Version); {
	case x.LessThan(y):
		return -1
	case y.LessThan(x):
		return 1
	default:
		return 0
	}
}

func minorOf(v string) string {
	if i := strings.LastIndexByte(v, '.'); strings.Count(v, ".") == 2 {
		return v[:i]
	}
	return v
}

// Store is the cache of programs.
type Store struct {
	Dir      string // releases are kept in Dir/PRODUCT/VERSION/NAME
	BinDir   string // the user's own programs, preferred to everything; may be empty
	Source   fs.FS  // has the nested modules that programs are built of, by their paths in the source tree
	Progress Progress
}

// Progress is told how far something slow is. Total is 0 when it is not known.
type Progress interface {
	Advance(label string, done, total int)
	Finish(label string, err error)
}

// Path is where a program is kept.
func (s *Store) Path(product, version, name string) string {
	return filepath.Join(s.Root(), product, version, name)
}

// Root is the directory that holds PRODUCT/VERSION/NAME. With a BinDir it is one of its own, so that the
// user's programs never pass for released ones.
func (s *Store) Root() string {
	if s.BinDir == "" {
		return s.Dir
	}
	return filepath.Join(s.Dir, "bin-dir", strings.ReplaceAll(strings.Trim(s.BinDir, "/"), "/", "_"))
}

// Missing lists the programs of a version the cache does not have.
func (s *Store) Missing(v Version, names ...string) []string {
	var out []string
	for _, n := range names {
		if st, err := os.Stat(s.cached(v, n)); err != nil || st.Size() == 0 {
			out = append(out, n)
		}
	}
	return out
}

func (v Version) fill(template, name, arch string) string {
	parsed := version.MustParseGeneric(v.Version)
	return strings.NewReplacer("{version}", v.Version, "{major}", fmt.Sprint(parsed.Major()), "{minor}", fmt.Sprint(parsed.Minor()),
		"{arch}", arch, "{name}", name).Replace(template)
}
