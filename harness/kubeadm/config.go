// Package kubeadm brings clusters up with the unmodified kubeadm and kubelet, through the Machine interface only.
package kubeadm

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"text/template"
	"time"

	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/yaml"

	"drydock.dev/drydock/fixtures"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/release"
)

// APIPort is where every API server listens.
const APIPort = 6443

// The networks of a cluster.
const (
	podNet     = "10.244.0.0/16"
	serviceNet = "10.96.0.0/12"
)

// LeaderLease is how controller-manager and scheduler elect a leader (--leader-elect-lease-duration and so on).
type LeaderLease struct{ Duration, Renew, Retry time.Duration }

// Lease is the leader election of a timing. Production has Kubernetes' defaults.
func Lease(t cluster.Timing) LeaderLease {
	if t == cluster.TimingFast {
		return LeaderLease{Duration: 6 * time.Second, Renew: 4 * time.Second, Retry: time.Second}
	}
	return LeaderLease{Duration: 15 * time.Second, Renew: 10 * time.Second, Retry: 2 * time.Second}
}

// NodeLossTimes is how a lost node is noticed and what becomes of its pods.
type NodeLossTimes struct {
	Renew      time.Duration // between two heartbeats of a kubelet: a quarter of its lease
	Lease      time.Duration // nodeLeaseDurationSeconds of the kubelet
	Monitor    time.Duration // --node-monitor-period: how often heartbeats are looked at
	Grace      time.Duration // --node-monitor-grace-period: so long without one, and the node is Unknown
	Toleration time.Duration // --default-unreachable-toleration-seconds: so long a pod stays on it that says nothing itself
}

// NodeLoss has the times of a timing, as fixtures/kubeadm sets them. Production has Kubernetes' defaults, with the grace period of v1.32 and later.
func NodeLoss(t cluster.Timing) NodeLossTimes {
	if t == cluster.TimingFast {
		return NodeLossTimes{Renew: 2 * time.Second, Lease: 8 * time.Second, Monitor: time.Second, Grace: 12 * time.Second, Toleration: 10 * time.Second}
	}
	return NodeLossTimes{Renew: 10 * time.Second, Lease: 40 * time.Second, Monitor: 5 * time.Second, Grace: 50 * time.Second, Toleration: 300 * time.Second}
}

// params are what the templates are filled with.
type params struct {
	Version, Endpoint, PodNet, ServiceNet string
	Profile                               cluster.Profile
	Fast                                  bool
	Lease                                 LeaderLease
	EtcdEndpoints                         []string
	EtcdTag                               string // of the image of its members; empty: kubeadm's own
	EtcdGates                             bool   // the members know feature gates
	Token, CertificateKey, CAHash         string
	Name, Address                         string
	ControlPlane                          bool
	Patches                               string // directory of kubeadm's patches on the machine; empty: there are none
}

// newParams holds the secrets of one bring-up.
func newParams(c cluster.Cluster) (params, error) {
	t := c.Topology()
	p := params{
		Version: t.Version, Endpoint: c.Endpoint(), PodNet: podNet, ServiceNet: serviceNet, Profile: c.Profile(),
		Fast: t.Timing == cluster.TimingFast, Lease: Lease(t.Timing),
	}.stacked(t)
	secret := make([]byte, 32+8)
	if _, err := rand.Read(secret); err != nil {
		return p, fmt.Errorf("bootstrap token: %w", err)
	}
	p.CertificateKey = hex.EncodeToString(secret[:32])
	text := hex.EncodeToString(secret[32:])
	p.Token = "dryd0c." + text // [a-z0-9]{6}.[a-z0-9]{16}
	if t.Etcd == cluster.EtcdExternal {
		for _, name := range t.EtcdMachines() {
			m, err := c.Machine(name)
			if err != nil {
				return p, err
			}
			p.EtcdEndpoints = append(p.EtcdEndpoints, "http://"+net.JoinHostPort(m.Addr().String(), strconv.Itoa(etcd.ClientPort)))
		}
	}
	return p, nil
}

// Cluster is the configuration that a timing and the machines ask of a cluster, for who has kubeadm run by somebody else: documents of YAML, with a
// ClusterConfiguration and a KubeletConfiguration among them.
func Cluster(t cluster.Topology, p cluster.Profile) ([]byte, error) {
	return render(params{
		Version: t.Version, PodNet: podNet, ServiceNet: serviceNet, Profile: p, Fast: t.Timing == cluster.TimingFast, Lease: Lease(t.Timing),
	}.stacked(t), "cluster.yaml.tmpl")
}

// Etcd has feature gates since v3.6, which kubeadm runs since v1.34.
const (
	gatedEtcd       = "v3.6.0"
	gatedKubernetes = "v1.34.0"
)

// stacked says which etcd the members are that kubeadm makes.
func (p params) stacked(t cluster.Topology) params {
	if t.Etcd != cluster.EtcdStacked {
		return p
	}
	p.EtcdGates = since(t.Version, gatedKubernetes)
	if t.EtcdVersion != "" {
		p.EtcdTag = release.EtcdTag(t.EtcdVersion)
		p.EtcdGates = since(t.EtcdVersion, gatedEtcd)
	}
	return p
}

func since(v, first string) bool {
	parsed, err := version.ParseSemantic(v)
	return err == nil && parsed.AtLeast(version.MustParseSemantic(first))
}

func (p params) of(m cluster.Machine) params {
	p.Name, p.Address, p.ControlPlane = m.Name(), m.Addr().String(), m.Role() == cluster.ControlPlane
	return p
}

func render(p params, names ...string) ([]byte, error) {
	var out bytes.Buffer
	for _, n := range names {
		t, err := template.New(n).Option("missingkey=error").Funcs(template.FuncMap{"json": asJSON, "yaml": asYAML}).ParseFS(fixtures.Kubeadm, "kubeadm/"+n)
		if err != nil {
			return nil, fmt.Errorf("kubeadm configuration: %w", err)
		}
		if err := t.Execute(&out, p); err != nil {
			return nil, fmt.Errorf("kubeadm configuration: %w", err)
		}
	}
	return out.Bytes(), nil
}

// asJSON is a list in the flow style of YAML; none is an empty one.
func asJSON(list []string) (string, error) {
	raw, err := json.Marshal(append([]string{}, list...))
	return string(raw), err
}

// asYAML is a map's fields, one or more lines each; nothing for an empty map.
func asYAML(fields map[string]any) (string, error) {
	if len(fields) == 0 {
		return "", nil
	}
	raw, err := yaml.Marshal(fields)
	return string(raw), err
}

// shape hashes everything a bring-up is made of, for the key of a saved cluster.
func shape(p cluster.Profile) (string, error) {
	profile, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("kubeadm configuration: %w", err)
	}
	h := sha256.New()
	_, _ = h.Write(profile)
	for _, n := range []string{"init.yaml.tmpl", "cluster.yaml.tmpl", "join.yaml.tmpl", patchTemplate, unitTemplate} {
		raw, err := fixtures.Kubeadm.ReadFile("kubeadm/" + n)
		if err != nil {
			return "", fmt.Errorf("kubeadm configuration: %w", err)
		}
		_, _ = h.Write(raw)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
