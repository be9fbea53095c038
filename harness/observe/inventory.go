package observe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
)

// Inventory is what a change to a cluster should leave as it was: taken before and after, and compared.
type Inventory struct {
	Nodes     map[string]NodeFacts         `json:"nodes"`
	Leftovers []string                     `json:"leftovers"`          // MACHINE: FILE, of the places asked for
	Members   string                       `json:"members"`            // what is wrong with the member list; empty: nothing
	Unread    string                       `json:"unread"`             // why the member list could not be read; empty: it was
	Files     map[string][]string          `json:"files"`              // by machine, all paths in the directories that configure it
	Contents  map[string]map[string]string `json:"contents,omitempty"` // by machine, hashes of the files among them; nil: not read
	Orphans   []string                     `json:"orphans"`            // pods and heartbeats of nodes that are not there, pods that do not end
	Scaled    []string                     `json:"scaled"`             // Deployments that were scaled down for the time of the change
	Objects   *Objects                     `json:"objects"`
	Machines  map[string]MachineState      `json:"machines,omitempty"` // nil: not read
	Unseen    string                       `json:"unseen,omitempty"`   // why they were not
}

// NodeFacts are the parts of a Node that belong to its owner, not to its kubelet.
type NodeFacts struct {
	Labels        map[string]string `json:"labels"`
	Annotations   map[string]string `json:"annotations"`
	Taints        []string          `json:"taints"`
	Unschedulable bool              `json:"unschedulable"`
}

// Residue says where changes to a cluster leave things: files on machines, by shell pattern, and the annotation of scaled Deployments.
type Residue struct {
	Files      []string
	Annotation string
}

// membersFor is how long the member list may take.
const membersFor = 5 * time.Second

// TakeInventory reads it; an error says what could not be read, and then the inventory proves nothing.
func (t *Target) TakeInventory(ctx context.Context, where Residue) (*Inventory, error) {
	if t.Client == nil {
		return nil, errors.New("inventory: the cluster has no API server")
	}
	in := &Inventory{Nodes: map[string]NodeFacts{}}
	nodes, err := t.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	for i := range nodes.Items {
		in.Nodes[nodes.Items[i].Name] = factsOf(&nodes.Items[i])
	}
	pods, err := t.Client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	if err := t.orphans(ctx, in, pods.Items); err != nil {
		return nil, err
	}
	if in.Machines, err = t.states(ctx, pods.Items); err != nil {
		in.Unseen = err.Error()
	}
	deployments, err := t.Client.AppsV1().Deployments("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	for _, d := range deployments.Items {
		if d.Annotations[where.Annotation] != "" {
			in.Scaled = append(in.Scaled, d.Namespace+"/"+d.Name)
		}
	}
	if err := t.files(ctx, in, where); err != nil {
		return nil, err
	}
	if list := t.Members.Membership(ctx, membersFor); list.Error != "" {
		in.Unread = list.Error
	} else if err := etcd.Exact(list.Members, t.Etcd.Machines()); err != nil {
		in.Members = err.Error()
	}
	in.Objects = ReadObjects(ctx, t.Config)
	return in, nil
}

// configured are the directories whose listing is compared: what lies in them is run or read by somebody, a copy of a manifest as well as the manifest.
const configured = "/etc/kubernetes /etc/systemd/system /etc/cni/net.d /etc/containerd /var/lib/kubelet/config.yaml /var/lib/kubelet/config.yaml.d /var/lib/kubelet/kubeadm-flags.env"

func (t *Target) files(ctx context.Context, in *Inventory, where Residue) error {
	in.Files, in.Contents = map[string][]string{}, map[string]map[string]string{}
	for _, m := range t.Cluster.Machines() {
		leftovers, err := cluster.Glob(ctx, m, where.Files...)
		if err != nil {
			return fmt.Errorf("inventory: %w", err)
		}
		for _, f := range leftovers {
			in.Leftovers = append(in.Leftovers, m.Name()+": "+f)
		}
		paths, err := cluster.Shell(ctx, m, "for d in "+configured+`; do [ ! -e "$d" ] || find "$d"; done`)
		if err != nil {
			return fmt.Errorf("inventory: %w", err)
		}
		in.Files[m.Name()] = strings.Split(strings.TrimSpace(paths), "\n")
		slices.Sort(in.Files[m.Name()])
		if in.Contents[m.Name()], err = contents(ctx, m); err != nil {
			return fmt.Errorf("inventory: %w", err)
		}
	}
	return nil
}

// contents are the hashes of the configured files: what is read once, at a start, does no harm until then, and nobody else looks.
func contents(ctx context.Context, m cluster.Machine) (map[string]string, error) {
	sums, err := cluster.Shell(ctx, m, "for d in "+configured+`; do [ ! -e "$d" ] || find "$d" -type f -exec sha256sum {} +; done`)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for line := range strings.Lines(sums) {
		if sum, file, ok := strings.Cut(strings.TrimSpace(line), "  "); ok {
			out[file] = sum
		}
	}
	return out, nil
}

func factsOf(n *corev1.Node) NodeFacts {
	f := NodeFacts{Labels: n.Labels, Annotations: n.Annotations, Unschedulable: n.Spec.Unschedulable}
	for _, taint := range n.Spec.Taints {
		f.Taints = append(f.Taints, taint.ToString())
	}
	slices.Sort(f.Taints)
	return f
}

// orphans finds pods bound to no node, or on their way out of one for longer than they may take, and heartbeats nobody sends.
func (t *Target) orphans(ctx context.Context, in *Inventory, pods []corev1.Pod) error {
	for i := range pods {
		p := &pods[i]
		if _, there := in.Nodes[p.Spec.NodeName]; p.Spec.NodeName != "" && !there {
			in.Orphans = append(in.Orphans, fmt.Sprintf("pod %s/%s on node %s, which is gone", p.Namespace, p.Name, p.Spec.NodeName))
		}
		if p.DeletionTimestamp != nil && metav1.Now().After(p.DeletionTimestamp.Time) { // it includes the grace period
			in.Orphans = append(in.Orphans, fmt.Sprintf("pod %s/%s, which does not end", p.Namespace, p.Name))
		}
	}
	leases, err := t.Client.CoordinationV1().Leases(corev1.NamespaceNodeLease).List(ctx, metav1.ListOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("inventory: %w", err)
	}
	for _, l := range leases.Items {
		if _, there := in.Nodes[l.Name]; !there {
			in.Orphans = append(in.Orphans, fmt.Sprintf("heartbeat of node %s, which is gone", l.Name))
		}
	}
	return nil
}
