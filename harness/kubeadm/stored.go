package kubeadm

import (
	"context"
	"fmt"
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"
)

// ClusterConfig is what kubeadm keeps of a cluster in ConfigMaps of kube-system, by name: kubeadm-config has its version, kubelet-config the
// configuration of kubelets that join or are upgraded.
type ClusterConfig map[string]map[string]string

func storedIn() []string { return []string{clusterMap, "kubelet-config"} }

// What has the ClusterConfiguration.
const (
	clusterMap = "kubeadm-config"
	clusterKey = "ClusterConfiguration"
)

// clusterField is a text in the ClusterConfiguration that the API server has; empty: it says nothing of that. Where there is no such ConfigMap the error is
// the API server's NotFound.
func clusterField(ctx context.Context, client kubernetes.Interface, field ...string) (string, error) {
	m, err := client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, clusterMap, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("%s: %w", clusterMap, err)
	}
	c, err := clusterConfiguration(m.Data)
	if err != nil {
		return "", err
	}
	text, _, err := unstructured.NestedString(c, field...)
	if err != nil {
		return "", fmt.Errorf("%s: %w", clusterMap, err)
	}
	return text, nil
}

// clusterConfiguration is the one in the ConfigMap's data; nil: there is none.
func clusterConfiguration(data map[string]string) (c map[string]any, err error) {
	if err := yaml.Unmarshal([]byte(data[clusterKey]), &c); err != nil {
		return nil, fmt.Errorf("%s: %w", clusterMap, err)
	}
	return c, nil
}

// ReadConfig reads them.
func ReadConfig(ctx context.Context, client kubernetes.Interface) (ClusterConfig, error) {
	out := ClusterConfig{}
	for _, name := range storedIn() {
		m, err := client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out[name] = m.Data
	}
	return out, nil
}

// WriteConfig puts them back as they were read; what is so already is not touched.
func WriteConfig(ctx context.Context, client kubernetes.Interface, config ClusterConfig) error {
	for _, name := range storedIn() {
		m, err := client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if config[name] == nil || maps.Equal(m.Data, config[name]) {
			continue
		}
		m.Data = config[name]
		if _, err := client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Update(ctx, m, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
