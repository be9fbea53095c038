package staging

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"drydock.dev/drydock/harness/cluster"
)

// Inventory is the one file that says how a cluster is reached, and what may be done to it. Relative paths are from its own directory.
type Inventory struct {
	// Cluster is the cluster's name where it has no Kubernetes to say its own (etcd: only).
	Cluster    string             `yaml:"cluster"`
	Kubeconfig string             `yaml:"kubeconfig"` // of an administrator
	Etcd       cluster.EtcdLayout `yaml:"etcd"`       // only: machines that run etcd and nothing else; otherwise it is asked
	SSH        SSH                `yaml:"ssh"`
	Machines   []Host             `yaml:"machines"` // the Nodes' own words for what is not said here
	// Faults may be done here, and no others.
	Faults      []string      `yaml:"faults"`
	BlastRadius int           `yaml:"blastRadius"` // machines that may be broken at a time, 1 by default
	DeadMan     time.Duration `yaml:"deadMan"`     // after which a machine undoes a fault by itself, 5m by default

	dir string
}

// SSH is how all machines are reached.
type SSH struct {
	User       string `yaml:"user"`       // root by default; another one runs sudo
	KeyFile    string `yaml:"keyFile"`    // empty: the agent at SSH_AUTH_SOCK
	KnownHosts string `yaml:"knownHosts"` // ~/.ssh/known_hosts by default; a machine that is not in it is not talked to
	Jump       string `yaml:"jump"`       // [USER@]HOST[:PORT] that leads to the machines
	Port       int    `yaml:"port"`       // 22 by default
	Addresses  string `yaml:"addresses"`  // of Nodes: InternalIP (the default) or ExternalIP
}

// Host is one machine.
type Host struct {
	Name     string       `yaml:"name"`
	Role     cluster.Role `yaml:"role"`    // etcd, for machines that are no Nodes
	Address  string       `yaml:"address"` // among its peers; of a Node its InternalIP
	SSH      string       `yaml:"ssh"`     // HOST[:PORT] to log in at, where that is another one
	PowerOff []string     `yaml:"powerOff"`
	PowerOn  []string     `yaml:"powerOn"`
}

// Defaults of the inventory.
const (
	defaultBlastRadius = 1
	defaultDeadMan     = 5 * time.Minute
	leastDeadMan       = 10 * time.Second
)

// readInventory decodes the file strictly; every mistake is a UsageError.
func readInventory(path string) (*Inventory, error) {
	if path == "" {
		return nil, cluster.Usagef("the staging provider needs --inventory FILE: how the machines are reached and what may be done to them (docs/staging.md)")
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, cluster.Usagef("inventory: %w", err)
	}
	inv := &Inventory{BlastRadius: defaultBlastRadius, DeadMan: defaultDeadMan, SSH: SSH{User: "root", KnownHosts: "~/.ssh/known_hosts", Port: 22, Addresses: internalIP}}
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	if err := d.Decode(inv); err != nil && !errors.Is(err, io.EOF) {
		return nil, cluster.Usagef("inventory %s: %s", path, explain(err))
	}
	inv.dir = filepath.Dir(path)
	if err := inv.validate(); err != nil {
		return nil, cluster.Usagef("inventory %s: %w", path, err)
	}
	return inv, nil
}

// explain takes the Go types out of a decoder's message.
func explain(err error) string {
	s := strings.TrimPrefix(err.Error(), "yaml: unmarshal errors:\n  ")
	for name, known := range map[string]string{
		"staging.Inventory": "cluster, kubeconfig, etcd, ssh, machines, faults, blastRadius, deadMan",
		"staging.SSH":       "user, keyFile, knownHosts, jump, port, addresses",
		"staging.Host":      "name, role, address, ssh, powerOff, powerOn",
	} {
		s = strings.ReplaceAll(s, "not found in type "+name, "is unknown; known: "+known)
	}
	return s
}

func (inv *Inventory) validate() error {
	var bad []string
	note := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	switch inv.Etcd {
	case "":
		if inv.Kubeconfig == "" {
			note("kubeconfig is missing (or say etcd: only)")
		}
	case cluster.EtcdOnly:
		if err := cluster.CheckName("cluster", inv.Cluster); err != nil {
			note("%v", err)
		}
		if len(inv.Machines) == 0 {
			note("machines is empty: with etcd: only there are no Nodes to ask")
		}
	default:
		note("etcd is %q; known: %s, or nothing", inv.Etcd, cluster.EtcdOnly)
	}
	if inv.BlastRadius < 1 {
		note("blastRadius is %d; at least 1", inv.BlastRadius)
	}
	if inv.DeadMan < leastDeadMan {
		note("deadMan is %s; at least %s", inv.DeadMan, leastDeadMan)
	}
	if inv.SSH.Addresses != internalIP && inv.SSH.Addresses != externalIP {
		note("ssh.addresses is %q; known: %s, %s", inv.SSH.Addresses, internalIP, externalIP)
	}
	seen := map[string]bool{}
	for i, h := range inv.Machines {
		if err := cluster.CheckName("machine", h.Name); err != nil {
			note("machines[%d]: %v", i, err)
		}
		if seen[h.Name] {
			note("machines[%d]: %s is there twice", i, h.Name)
		}
		seen[h.Name] = true
		if _, err := netip.ParseAddr(h.Address); h.Address != "" && err != nil {
			note("machines[%d]: address: %v", i, err)
		}
		if inv.Etcd == cluster.EtcdOnly || h.Role == cluster.Etcd {
			if h.Address == "" {
				note("machines[%d]: address is missing: %s is no Node that could be asked", i, h.Name)
			}
		}
		if h.Role != "" && h.Role != cluster.Etcd {
			note("machines[%d]: role is %q; Nodes say their own, so known is: %s", i, h.Role, cluster.Etcd)
		}
		if (len(h.PowerOff) == 0) != (len(h.PowerOn) == 0) {
			note("machines[%d]: powerOff and powerOn belong together: what is switched off must come back", i)
		}
	}
	if len(bad) > 0 {
		return errors.New(strings.Join(bad, "; "))
	}
	return nil
}

// path is a path of the inventory as this process opens it.
func (inv *Inventory) path(p string) string {
	if rest, ok := strings.CutPrefix(p, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(inv.dir, p)
}

// host is what the inventory says of a machine.
func (inv *Inventory) host(name string) Host {
	if i := slices.IndexFunc(inv.Machines, func(h Host) bool { return h.Name == name }); i >= 0 {
		return inv.Machines[i]
	}
	return Host{Name: name}
}
