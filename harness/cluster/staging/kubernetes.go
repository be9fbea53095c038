package staging

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/e2e-framework/klient/k8s/resources"
	"sigs.k8s.io/yaml"

	"drydock.dev/drydock/harness/cluster"
)

const (
	internalIP = string(corev1.NodeInternalIP)
	externalIP = string(corev1.NodeExternalIP)
	// askWithin bounds what the API server is asked for when a cluster is attached to.
	askWithin = 15 * time.Second
)

// kube is the way to the API server, as the user's kubeconfig has it.
type kube struct {
	raw    []byte // the kubeconfig, of its current context alone
	config *rest.Config
	name   string // of the cluster in it
	server string // host:port
}

func readKubeconfig(path string) (*kube, error) {
	cfg, err := clientcmd.LoadFromFile(path)
	if err != nil {
		return nil, cluster.Usagef("kubeconfig: %w", err)
	}
	at, ok := cfg.Contexts[cfg.CurrentContext]
	if !ok || cfg.Clusters[at.Cluster] == nil {
		return nil, cluster.Usagef("kubeconfig %s: its current context %q leads to no cluster", path, cfg.CurrentContext)
	}
	if err := clientcmdapi.MinifyConfig(cfg); err != nil {
		return nil, cluster.Usagef("kubeconfig %s: %w", path, err)
	}
	if err := clientcmdapi.FlattenConfig(cfg); err != nil { // files it names become part of it
		return nil, cluster.Usagef("kubeconfig %s: %w", path, err)
	}
	k := &kube{name: at.Cluster}
	if k.raw, err = clientcmd.Write(*cfg); err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	if k.config, err = clientcmd.RESTConfigFromKubeConfig(k.raw); err != nil {
		return nil, cluster.Usagef("kubeconfig %s: %w", path, err)
	}
	u, err := url.Parse(k.config.Host)
	if err != nil || u.Scheme != "https" {
		return nil, cluster.Usagef("kubeconfig %s: server %q is no https:// URL", path, k.config.Host)
	}
	k.server = u.Host
	if u.Port() == "" {
		k.server = net.JoinHostPort(u.Hostname(), "443")
	}
	return k, nil
}

// survey asks the API server what the cluster is: its own name, its shape, and where its machines are.
func (k *kube) survey(ctx context.Context, inv *Inventory) (*plot, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	r, err := resources.New(k.config)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	var nodes corev1.NodeList
	if err := r.List(ctx, &nodes); err != nil {
		return nil, fmt.Errorf("nodes: %w", err)
	}
	var pods corev1.PodList
	if err := r.WithNamespace("kube-system").List(ctx, &pods, resources.WithLabelSelector("tier=control-plane")); err != nil {
		return nil, fmt.Errorf("pods of the control plane: %w", err)
	}
	p := &plot{Server: k.server, Topology: cluster.Topology{Etcd: cluster.EtcdExternal, Timing: cluster.TimingProduction}}
	if p.Topology.Name, err = k.ownName(ctx, r); err != nil {
		return nil, err
	}
	for i := range pods.Items {
		p.Topology = told(p.Topology, &pods.Items[i])
	}
	for i := range nodes.Items {
		place, err := locate(&nodes.Items[i], inv)
		if err != nil {
			return nil, err
		}
		p.Places = append(p.Places, place)
		p.Topology.Version = nodes.Items[i].Status.NodeInfo.KubeletVersion
	}
	for _, h := range inv.Machines {
		if h.Role == cluster.Etcd {
			p.Places = append(p.Places, outside(h, inv))
		} else if !slices.ContainsFunc(p.Places, func(l place) bool { return l.Name == h.Name }) {
			return nil, cluster.Usagef("the inventory's machine %s is no Node of cluster %s; say role: etcd if it is not to be one", h.Name, p.Topology.Name)
		}
	}
	p.complete()
	return p, nil
}

// ownName is what kubeadm was told, or else what the kubeconfig calls it.
func (k *kube) ownName(ctx context.Context, r *resources.Resources) (string, error) {
	var cm corev1.ConfigMap
	err := r.Get(ctx, "kubeadm-config", "kube-system", &cm)
	if apierrors.IsNotFound(err) {
		return k.name, nil
	}
	if err != nil {
		return "", fmt.Errorf("the cluster's own name: %w", err)
	}
	var c struct {
		ClusterName string `json:"clusterName"`
	}
	if err := yaml.Unmarshal([]byte(cm.Data["ClusterConfiguration"]), &c); err != nil {
		return "", fmt.Errorf("the cluster's own name: kubeadm-config: %w", err)
	}
	if c.ClusterName == "" {
		return k.name, nil
	}
	return c.ClusterName, nil
}

// told is what a pod of the control plane tells of the cluster's shape.
func told(t cluster.Topology, pod *corev1.Pod) cluster.Topology {
	switch pod.Labels["component"] {
	case "etcd":
		t.Etcd = cluster.EtcdStacked
	case "kube-controller-manager":
		for _, c := range pod.Spec.Containers {
			for _, arg := range append(slices.Clone(c.Command), c.Args...) {
				grace, is := strings.CutPrefix(arg, "--node-monitor-grace-period=")
				if d, err := time.ParseDuration(grace); is && err == nil && d < fastBelow {
					t.Timing = cluster.TimingFast
				}
			}
		}
	}
	return t
}

// fastBelow is a grace period of nodes that nobody has by default: 40 s, and 50 s since v1.32.
const fastBelow = 30 * time.Second

// controlPlaneLabel is kubeadm's.
const controlPlaneLabel = "node-role.kubernetes.io/control-plane"

// locate says where a Node's machine is.
func locate(n *corev1.Node, inv *Inventory) (place, error) {
	h := inv.host(n.Name)
	l := place{MachineSpec: cluster.MachineSpec{Name: n.Name, Role: cluster.Worker}, Host: h, Address: h.Address}
	if _, is := n.Labels[controlPlaneLabel]; is {
		l.Role = cluster.ControlPlane
	}
	login := h.SSH
	for _, a := range n.Status.Addresses {
		if string(a.Type) == internalIP && l.Address == "" {
			l.Address = a.Address
		}
		if string(a.Type) == inv.SSH.Addresses && login == "" {
			login = a.Address
		}
	}
	if _, err := netip.ParseAddr(l.Address); err != nil {
		return l, cluster.Usagef("node %s has no InternalIP; say its address in the inventory", n.Name)
	}
	if login == "" {
		return l, cluster.Usagef("node %s has no %s to log in at; say ssh: in the inventory", n.Name, inv.SSH.Addresses)
	}
	l.Login = withPort(login, inv.SSH.Port)
	return l, nil
}

// outside is a machine that is no Node.
func outside(h Host, inv *Inventory) place {
	login := h.SSH
	if login == "" {
		login = h.Address
	}
	return place{MachineSpec: cluster.MachineSpec{Name: h.Name, Role: cluster.Etcd}, Host: h, Address: h.Address, Login: withPort(login, inv.SSH.Port)}
}
