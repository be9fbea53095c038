//go:build linux

// Network is the pod network of a kind node: it tells the node's container runtime the node's range of pod addresses, routes the ranges of the
// other nodes to them (all nodes are on one bridge), and lets what leaves the pods' network leave by the node's address.
// IPv4 only, and no NetworkPolicy.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	syncEvery   = 2 * time.Second // a few nodes that seldom change: a list is simpler than a watch, and repairs what somebody else undid
	callTimeout = 5 * time.Second
	confFile    = "10-drydock.conflist" // in /etc/cni/net.d, of which the runtime takes the first
	natTable    = "drydock-pods"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatalln("network:", err)
	}
}

func run(ctx context.Context) error {
	a := agent{node: os.Getenv("NODE_NAME"), confDir: "/etc/cni/net.d"}
	var err error
	if _, a.pods, err = net.ParseCIDR(os.Getenv("POD_SUBNET")); err != nil || a.node == "" {
		return fmt.Errorf("NODE_NAME and POD_SUBNET, the IPv4 range of all pods, are needed: %w", err)
	}
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	if at := os.Getenv("CONTROL_PLANE_ENDPOINT"); at != "" { // kind's address of the API: the Service of the API needs kube-proxy, and nodes are not to wait for it
		config.Host = "https://" + at
	}
	config.Timeout = callTimeout
	if a.client, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	said := ""
	for {
		now := "routes and addresses are as the nodes say"
		if err := a.sync(ctx); err != nil {
			now = err.Error()
		}
		if now != said {
			log.Print(now)
			said = now
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

type agent struct {
	client  kubernetes.Interface
	node    string
	pods    *net.IPNet // of all nodes
	confDir string
}

// sync makes this node as the cluster's nodes say it should be. What is so already stays.
func (a *agent) sync(ctx context.Context) error {
	nodes, err := a.client.CoreV1().Nodes().List(ctx, meta.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	var errs []error
	for _, n := range nodes.Items {
		_, pods, err := net.ParseCIDR(n.Spec.PodCIDR)
		if err != nil {
			errs = append(errs, fmt.Errorf("node %s has no range of pod addresses yet: %w", n.Name, err))
			continue
		}
		if n.Name != a.node {
			errs = append(errs, routeTo(n, pods))
			continue
		}
		errs = append(errs, masquerade(pods, a.pods), a.configure(pods))
	}
	return errors.Join(errs...)
}

func routeTo(n core.Node, pods *net.IPNet) error {
	for _, addr := range n.Status.Addresses {
		if via := net.ParseIP(addr.Address).To4(); addr.Type == core.NodeInternalIP && via != nil {
			if err := netlink.RouteReplace(&netlink.Route{Dst: pods, Gw: via}); err != nil {
				return fmt.Errorf("route %s via %s: %w", pods, via, err)
			}
			return nil
		}
	}
	return fmt.Errorf("node %s has no IPv4 address", n.Name)
}

// configure writes the chain of CNI plugins. The runtime calls the node Ready for pods when it is there, so it is written last, and whole.
func (a *agent) configure(pods *net.IPNet) error {
	conf := fmt.Appendf(nil, `{
  "cniVersion": "1.0.0", "name": "drydock",
  "plugins": [
    {"type": "ptp", "ipMasq": false, "ipam": {"type": "host-local", "dataDir": "/run/cni-ipam-state",
      "routes": [{"dst": "0.0.0.0/0"}], "ranges": [[{"subnet": %q}]]}},
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`, pods)
	path := filepath.Join(a.confDir, confFile)
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, conf) {
		return nil
	}
	if err := os.WriteFile(path+".tmp", conf, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

// masquerade replaces the one rule: from a pod of this node to what is no pod, by the node's own address.
func masquerade(own, all *net.IPNet) error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: natTable})
	chain := c.AddChain(&nftables.Chain{
		Name: "leave", Table: table, Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	})
	c.FlushChain(chain)
	exprs := append(inRange(12, own, expr.CmpOpEq), inRange(16, all, expr.CmpOpNeq)...) // where an IPv4 header has source and destination
	c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: append(exprs, &expr.Masq{})})
	if err := c.Flush(); err != nil {
		return fmt.Errorf("nftables: masquerade %s: %w", own, err)
	}
	return nil
}

func inRange(offset uint32, n *net.IPNet, op expr.CmpOp) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: n.Mask, Xor: binaryutil.NativeEndian.PutUint32(0)},
		&expr.Cmp{Op: op, Register: 1, Data: n.IP.To4()},
	}
}
