package kind

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/release"
)

// nodePrograms are what a node runs of Kubernetes that no image holds.
func nodePrograms() []string { return []string{"kubeadm", "kubectl", "kubelet"} }

func etcdPrograms() []string { return []string{"etcd", "etcdctl", "etcdutl"} }

func (p *Provider) archives(version string) string {
	return filepath.Join(p.CacheDir, "kind", "images", version)
}

func (p *Provider) cachedArchives(version string) []string {
	all, _ := filepath.Glob(filepath.Join(p.archives(version), "*.tar")) // the pattern is a good one
	slices.Sort(all)
	return all
}

// Provide makes the programs and the images of a version available on this host: from the cache, which hack/kind/build fills, else from a registry.
func (p *Provider) Provide(ctx context.Context, product, version string) error {
	v, err := release.Resolve(product, version)
	if err != nil {
		return err
	}
	if product == release.Etcd {
		return p.Store.Ensure(ctx, v, etcdPrograms()...)
	}
	if err := p.Store.Ensure(ctx, v, nodePrograms()...); err != nil {
		return err
	}
	if len(p.cachedArchives(v.Version)) > 0 {
		return nil
	}
	done := p.Progress.Phase("images of Kubernetes %s", v.Version)
	err = p.pull(ctx, v.Version)
	done(err)
	return err
}

// EtcdOf asks the version's kubeadm.
func (p *Provider) EtcdOf(ctx context.Context, kubernetes string) (string, error) {
	return p.Store.EtcdOf(ctx, kubernetes)
}

// pull saves the images that the version's own kubeadm names.
func (p *Provider) pull(ctx context.Context, version string) (err error) {
	if _, err := p.cli().check(ctx); err != nil {
		return err
	}
	raw, err := p.Store.Images(ctx, version)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(p.archives(version)), 0o755); err != nil {
		return fmt.Errorf("images of %s: %w", version, err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(p.archives(version)), "."+version)
	if err != nil {
		return fmt.Errorf("images of %s: %w", version, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	for _, image := range raw {
		if _, err := p.cli().out(ctx, "pull", "--quiet", image); err != nil {
			return cluster.Usagef("the images of Kubernetes %s are not in %s and cannot be pulled: make them with `hack/kind/build %s`: %w", version, p.archives(version), version, err)
		}
		file := strings.NewReplacer("/", "_", ":", "_").Replace(image) + ".tar"
		if _, err := p.cli().out(ctx, "save", "--output", filepath.Join(tmp, file), image); err != nil {
			return fmt.Errorf("images of %s: %w", version, err)
		}
	}
	return os.Rename(tmp, p.archives(version)) // whole, or not at all
}

// Install puts programs in place by a rename, under those that run, and of Kubernetes loads the version's images first.
func (m *Machine) Install(ctx context.Context, product, version string, programs ...string) error {
	p := m.cluster.provider
	from := filepath.Join(p.Store.Root(), product, version)
	if len(programs) == 0 {
		programs = nodePrograms()
		if product == release.Etcd {
			programs = etcdPrograms()
		}
	}
	for _, name := range programs {
		if _, err := os.Stat(filepath.Join(from, name)); err != nil {
			return fmt.Errorf("%s: install %s %s: %w", m.name, name, version, err)
		}
	}
	if product == release.Kubernetes {
		if err := m.installImages(ctx, version); err != nil {
			return fmt.Errorf("%s: images of %s: %w", m.name, version, err)
		}
	}
	for _, name := range programs {
		if err := m.installProgram(ctx, filepath.Join(from, name), name); err != nil {
			return fmt.Errorf("%s: install %s %s: %w", m.name, name, version, err)
		}
	}
	return nil
}

func (m *Machine) installProgram(ctx context.Context, from, name string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	to := m.cluster.record.Profile.Programs + "/" + name
	return m.put(ctx, f, to, m.cluster.record.Profile.Programs+"/."+name+".drydock-new", 0o755)
}

// installImages imports a version's archives where they are not yet. What is not of the control plane goes to every node at once: kubeadm's health check
// is a Job that any node may run, and the addons of the version go to all of them before they are upgraded themselves.
func (m *Machine) installImages(ctx context.Context, version string) error {
	all := m.cluster.provider.cachedArchives(version)
	everywhere := slices.DeleteFunc(slices.Clone(all), ofControlPlane)
	g, each := errgroup.WithContext(ctx)
	for _, other := range m.cluster.machines {
		if other == m {
			continue
		}
		g.Go(func() error {
			if on, err := other.Powered(each); err != nil || !on {
				return err // it runs no Job either, and gets them with its own upgrade
			}
			return other.importOnce(each, version, "everywhere", everywhere)
		})
	}
	g.Go(func() error {
		if m.role != cluster.ControlPlane {
			return m.importOnce(each, version, "everywhere", everywhere)
		}
		return m.importOnce(each, version, "all", all)
	})
	return g.Wait()
}

func ofControlPlane(archive string) bool {
	for _, pod := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		if strings.Contains(filepath.Base(archive), pod) {
			return true
		}
	}
	return false
}

// importOnce leaves a marker on the node's disk; those of the version that the node was made of are in its image.
func (m *Machine) importOnce(ctx context.Context, version, set string, archives []string) error {
	marker := "/var/lib/drydock/images/" + version + "-" + set
	if _, err := m.Exec(ctx, cluster.Command{Args: []string{"/bin/sh", "-c", `[ -e "$0" ] || [ "$(cat /kind/version)" = "$1" ]`, marker, version}}); err == nil {
		return nil
	}
	if len(archives) == 0 {
		return fmt.Errorf("%s: %s has no images: Provide was not called", m.name, m.cluster.provider.archives(version))
	}
	for _, archive := range archives {
		if err := m.importImages(ctx, archive); err != nil {
			return err
		}
	}
	return m.WriteFile(ctx, marker, nil, 0o644)
}

// importImages gives an archive of `docker save` to the node's containerd.
func (m *Machine) importImages(ctx context.Context, archive string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = m.Exec(ctx, cluster.Command{Args: []string{"ctr", "--namespace", "k8s.io", "images", "import", "--digests", "-"}, Stdin: f})
	return err
}
