package staging

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// mine is a user's own upgrade program: kubeadm's commands over ssh(1), one machine after another, as kubeadm's own documentation has them. The programs
// are put in place as a package manager would, from the lab's releases.
const mine = `#!/bin/sh
set -eu
on() { to=$1; shift; ssh -n -F SSH_CONFIG "$to" "PATH=/opt/drydock/bin:\$PATH; $*"; }
first=${DRYDOCK_CONTROL_PLANES%%,*}
kubectl() { on "$first" kubectl --kubeconfig /etc/kubernetes/admin.conf "$@"; }
install() { at=$1; shift; for p in "$@"; do on "$at" ln -sfn "/opt/drydock/releases/kubernetes/$DRYDOCK_TO/$p" "/opt/drydock/bin/$p"; done; }
patiently() { i=0; until "$@" >/dev/null 2>&1; do i=$((i+1)); [ $i -lt 60 ] || { "$@"; exit 1; }; sleep 2; done; }
runs() { [ "$(kubectl get node "$1" -o 'jsonpath={.status.nodeInfo.kubeletVersion}')" = "$DRYDOCK_TO" ] && kubectl wait --for=condition=Ready --timeout=1s node "$1"; }
# The owner's own patches are laid over again, as kubeadm forgets them; what it puts aside is removed once the machine is well, as its owner would.
patches() { on "$1" 'if [ -d /etc/kubernetes/patches ]; then echo --patches /etc/kubernetes/patches; fi'; }
serves() { for port in 6443/readyz 10257/healthz 10259/healthz; do on "$1" curl -fksS "https://127.0.0.1:$port"; done; }
for m in $(echo "$DRYDOCK_CONTROL_PLANES,$DRYDOCK_WORKERS" | tr , ' '); do
  echo "== $m"
  patiently kubectl drain "$m" --ignore-daemonsets --delete-emptydir-data --force
  install "$m" kubeadm
  if [ "$m" = "$first" ]; then
    on "$m" kubeadm upgrade apply -y -f "$DRYDOCK_TO" --ignore-preflight-errors=all $(patches "$m")
  else
    on "$m" kubeadm upgrade node --ignore-preflight-errors=all $(patches "$m")
  fi
  install "$m" kubelet kubectl
  on "$m" "systemctl daemon-reload && systemctl restart kubelet"
  patiently runs "$m"
  patiently kubectl uncordon "$m"
  case ",$DRYDOCK_CONTROL_PLANES," in *,$m,*) patiently serves "$m";; esac
  on "$m" 'rm -rf /etc/kubernetes/tmp/kubeadm-*'
  sleep 20 # for the next not to be begun while this one's leases and caches are still new
done
`

// program writes the user's program and the ssh_config(5) it goes by.
func (s *strangers) program() string {
	GinkgoHelper()
	if _, err := exec.LookPath("ssh"); err != nil {
		Skip("there is no ssh on this host (Debian's openssh-client)")
	}
	var b strings.Builder
	for name, w := range s.wires {
		host, port, _ := strings.Cut(w.listener.Addr().String(), ":")
		fmt.Fprintf(&b, "Host %s\n  HostName %s\n  Port %s\n  User root\n  IdentityFile %s\n  IdentitiesOnly yes\n  UserKnownHostsFile %s\n  LogLevel ERROR\n",
			name, host, port, filepath.Join(s.dir, "id"), filepath.Join(s.dir, "known_hosts"))
	}
	config, script := filepath.Join(s.dir, "ssh_config"), filepath.Join(s.dir, "mine.sh")
	Expect(os.WriteFile(config, []byte(b.String()), 0o600)).To(Succeed())
	Expect(os.WriteFile(script, []byte(strings.ReplaceAll(mine, "SSH_CONFIG", config)), 0o700)).To(Succeed())
	return script
}
