package staging

import (
	"context"
	"fmt"
	"path"
	"strings"

	"drydock.dev/drydock/harness/cluster"
)

// found is what a machine said of itself.
type found struct {
	lacks    cluster.Lacks
	systemd  bool   // it runs systemd, which can arm timers
	from     string // the address our login comes from, as the machine sees it
	sshPort  string // the port it comes to
	programs string // where kubeadm lies; empty: there is none
	socket   string // of the container runtime, as the kubelet's configuration says
}

// runDir is what Drydock leaves on a machine while something is broken there: on a file system that a boot empties, as a boot undoes all of it.
const runDir = "/run/drydock-staging"

// questions are asked in one go. They change nothing: nft is asked to check a table and not to make it.
const questions = `
has() { command -v "$1" >/dev/null 2>&1 && echo "$2=yes" || echo "$2=no"; }
echo "uid=$(id -u)"
for p in pgrep setsid nft systemctl; do has $p $p; done
command -v systemd-run >/dev/null && [ -d /run/systemd/system ] && echo systemd=yes || echo systemd=no
[ -w /run ] && echo run=yes || echo run=no
echo "nftables=$(printf 'table inet drydock_staging { chain in { type filter hook input priority -300; counter drop; }; }' | nft -c -f - 2>&1 | head -n 1)"
echo "kubeadm=$(command -v kubeadm || true)"
for f in /var/lib/kubelet/instance-config.yaml /var/lib/kubelet/config.yaml; do
  s=$(sed -n 's/^containerRuntimeEndpoint: *"\{0,1\}\([^" ]*\).*/\1/p' $f 2>/dev/null || true); [ -z "$s" ] || { echo "cri=$s"; break; }
done
s=$(sed -n 's/.*--container-runtime-endpoint=\([^ "]*\).*/\1/p' /var/lib/kubelet/kubeadm-flags.env 2>/dev/null || true); [ -z "$s" ] || echo "criflag=$s"
`

// ask finds out what the machine can do, by asking it.
func (m *Machine) ask(ctx context.Context) error {
	out, err := m.script(ctx, questions)
	if err != nil {
		return fmt.Errorf("ask %s what it can do: %w", m.name, err)
	}
	said := map[string]string{}
	for line := range strings.Lines(out) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
		said[k] = v
	}
	// sudo takes SSH_CONNECTION away: it is asked of the login itself.
	login, err := m.login(ctx)
	if err != nil {
		return err
	}
	f := found{lacks: Means().Never, systemd: said["systemd"] == "yes"}
	if words := strings.Fields(login); len(words) == 4 { // ssh(1), SSH_CONNECTION: client address and port, server address and port
		f.from, f.sshPort = words[0], words[3]
	}
	if said["kubeadm"] != "" {
		f.programs = path.Dir(said["kubeadm"])
	}
	if f.socket = said["cri"]; f.socket == "" {
		f.socket = said["criflag"]
	}
	switch {
	case said["uid"] != "0":
		lack(f.lacks, m.name+" lets "+m.remote.logins.user+" not become root (sudo -n)", cluster.CanKill, cluster.CanFreeze, cluster.CanLinks)
	case said["run"] != "yes":
		lack(f.lacks, "/run of "+m.name+" cannot be written to: nothing could be undone there", cluster.CanKill, cluster.CanFreeze, cluster.CanLinks)
	case said["setsid"] != "yes" && !f.systemd:
		lack(f.lacks, m.name+" has neither systemd nor setsid: no dead-man timer can be armed", cluster.CanKill, cluster.CanFreeze, cluster.CanLinks)
	case said["pgrep"] != "yes":
		lack(f.lacks, m.name+" has no pgrep", cluster.CanKill, cluster.CanFreeze)
	}
	if f.lacks[cluster.CanLinks] == "" {
		switch {
		case said["nft"] != "yes":
			f.lacks[cluster.CanLinks] = m.name + " has no nft"
		case said["nftables"] != "":
			f.lacks[cluster.CanLinks] = m.name + ": nft refuses a table: " + said["nftables"]
		case f.from == "":
			f.lacks[cluster.CanLinks] = m.name + " does not say where our login comes from, and a cut would cut us off as well"
		}
	}
	if len(m.host.PowerOff) == 0 {
		f.lacks[cluster.CanPower] = "the inventory has no powerOff and powerOn for " + m.name
	}
	m.found = f
	return nil
}

// lack notes one reason for several capabilities.
func lack(l cluster.Lacks, why string, all ...cluster.Capability) {
	for _, c := range all {
		l[c] = why
	}
}

// Means are what machines that are somebody else's never have.
func Means() cluster.Means {
	return cluster.Means{Layouts: []cluster.EtcdLayout{cluster.EtcdStacked, cluster.EtcdOnly}, Never: cluster.Lacks{
		cluster.CanKernel:       "the machines are what they are: none is made",
		cluster.CanScale:        "Drydock makes and removes no machines of a cluster that is not its own",
		cluster.CanInstall:      "Drydock installs nothing on machines that are not its own: upgrade with a program of yours (strategy: command)",
		cluster.CanHoldStarts:   "one version of a program cannot be told from another there",
		cluster.CanLoseUnsynced: "what programs fsync there is told nobody; a machine that really loses its power loses what they have not: machinePowerOff",
		cluster.CanPause:        "what would let a machine go on whose login is stopped as well is not on the machine",
		cluster.CanLimitEtcd:    "etcd has the quota that its owner gave it, and is not filled up to that",
		cluster.CanFillDisk:     "what fills a disk there would fill it for all that is on it",
		cluster.CanSlowDisk:     "what programs fsync there is told nobody, and its disks are not ours to replace",
		cluster.CanPanic:        "a kernel that panicked there could only be undone on its console",
		cluster.CanKeepFiles:    "what replaces a file there no timer puts back",
		cluster.CanRefusePulls:  "how a runtime that is not Drydock's can be kept from its registries is not known",
		cluster.CanSetClock:     "what keeps a clock right there would put it back at any time, and what is on the machine besides goes by it too",
		cluster.CanLoseNames:    "which of a machine's cards lead to its pods is not known there",
		cluster.CanShape:        "a machine's cable is not Drydock's there, and what shapes it on the machine would shape our login too",
	}}
}
