package kubeadm

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"drydock.dev/drydock/harness/cluster"
)

// RESTConfig is the admin's configuration for clients in this process, through the cluster's balancer.
func RESTConfig(ctx context.Context, c cluster.Cluster) (*rest.Config, error) {
	raw, err := c.Kubeconfig(ctx)
	if err != nil {
		return nil, err
	}
	cfg, err := clientcmd.RESTConfigFromKubeConfig(raw)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	cfg.Host = "https://" + c.Endpoint() // the kubeconfig's own may be a way that only this host has
	cfg.Dial = c.Dial
	cfg.QPS, cfg.Burst = -1, -1 // a probe that waits for a client-side limit measures nothing
	return cfg, nil
}

// AdminClient is a clientset for the admin.
func AdminClient(ctx context.Context, c cluster.Cluster) (kubernetes.Interface, error) {
	cfg, err := RESTConfig(ctx, c)
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return client, nil
}

// versionsWithin bounds a look at the versions that run: whoever asks is a person at a terminal.
const versionsWithin = 2 * time.Second

// ServerVersion is what the API server behind the balancer says it is.
func ServerVersion(ctx context.Context, c cluster.Cluster) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, versionsWithin)
	defer cancel()
	client, err := AdminClient(ctx, c)
	if err != nil {
		return "", err
	}
	raw, err := client.Discovery().RESTClient().Get().AbsPath("/version").DoRaw(ctx)
	if err != nil {
		return "", fmt.Errorf("version of the API server: %w", err)
	}
	var v version.Info
	if err := json.Unmarshal(raw, &v); err != nil {
		return "", fmt.Errorf("version of the API server: %w", err)
	}
	return v.GitVersion, nil
}

// KubeletVersions are what the nodes say they run, by machine.
func KubeletVersions(ctx context.Context, c cluster.Cluster) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, versionsWithin)
	defer cancel()
	client, err := AdminClient(ctx, c)
	if err != nil {
		return nil, err
	}
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("versions of the kubelets: %w", err)
	}
	out := map[string]string{}
	for _, n := range nodes.Items {
		out[n.Name] = n.Status.NodeInfo.KubeletVersion
	}
	return out, nil
}

// ServerURL is a control plane's own API server, past the balancer.
func ServerURL(m cluster.Machine) string {
	return "https://" + net.JoinHostPort(m.Addr().String(), strconv.Itoa(APIPort))
}

// Health asks one API server's /livez or /readyz directly, past the balancer; nil means it answered 200.
func Health(ctx context.Context, c cluster.Cluster, machine, path string) error {
	m, err := c.Machine(machine)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, DialContext: c.Dial,
		// Anonymous health needs no trust; nothing secret is sent.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	url := ServerURL(m) + path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", machine, err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", machine, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		return fmt.Errorf("%s: %s is %s: %s", machine, path, resp.Status, body)
	}
	return nil
}

// NodeReady says why a node is not Ready.
func NodeReady(n *corev1.Node) error {
	for _, cond := range n.Status.Conditions {
		if cond.Type == corev1.NodeReady {
			if cond.Status == corev1.ConditionTrue {
				return nil
			}
			return fmt.Errorf("node %s is not ready: %s", n.Name, cond.Message)
		}
	}
	return fmt.Errorf("node %s has no Ready condition", n.Name)
}

// NodeSilent reports whether a node's kubelet has not told of it in time, which is all that is known of it then.
func NodeSilent(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionUnknown
	})
}

// Identity is which machine a Node is of: BootID is its kernel's since it started, MachineID its disk's.
type Identity struct {
	BootID    string `json:"bootID,omitempty"`
	MachineID string `json:"machineID,omitempty"`
}

// IdentityOf is what a Node tells of its machine.
func IdentityOf(n *corev1.Node) Identity {
	return Identity{n.Status.NodeInfo.BootID, n.Status.NodeInfo.MachineID}
}

// Another says why a Node is not of another machine than the old one.
func Another(n *corev1.Node, was Identity) error {
	now := IdentityOf(n)
	switch {
	case now.BootID == "" || now.MachineID == "":
		return fmt.Errorf("node %s does not say which machine it is of: boot %q, machine %q", n.Name, now.BootID, now.MachineID)
	case now.BootID == was.BootID:
		return fmt.Errorf("node %s reports boot %s, the old machine's", n.Name, now.BootID)
	case now.MachineID == was.MachineID:
		return fmt.Errorf("node %s has machine id %s, the old machine's", n.Name, now.MachineID)
	}
	return nil
}

// Leases names the leader-election leases in kube-system.
func Leases() []string { return []string{"kube-controller-manager", "kube-scheduler"} }
