// Package kind is the provider whose machines are the containers of kind (sigs.k8s.io/kind): real nodes with systemd, containerd and images, made by
// kind's own library. It needs Docker and a node image.
package kind

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/release"
)

// What our clusters are known by: to kind, and in the names of machines and networks, as drydock-NAME.
const (
	prefix    = "drydock-"
	kindLabel = "io.x-k8s.kind.cluster"
	roleLabel = "io.x-k8s.kind.role"
	ownLabel  = "dev.drydock.cluster" // of what is ours beside the nodes
)

// balancerImage is a constant of kind's library, at this version of it: what it starts before several control planes.
const balancerImage = "docker.io/envoyproxy/envoy:v1.36.2"

const removeWithin = 2 * time.Minute

// Provider makes clusters by kind. It must not be copied once it is used.
type Provider struct {
	StateDir string // clusters are kept in StateDir/kind
	CacheDir string // images of versions are kept in CacheDir/kind/images/VERSION
	Program  string // the drydock binary, static: the workload's image is this and nothing else
	Store    *release.Store
	Progress cluster.Progress
	// Config is the kubeadm configuration of a topology's timing, as documents of YAML.
	Config func(t cluster.Topology, p cluster.Profile) ([]byte, error)
	// Ready returns when the cluster is whole.
	Ready func(ctx context.Context, c cluster.Cluster) error

	docker docker // nil: the docker program

	mu    sync.Mutex
	mine  map[string]*Cluster // the clusters that are this process's, by name
	tried map[string]cluster.Lacks
}

var (
	_ cluster.Provider = (*Provider)(nil)
	_ cluster.Sweeper  = (*Provider)(nil)
)

// Name is kind.
func (*Provider) Name() string { return "kind" }

func (p *Provider) cli() docker {
	if p.docker != nil {
		return p.docker
	}
	return program
}

func (p *Provider) remember(c *Cluster) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mine == nil {
		p.mine = map[string]*Cluster{}
	}
	p.mine[c.record.Topology.Name] = c
}

func (p *Provider) forget(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.mine, name)
}

// Offer says which nodes kind would make, and what they could not do.
func (p *Provider) Offer(ctx context.Context, t cluster.Topology) (cluster.Offer, error) {
	_, o, err := p.offer(ctx, t)
	return o, err
}

// terms are what a cluster is made by.
type terms struct {
	image   string
	profile cluster.Profile
}

func (p *Provider) offer(ctx context.Context, t cluster.Topology) (terms, cluster.Offer, error) {
	machines, err := p.nodes(t)
	if err != nil {
		return terms{}, cluster.Offer{}, err
	}
	info, err := p.cli().check(ctx)
	if err != nil {
		return terms{}, cluster.Offer{}, err
	}
	image, err := p.nodeImage(ctx, t)
	if err != nil {
		return terms{}, cluster.Offer{}, err
	}
	if err := checkInotify(len(machines)); err != nil {
		return terms{}, cluster.Offer{}, err
	}
	lacks, err := p.try(ctx, image)
	return terms{image, profile(info)}, cluster.Offer{Machines: machines, Lacks: lacks}, err
}

// nodes are the machines of a topology by the names that kind gives them, in its order.
func (p *Provider) nodes(t cluster.Topology) ([]cluster.MachineSpec, error) {
	if _, err := t.Validate(); err != nil {
		return nil, &cluster.UsageError{Err: err}
	}
	if !slices.Contains(Means().Layouts, t.Etcd) {
		return nil, cluster.Usagef("provider kind has etcd on its control planes only, not %q: use --provider lab", t.Etcd)
	}
	if t.EtcdVersion != "" {
		return nil, cluster.Usagef("provider kind runs the etcd in its node image, which the version's kubeadm chose, and not etcd %s: name none, or use --provider lab", t.EtcdVersion)
	}
	t.Named = nil
	var out []cluster.MachineSpec
	nth := map[cluster.Role]int{}
	for _, m := range t.Machines() {
		nth[m.Role]++
		name := prefix + t.Name + "-" + string(m.Role)
		if nth[m.Role] > 1 {
			name += fmt.Sprint(nth[m.Role])
		}
		if err := cluster.CheckName("machine", name); err != nil {
			return nil, cluster.Usagef("cluster %q: its name is too long for kind, whose nodes carry it: %w", t.Name, err)
		}
		out = append(out, cluster.MachineSpec{Name: name, Role: m.Role})
	}
	return out, nil
}

// nodeImage is our own image of the version where there is one, else kind's; nothing is pulled unasked.
func (p *Provider) nodeImage(ctx context.Context, t cluster.Topology) (string, error) {
	v, err := release.Resolve(release.Kubernetes, t.Version)
	if err != nil {
		return "", err
	}
	if t.ControlPlanes > 1 {
		ok, err := p.cli().has(ctx, balancerImage)
		if err == nil && !ok {
			err = cluster.Usagef("no image of kind's load balancer, which several control planes need: `docker pull %s`, or where nothing can be pulled hack/kind/build", balancerImage)
		}
		if err != nil {
			return "", err
		}
	}
	for _, name := range []string{"drydock/kind-node:", "kindest/node:"} {
		ok, err := p.cli().has(ctx, name+v.Version)
		if err != nil {
			return "", err
		}
		if ok {
			return name + v.Version, nil
		}
	}
	return "", cluster.Usagef("no node image of Kubernetes %s: `docker pull kindest/node:%s`, or where nothing can be pulled `hack/kind/build %[1]s`", v.Version, v.Version)
}

// profile is what kind's nodes are like.
func profile(d daemon) cluster.Profile {
	out := cluster.Profile{CRISocket: "unix:///run/containerd/containerd.sock", Programs: "/usr/bin", IgnorePreflight: []string{}}
	if d.CgroupVersion == "1" {
		out.IgnorePreflight = []string{"SystemVerification"} // which asks for version 2
		out.Kubelet = map[string]any{"failCgroupV1": false}
	}
	return out
}

// Means are what no node of kind has: its kernel and its disk are the host's, and its kubelet starts what it starts.
func Means() cluster.Means {
	return cluster.Means{Layouts: []cluster.EtcdLayout{cluster.EtcdStacked}, Never: cluster.Lacks{
		cluster.CanHoldStarts:   "a container's starts are its kubelet's; what is held has its manifest taken away",
		cluster.CanKernel:       "a node of kind is a container, on the host's kernel",
		cluster.CanScale:        "kind adds no nodes to a cluster that is up",
		cluster.CanLoseUnsynced: "a container's writes are in the host's page cache, which stays",
		cluster.CanLimitEtcd:    "etcd is made by kubeadm there, with a quota of 2Gi",
		cluster.CanFillDisk:     "a node's disk is the host's, which is never filled",
		cluster.CanSlowDisk:     "what programs fsync in a container is told nobody",
		cluster.CanRefusePulls:  "a node's images are put there, and nothing is pulled",
		cluster.CanPanic:        "a container's kernel is the host's: all that runs there would panic with it",
		cluster.CanSetClock:     "a container's clock is the host's: time namespaces do not cover CLOCK_REALTIME",
		cluster.CanShape:        "a node's cable is Docker's: Drydock shapes links at a lab's own end of them only",
	}}
}

// try runs a machine's image for a moment: whether the daemon gives containers what a node needs, and whether the kernel has what cuts links.
func (p *Provider) try(ctx context.Context, image string) (cluster.Lacks, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l, ok := p.tried[image]; ok {
		return l, nil
	}
	lacks := Means().Never
	_, err := p.cli().out(ctx, "run", "--rm", "--privileged", "--network", "none", "--entrypoint", "/bin/sh", image, "-ec",
		`nft add table ip drydock-try; nft add chain ip drydock-try c '{ type filter hook prerouting priority raw; }'; nft add rule ip drydock-try c iifname eth0 counter drop`)
	const ofDocker = 125 // docker run's own failures
	code, ended := exitCode(err)
	switch {
	case err == nil:
	case ended && code != ofDocker:
		why := "nft does not work in a node: " + lastLine(err)
		lacks[cluster.CanLinks], lacks[cluster.CanLoseNames] = why, why
	case said(err, "apply caps", "operation not permitted"):
		return nil, cluster.Usagef("this machine's Docker cannot run privileged containers, which kind's nodes are; where it may not have all capabilities, hack/kind/dockerd starts a daemon that does not ask for them: %w", err)
	default:
		return nil, fmt.Errorf("try the node image %s: %w", image, err)
	}
	if p.tried == nil {
		p.tried = map[string]cluster.Lacks{}
	}
	p.tried[image] = lacks
	return lacks, nil
}

func lastLine(err error) string {
	var e *dockerError
	if !errors.As(err, &e) {
		return err.Error()
	}
	lines := strings.Split(e.said, "\n")
	return lines[len(lines)-1]
}

// inotifyNode is how many inotify instances a node takes (systemd, containerd, kubelet and a control plane; counted: 85 for four nodes).
const inotifyNode = 22

// checkInotify refuses what would leave the last nodes' kubelets without: Linux gives a user 128, and every node's are root's.
func checkInotify(nodes int) error {
	const file = "/proc/sys/fs/inotify/max_user_instances"
	raw, err := os.ReadFile(file)
	if err != nil || runtime.GOOS != "linux" {
		return nil //nolint:nilerr // Docker's kernel is another
	}
	var most int
	if _, err := fmt.Sscan(string(raw), &most); err == nil && most < nodes*inotifyNode {
		return cluster.Usagef("%d nodes need about %d inotify instances and a user may have %d: `sudo sysctl fs.inotify.max_user_instances=512`", nodes, nodes*inotifyNode, most)
	}
	return nil
}

// Attach finds a cluster that was made from the same state directory.
func (p *Provider) Attach(ctx context.Context, name string) (cluster.Cluster, error) {
	dir, err := p.registry().Dir(name)
	if err != nil {
		return nil, err
	}
	r, err := readRecord(dir)
	if err == nil && len(r.Machines) > 0 {
		_, there, err := p.cli().inspect(ctx, r.Machines[0].Name)
		if err != nil {
			return nil, err
		}
		if there {
			return newCluster(p, dir, r), nil
		}
	}
	up, err := p.List(ctx)
	if err != nil {
		return nil, err
	}
	names := "none"
	if len(up) > 0 {
		names = strings.Join(up, ", ")
	}
	return nil, cluster.Usagef("no cluster of kind named %q is up; up: %s", name, names)
}
