package staging

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"drydock.dev/drydock/harness/cluster"
)

// sshd is the host's program; a lab's machines have what the host has below /usr.
const sshd = "/usr/sbin/sshd"

// strangers is a lab whose machines run sshd and are known by nothing else.
type strangers struct {
	dir   string
	lab   cluster.Cluster
	wires map[string]*wire // by machine
}

// wire is the way from this host to a machine's sshd, which can be cut: a lab's network is its own.
type wire struct {
	listener net.Listener
	mu       sync.Mutex
	cut      bool
	open     map[net.Conn]bool
}

// estrange starts sshd on all machines and lays the wires.
func estrange(ctx context.Context, lab cluster.Cluster) *strangers {
	GinkgoHelper()
	s := &strangers{dir: GinkgoT().TempDir(), lab: lab, wires: map[string]*wire{}}
	user := s.key("id")
	raw, err := os.ReadFile(launcher)
	Expect(err).NotTo(HaveOccurred())
	var known []string
	for _, m := range lab.Machines() {
		host := s.key("host-" + m.Name())
		private, err := os.ReadFile(filepath.Join(s.dir, "host-"+m.Name()))
		Expect(err).NotTo(HaveOccurred())
		Expect(os.WriteFile(filepath.Join(lab.Dir(), "disks", m.Name(), "opt", "sshd"), raw, 0o755)).To(Succeed())
		for path, text := range map[string]string{
			"/root/.ssh/authorized_keys": string(ssh.MarshalAuthorizedKey(user)),
			"/etc/ssh/host_key":          string(private),
			"/etc/ssh/sshd_config": "HostKey /etc/ssh/host_key\nUsePAM no\nStrictModes no\nPidFile none\nPrintMotd no\n" +
				"SetEnv PATH=/opt/drydock/bin:/usr/sbin:/usr/bin:/sbin:/bin\n",
			"/etc/systemd/system/sshd.service": "[Unit]\nDescription=sshd\n[Service]\nExecStart=/bin/sh -c 'mkdir -p /run/sshd; " +
				"grep -q ^sshd /etc/passwd || echo sshd:x:0:0::/run/sshd:/usr/sbin/nologin >>/etc/passwd; exec /opt/sshd " + sshd + " -D -e -f /etc/ssh/sshd_config'\n" +
				"Restart=always\nRestartSec=1\n[Install]\nWantedBy=multi-user.target\n",
		} {
			Expect(m.WriteFile(ctx, path, []byte(text), 0o600)).To(Succeed())
		}
		for _, verb := range []string{"enable", "start"} {
			_, err := m.Exec(ctx, cluster.Command{Args: []string{"systemctl", verb, "sshd"}})
			Expect(err).NotTo(HaveOccurred())
		}
		at := net.JoinHostPort(m.Addr().String(), "22")
		w := &wire{open: map[net.Conn]bool{}}
		w.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		go w.serve(context.WithoutCancel(ctx), func(ctx context.Context) (net.Conn, error) { return lab.Dial(ctx, "tcp", at) })
		DeferCleanup(w.listener.Close)
		s.wires[m.Name()] = w
		known = append(known, knownhosts.Line([]string{w.listener.Addr().String(), at}, host))
	}
	Expect(os.WriteFile(filepath.Join(s.dir, "known_hosts"), []byte(strings.Join(known, "\n")+"\n"), 0o600)).To(Succeed())
	return s
}

// key makes one and keeps it in a file.
func (s *strangers) key(name string) ssh.PublicKey {
	GinkgoHelper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	block, err := ssh.MarshalPrivateKey(private, name)
	Expect(err).NotTo(HaveOccurred())
	Expect(os.WriteFile(filepath.Join(s.dir, name), pem.EncodeToMemory(block), 0o600)).To(Succeed())
	out, err := ssh.NewPublicKey(public)
	Expect(err).NotTo(HaveOccurred())
	return out
}

// inventory writes one with the lines besides; with jump all machines are reached through the first.
func (s *strangers) inventory(ctx context.Context, jump bool, lines ...string) string {
	GinkgoHelper()
	var b strings.Builder
	t := s.lab.Topology()
	if t.Kubernetes() {
		raw, err := s.lab.Kubeconfig(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(os.WriteFile(filepath.Join(s.dir, "admin.conf"), raw, 0o600)).To(Succeed())
		b.WriteString("kubeconfig: admin.conf\n")
	} else {
		fmt.Fprintf(&b, "etcd: only\ncluster: %s\n", t.Name)
	}
	b.WriteString("ssh:\n  user: root\n  keyFile: id\n  knownHosts: known_hosts\n")
	if jump {
		fmt.Fprintf(&b, "  jump: %s\n", s.wires[s.lab.Machines()[0].Name()].listener.Addr())
	}
	b.WriteString("machines:\n")
	for _, m := range s.lab.Machines() {
		fmt.Fprintf(&b, "- {name: %s, address: %s", m.Name(), m.Addr())
		if !jump {
			fmt.Fprintf(&b, ", ssh: %q", s.wires[m.Name()].listener.Addr())
		}
		b.WriteString("}\n")
	}
	file := filepath.Join(s.dir, fmt.Sprintf("inventory-%d.yaml", time.Now().UnixNano()))
	Expect(os.WriteFile(file, []byte(b.String()+strings.Join(lines, "\n")+"\n"), 0o600)).To(Succeed())
	return file
}

// serve joins whoever connects with what dial finds.
func (w *wire) serve(ctx context.Context, dial func(ctx context.Context) (net.Conn, error)) {
	for {
		near, err := w.listener.Accept()
		if err != nil {
			return
		}
		far, err := dial(ctx)
		if err != nil || !w.keep(near, far) {
			_ = near.Close()
			continue
		}
		for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
			go func() {
				_, _ = io.Copy(pair[0], pair[1])
				_ = pair[0].Close()
			}()
		}
	}
}

func (w *wire) keep(conns ...net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range conns {
		if w.cut {
			_ = c.Close()
			continue
		}
		w.open[c] = true
	}
	return !w.cut
}

// sever cuts the wire; mend lets new connections through.
func (w *wire) sever() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
	for c := range w.open {
		_ = c.Close()
		delete(w.open, c)
	}
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = false
}
