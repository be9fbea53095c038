package kubeadm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"drydock.dev/drydock/harness/cluster"
)

// Where kubeadm keeps a control plane's static pods, and what it puts aside during an upgrade. kubeadm leaves these
// backups behind, after a success as well as after an interrupt.
const (
	ManifestDir   = "/etc/kubernetes/manifests"
	BackupPattern = "/etc/kubernetes/tmp/kubeadm-*"
)

// Files of a machine that an upgrade rewrites, besides the manifests.
var upgradedFiles = []string{"/var/lib/kubelet/config.yaml", "/var/lib/kubelet/kubeadm-flags.env"} //nolint:gochecknoglobals // a constant list

// StaticPods are the components kubeadm runs as static pods on a control plane. A stacked etcd comes first, as in an upgrade.
func StaticPods(t cluster.Topology) []string {
	pods := []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"}
	if t.Etcd == cluster.EtcdStacked {
		pods = append([]string{"etcd"}, pods...)
	}
	return pods
}

// Upgrade runs `kubeadm upgrade`: apply on the control plane that takes the cluster to the version, node on every other machine. Where that is
// Hastened it restarts the kubelet of a control plane up to once for each static pod.
func Upgrade(ctx context.Context, c cluster.Cluster, m cluster.Machine, version string, apply bool) error {
	p, err := params{Version: version, Profile: c.Profile(), Fast: c.Topology().Timing == cluster.TimingFast}.of(m).stillPatched(ctx, m)
	if err != nil {
		return err
	}
	config, err := render(p, "upgrade.yaml.tmpl")
	if err != nil {
		return err
	}
	const file = "/run/drydock-upgrade.yaml" // not where somebody could take it for the cluster's
	if err := m.WriteFile(ctx, file, config, 0o600); err != nil {
		return err
	}
	verb := "node"
	if apply {
		verb = "apply"
	}
	args := []string{"kubeadm", "upgrade", verb, "--config", file}
	if m.Role() == cluster.ControlPlane && Hastened(c.Topology()) {
		args = hasten(c.Topology(), args)
	}
	if _, err = m.Exec(ctx, cluster.Command{Args: args}); err != nil {
		return err
	}
	return FollowEtcd(ctx, c, m)
}

// ClusterVersion is the version the kubeadm-config ConfigMap says the cluster has: `upgrade apply` writes it when it has ended well.
func ClusterVersion(ctx context.Context, client kubernetes.Interface) (string, error) {
	return clusterField(ctx, client, "kubernetesVersion")
}

// ManifestVersions are the image tags of a machine's static pods; a missing manifest is missing here too.
func ManifestVersions(ctx context.Context, t cluster.Topology, m cluster.Machine) (map[string]string, error) {
	out := map[string]string{}
	for _, name := range StaticPods(t) {
		tag, err := ManifestVersion(ctx, m, Manifest(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out[name] = tag
	}
	return out, nil
}

// Manifest is the file of a static pod.
func Manifest(name string) string { return path.Join(ManifestDir, name+".yaml") }

// ManifestVersion is the image tag of the static pod in a file; fs.ErrNotExist when there is none.
func ManifestVersion(ctx context.Context, m cluster.Machine, file string) (string, error) {
	raw, err := m.ReadFile(ctx, file)
	if err != nil {
		return "", err
	}
	var pod struct {
		Spec struct {
			Containers []struct {
				Image string `json:"image"`
			} `json:"containers"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(raw, &pod); err != nil {
		return "", fmt.Errorf("%s: the manifest %s: %w", m.Name(), file, err)
	}
	if len(pod.Spec.Containers) == 0 {
		return "", fmt.Errorf("%s: the manifest %s has no container", m.Name(), file)
	}
	image := pod.Spec.Containers[0].Image
	return image[strings.LastIndexByte(image, ':')+1:], nil
}

// SavedFiles are the files of a machine that an upgrade may change.
func SavedFiles(t cluster.Topology, m cluster.Machine) []string {
	out := slices.Clone(upgradedFiles)
	if m.Role() == cluster.ControlPlane {
		for _, p := range StaticPods(t) {
			out = append(out, Manifest(p))
		}
	}
	return out
}

// Backups lists what kubeadm has put aside on a machine, as full paths.
func Backups(ctx context.Context, m cluster.Machine) ([]string, error) {
	return cluster.Glob(ctx, m, BackupPattern)
}

// RemoveBackups removes them; the caller keeps what is needed for a rollback elsewhere.
func RemoveBackups(ctx context.Context, m cluster.Machine) error {
	_, err := cluster.Shell(ctx, m, "rm -rf "+BackupPattern)
	return err
}
