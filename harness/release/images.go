package release

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path"
	"slices"
	"strings"
)

// Images are those that a version of Kubernetes asks for, as its own kubeadm, which the cache has to have, names them.
func (s *Store) Images(ctx context.Context, version string) ([]string, error) {
	out, err := exec.CommandContext(ctx, s.Path(Kubernetes, version, "kubeadm"), "config", "images", "list", "--kubernetes-version", version).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return nil, fmt.Errorf("which images Kubernetes %s needs, by its kubeadm: %w", version, err)
	}
	return strings.Fields(string(out)), nil
}

// EtcdOf is the etcd that a cluster of a version of Kubernetes runs unless it names another: its kubeadm's own.
func (s *Store) EtcdOf(ctx context.Context, version string) (string, error) {
	images, err := s.Images(ctx, version)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(images, func(ref string) bool { return strings.HasPrefix(path.Base(ref), Etcd+":") })
	if i < 0 {
		return "", fmt.Errorf("the kubeadm of Kubernetes %s names no image of etcd: %s", version, strings.Join(images, ", "))
	}
	_, tag, _ := strings.Cut(path.Base(images[i]), ":")
	return EtcdTagged(tag), nil
}

// EtcdTag is the tag of the image of a release of etcd, 3.6.6-0 of v3.6.6: the number behind the dash is that of the image, of which few had another.
func EtcdTag(version string) string { return strings.TrimPrefix(version, "v") + "-0" }

// EtcdTagged is the release of etcd in the image of a tag.
func EtcdTagged(tag string) string {
	number, _, _ := strings.Cut(tag, "-")
	return "v" + strings.TrimPrefix(number, "v")
}
