package kubeadm

import (
	"context"
	"fmt"
	"maps"
	"path"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/release"
)

// installEtcd puts the etcd that a control plane's manifest has run, with its tools, on the machine's PATH: what is read of a member's data, or made for it, is to be
// of the member's own release.
func installEtcd(ctx context.Context, t cluster.Topology, m cluster.Machine) error {
	if t.Etcd != cluster.EtcdStacked || m.Role() != cluster.ControlPlane {
		return nil
	}
	tags, err := ManifestVersions(ctx, t, m)
	if err != nil {
		return err
	}
	inst, err := cluster.As[cluster.Installer](m)
	if err != nil {
		return err
	}
	return inst.Install(ctx, release.Etcd, release.EtcdTagged(tags[etcd.Program]))
}

// PinEtcd writes a version of etcd into the cluster's configuration, by which kubeadm upgrades members and makes new ones from then on (etcd.local.imageTag).
func PinEtcd(ctx context.Context, client kubernetes.Interface, version string) error {
	config, err := ReadConfig(ctx, client)
	if err != nil {
		return err
	}
	c, err := clusterConfiguration(config[clusterMap])
	if err != nil {
		return err
	}
	if c == nil {
		return fmt.Errorf("%s has no %s: which etcd kubeadm makes cannot be said there", clusterMap, clusterKey)
	}
	if err := unstructured.SetNestedField(c, release.EtcdTag(version), imageTag()...); err != nil {
		return fmt.Errorf("%s: %w", clusterMap, err)
	}
	raw, err := yaml.Marshal(c)
	if err != nil {
		return fmt.Errorf("%s: %w", clusterMap, err)
	}
	config[clusterMap] = maps.Clone(config[clusterMap])
	config[clusterMap][clusterKey] = string(raw)
	return WriteConfig(ctx, client, config)
}

// NamedEtcd is the version of etcd that the cluster's configuration names; empty: none, or there is no configuration of kubeadm's.
func NamedEtcd(ctx context.Context, client kubernetes.Interface) (string, error) {
	tag, err := clusterField(ctx, client, imageTag()...)
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if err != nil || tag == "" {
		return "", err
	}
	return release.EtcdTagged(tag), nil
}

// imageTag is where the configuration names it.
func imageTag() []string { return []string{"etcd", "local", "imageTag"} }

// FollowEtcd does so again after its manifest was changed, where it was done before.
func FollowEtcd(ctx context.Context, c cluster.Cluster, m cluster.Machine) error {
	there, err := cluster.Glob(ctx, m, path.Join(c.Profile().Programs, etcd.Program))
	if err != nil || len(there) == 0 {
		return err
	}
	return installEtcd(ctx, c.Topology(), m)
}
