package kubeadm

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func TestConfigComesBackAsItWas(t *testing.T) {
	ctx := context.Background()
	stored := func(name, key, value string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: metav1.NamespaceSystem}, Data: map[string]string{key: value}}
	}
	client := fake.NewClientset(stored("kubeadm-config", "ClusterConfiguration", "kubernetesVersion: v1.35.4\n"), stored("kubelet-config", "kubelet", "old"))
	before, err := ReadConfig(ctx, client)
	if err != nil {
		t.Fatal(err)
	}
	maps := client.CoreV1().ConfigMaps(metav1.NamespaceSystem)
	for _, m := range []*corev1.ConfigMap{stored("kubeadm-config", "ClusterConfiguration", "kubernetesVersion: v1.36.3\n"), stored("kubelet-config", "kubelet", "new")} {
		if _, err := maps.Update(ctx, m, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := WriteConfig(ctx, client, before); err != nil {
		t.Fatal(err)
	}
	at, err := ClusterVersion(ctx, client)
	if err != nil || at != "v1.35.4" {
		t.Errorf("kubeadm-config says %q, %v", at, err)
	}
	if m, err := maps.Get(ctx, "kubelet-config", metav1.GetOptions{}); err != nil || m.Data["kubelet"] != "old" {
		t.Errorf("kubelet-config has %v, %v", m.Data, err)
	}
	if err := PinEtcd(ctx, client, "v3.5.26"); err != nil {
		t.Fatal(err)
	}
	if named, err := NamedEtcd(ctx, client); err != nil || named != "v3.5.26" {
		t.Errorf("the configuration names etcd %q, %v", named, err)
	}
	pinned, err := ReadConfig(ctx, client)
	if err != nil || pinned["kubeadm-config"]["ClusterConfiguration"] != "etcd:\n  local:\n    imageTag: 3.5.26-0\nkubernetesVersion: v1.35.4\n" {
		t.Errorf("the configuration with a version of etcd is %v, %v", pinned, err)
	}
	if err := WriteConfig(ctx, client, before); err != nil {
		t.Fatal(err)
	}
	if named, err := NamedEtcd(ctx, client); err != nil || named != "" {
		t.Errorf("the configuration names etcd %q, %v", named, err)
	}
	n := len(client.Actions())
	if err := WriteConfig(ctx, client, before); err != nil {
		t.Fatal(err)
	}
	for _, a := range client.Actions()[n:] {
		if a.GetVerb() != "get" {
			t.Errorf("what was as it should be was touched: %s", a.GetVerb())
		}
	}
}
