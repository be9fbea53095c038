// Package policy holds the rules of versions: which version may follow which, how far components may be apart, and which published defects a path
// meets; and the form in which a finding is told. It reads no cluster.
package policy

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/release"
)

// Where the rules come from; refusals and violations name it.
const (
	SkewPolicy    = "https://kubernetes.io/releases/version-skew-policy/"
	KubeadmPolicy = "https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-upgrade/"
	EtcdPolicy    = "https://etcd.io/docs/latest/upgrades/"
	EtcdDowngrade = "https://etcd.io/docs/latest/downgrades/"
)

// rules are where those of a product stand, and what a downgrade of it gives up.
type rules struct {
	upgrades, downgrades string
	givesUp              string
}

func rulesOf(product string) rules {
	if product == release.Etcd {
		return rules{EtcdPolicy, EtcdDowngrade, "what the newer version alone can store is lost, and the snapshot is the only way back should a member not come up"}
	}
	return rules{KubeadmPolicy, SkewPolicy, "nobody tests it, objects stored in newer versions may not be readable, and the etcd snapshot is the only way back"}
}

// Path is how a version is reached from another.
type Path struct {
	Product string // whose versions they are; empty: kubernetes
	From    string
	Hops    []string // versions to upgrade to, one after another; the last is the target
	// GivesUp says what a forced path gives up; empty for one the rules allow.
	GivesUp []string
}

// EtcdPath is one of etcd.
func EtcdPath(from string, hops ...string) Path {
	return Path{Product: release.Etcd, From: from, Hops: hops}
}

// OfEtcd reports whether it is etcd alone that is upgraded.
func (p Path) OfEtcd() bool { return p.Product == release.Etcd }

// String is the path with arrows.
func (p Path) String() string { return strings.Join(append([]string{p.From}, p.Hops...), " → ") }

// PathTo finds the path from a product's version in a cluster to a target, both vX.Y.Z and both in known. One minor is upgraded at a time, so a target
// further ahead needs its intermediate versions named in via. Force allows the same version and a downgrade. What is refused
// is a UsageError with the rule and its source.
func PathTo(product, from, to string, via, known []string, force bool) (Path, error) {
	p := Path{Product: product, From: from}
	hops := append(slices.Clone(via), to)
	for _, h := range hops {
		if !slices.Contains(known, h) {
			return p, cluster.Usagef("unknown version %q; known: %s", h, strings.Join(known, ", "))
		}
	}
	at, err := parse(from)
	if err != nil {
		return p, err
	}
	for _, h := range hops {
		next, err := parse(h)
		if err != nil {
			return p, err
		}
		gives, err := hop(product, at, next, known, force)
		if err != nil {
			return p, err
		}
		if gives != "" {
			p.GivesUp = append(p.GivesUp, gives)
		}
		p.Hops, at = append(p.Hops, h), next
	}
	return p, nil
}

func parse(v string) (*version.Version, error) {
	parsed, err := version.ParseSemantic(v)
	if err != nil {
		return nil, cluster.Usagef("%q is no version: want vX.Y.Z", v)
	}
	return parsed, nil
}

// Oldest is the oldest of versions, as vX.Y.Z; empty: there is none.
func Oldest(versions []string) (string, error) {
	var oldest *version.Version
	for _, text := range versions {
		v, err := version.ParseSemantic(text)
		if err != nil {
			return "", fmt.Errorf("version %q: %w", text, err)
		}
		if oldest == nil || v.LessThan(oldest) {
			oldest = v
		}
	}
	if oldest == nil {
		return "", nil
	}
	return "v" + oldest.String(), nil
}

// hop judges one step of a path.
func hop(product string, from, to *version.Version, known []string, force bool) (givesUp string, err error) {
	refuse := func(source, format string, args ...any) (string, error) {
		return "", cluster.Usagef("%s (%s)", fmt.Sprintf(format, args...), source)
	}
	rules, minors := rulesOf(product), int(to.Minor())-int(from.Minor())
	switch {
	case to.Major() != from.Major():
		return refuse(rules.upgrades, "v%s to v%s changes the major version: no rule allows it", from, to)
	case minors > 1:
		return refuse(rules.upgrades, "v%s is %d minor versions ahead of v%s, and one is upgraded at a time%s", to, minors, from, suggest(from, to, known))
	case minors < -1:
		return refuse(rules.downgrades, "v%s is %d minor versions older than v%s: those of a cluster may differ by one only, so not even --force goes there at once", to, -minors, from)
	case minors < 0 && product == release.Etcd && from.Minor() < firstDowngrade:
		return refuse(rules.downgrades, "v%s goes down to no other minor version: etcd has downgrades of its own from v3.%d on", from, firstDowngrade)
	case to.LessThan(from) && !force:
		return refuse(rules.upgrades, "v%s is older than v%s: an upgrade goes up; --force downgrades, and says what that gives up", to, from)
	case to.LessThan(from):
		return fmt.Sprintf("v%s → v%s is a downgrade: %s", from, to, rules.givesUp), nil
	case to.EqualTo(from) && !force:
		return refuse(rules.upgrades, "the cluster is at v%s already; --force upgrades every machine to the same version again", from)
	case to.EqualTo(from):
		return fmt.Sprintf("v%s again: every machine is restarted, and what observation would call done is done again", to), nil
	default:
		return "", nil
	}
}

// firstDowngrade is the minor version of etcd from which on a cluster can be taken to the one before by etcd itself.
const firstDowngrade = 6

// suggest names the intermediate versions a path needs.
func suggest(from, to *version.Version, known []string) string {
	var via []string
	for minor := from.Minor() + 1; minor < to.Minor(); minor++ {
		newest := newestOf(fmt.Sprintf("v%d.%d", from.Major(), minor), known)
		if newest == "" {
			return fmt.Sprintf("; no v%d.%d is known (see drydock versions)", from.Major(), minor)
		}
		via = append(via, newest)
	}
	return "; go by way of " + strings.Join(via, ", ") + " (--via)"
}

func newestOf(minor string, known []string) string {
	best := ""
	for _, k := range known {
		if strings.HasPrefix(k, minor+".") && (best == "" || version.MustParseSemantic(best).LessThan(version.MustParseSemantic(k))) {
			best = k
		}
	}
	return best
}

// Targets lists every path the rules allow from a version to the known ones, through the newest patch of each minor between.
func Targets(from string, known []string) ([]Path, error) {
	at, err := parse(from)
	if err != nil {
		return nil, err
	}
	var out []Path
	for _, to := range known {
		target, err := parse(to)
		if err != nil {
			return nil, err
		}
		var via []string
		for minor := at.Minor() + 1; minor < target.Minor(); minor++ {
			if n := newestOf(fmt.Sprintf("v%d.%d", at.Major(), minor), known); n != "" {
				via = append(via, n)
			}
		}
		if p, err := PathTo(release.Kubernetes, from, to, via, known, false); err == nil {
			out = append(out, p)
		}
	}
	return out, nil
}

// KnownVersions lists a product's versions of the version table, oldest first.
func KnownVersions(product string) ([]string, error) {
	all, err := release.Known(product)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, v := range all {
		out = append(out, v.Version)
	}
	return out, nil
}
