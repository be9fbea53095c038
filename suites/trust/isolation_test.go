package trust

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab"
	"drydock.dev/drydock/harness/release"
)

// A hostile program runs as root on one machine of a lab of two; every spec says what it must not be able to do.
var _ = Describe("a hostile machine", Ordered, ContinueOnFailure, Label("tier: quick", "needs: etcd"), func() {
	const intruder = "/root/intruder"
	var (
		provider      *lab.Provider
		up            *lab.Lab
		hostile, peer *lab.Machine
		state         string // of these specs alone: what the machine might change belongs to nobody else
	)

	BeforeAll(func(ctx context.Context) {
		state = GinkgoT().TempDir()
		Expect(os.Chmod(state, 0o755)).To(Succeed()) // its own, and never what it lies in
		t, _, err := release.CompleteTopology(cluster.Topology{Name: "hostile", Etcd: cluster.EtcdOnly, EtcdMembers: 2})
		Expect(err).NotTo(HaveOccurred())
		own := suite.Host
		own.StateDir, own.CacheDir = filepath.Join(state, "state"), filepath.Join(state, "cache")
		copyEtcd(ctx, suite.Host.Store(), own.Store(), t.EtcdVersion)
		kubectl := own.Store().Path("kubernetes", "v1.0.0", "kubectl")
		Expect(os.MkdirAll(filepath.Dir(kubectl), 0o755)).To(Succeed())
		Expect(os.WriteFile(kubectl, []byte("#!/bin/sh\n"), 0o755)).To(Succeed())
		own.Program = filepath.Join(state, "drydock")
		Expect(os.Link(suite.Host.Program, own.Program)).To(Succeed())
		provider = own.Lab()
		c, err := provider.Up(ctx, t)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx context.Context) error { return provider.Down(ctx, t.Name) }, NodeTimeout(time.Minute))
		up = c.(*lab.Lab)
		hostile, peer = up.Machines()[0].(*lab.Machine), up.Machines()[1].(*lab.Machine)
		program, err := gexec.BuildWithEnvironment("drydock.dev/drydock/suites/trust/intruder", []string{"CGO_ENABLED=0"})
		Expect(err).NotTo(HaveOccurred())
		raw, err := os.ReadFile(program)
		Expect(err).NotTo(HaveOccurred())
		Expect(hostile.WriteFile(ctx, intruder, raw, 0o755)).To(Succeed())
	}, NodeTimeout(5*time.Minute))

	inside := func(ctx context.Context, args ...string) string {
		GinkgoHelper()
		out, err := hostile.Exec(ctx, cluster.Command{Args: args})
		GinkgoWriter.Println(args, "printed", out.Stdout, out.Stderr)
		Expect(err).NotTo(HaveOccurred())
		return out.Stdout
	}

	It("has no unix socket of the host dialed for it", func(ctx context.Context) {
		path := filepath.Join(state, "host.sock")
		l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = l.Close() }()
		var met atomic.Int32
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				met.Add(1)
				_ = conn.Close()
			}
		}()
		Expect(inside(ctx, intruder, "ask", "dial", fmt.Sprintf(`{"network":"unix","addr":%q}`, path))).To(BeEmpty())
		Expect(met.Load()).To(BeZero())
	}, NodeTimeout(time.Minute))

	It("switches no other machine off and runs nothing there", func(ctx context.Context) {
		before, err := peer.BootID(ctx)
		Expect(err).NotTo(HaveOccurred())
		inside(ctx, intruder, "ask", "off", fmt.Sprintf(`{"name":%q}`, peer.Name()))
		inside(ctx, intruder, "ask", "remove", fmt.Sprintf(`{"name":%q}`, peer.Name()))
		Expect(inside(ctx, intruder, "ask", "loseUnsynced", fmt.Sprintf(`{"name":%q,"dirs":["/var/lib/etcd"]}`, peer.Name()))).To(BeEmpty())
		inside(ctx, intruder, "ask", "exec", `{"args":["touch","/root/was-here"]}`)
		on, err := peer.Powered(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(on).To(BeTrueBecause("only its lab's owner may switch it off"))
		Expect(peer.BootID(ctx)).To(Equal(before))
		_, err = peer.ReadFile(ctx, "/root/was-here")
		Expect(err).To(MatchError(fs.ErrNotExist))
	}, NodeTimeout(time.Minute))

	It("makes no machine", func(ctx context.Context) {
		inside(ctx, intruder, "ask", "add", `{"name":"../../elsewhere","role":"worker"}`)
		Expect(filepath.Join(up.Dir(), "..", "elsewhere")).NotTo(BeAnExistingFile())
		Expect(up.Machines()).To(HaveLen(2))
	}, NodeTimeout(time.Minute))

	It("changes neither the programs of the cache nor drydock", func(ctx context.Context) {
		kubectl := filepath.Join(provider.Store.Root(), "kubernetes/v1.0.0/kubectl")
		programs := []string{kubectl, suite.Host.Program}
		before := look(programs)
		inside(ctx, intruder, "change", "/opt/drydock/releases/kubernetes/v1.0.0/kubectl")
		inside(ctx, intruder, "change", inside(ctx, "readlink", "-fn", "/opt/drydock/bin/drydock"))
		Expect(look(programs)).To(Equal(before))
	}, NodeTimeout(time.Minute))

	It("runs the drydock it was started with, whatever is built meanwhile", func(ctx context.Context) {
		built := filepath.Join(state, "built")
		Expect(os.WriteFile(built, []byte("#!/bin/false\n"), 0o755)).To(Succeed())
		Expect(os.Rename(built, provider.Program)).To(Succeed())
		Expect(peer.Reboot(ctx)).To(Succeed())
		Eventually(ctx, func() (string, error) {
			out, err := peer.Exec(ctx, cluster.Command{Args: []string{"systemctl", "is-active", "etcd"}})
			return out.Stdout, err
		}).WithTimeout(20 * time.Second).Should(HavePrefix("active"))
	}, NodeTimeout(time.Minute))

	It("has no link on its disk followed by the host", func(ctx context.Context) {
		host := filepath.Join(state, "host")
		Expect(os.MkdirAll(host, 0o755)).To(Succeed())
		victim := filepath.Join(host, "victim")
		Expect(os.WriteFile(victim, []byte("mine\n"), 0o644)).To(Succeed())
		inside(ctx, "sh", "-c", "ln -sf "+victim+" /etc/hosts; rm -rf /var/log/pods; ln -s "+host+" /var/log/pods; mkdir -p "+host)
		Expect(hostile.Off(ctx)).To(Succeed())
		// Whether such a machine starts is its own affair.
		GinkgoWriter.Println("power on:", hostile.On(ctx))
		Expect(os.ReadFile(victim)).To(BeEquivalentTo("mine\n"))
		Expect(os.ReadDir(host)).To(HaveLen(1))

		logs := filepath.Join(state, "logs")
		Expect(up.CollectLogs(ctx, logs)).To(Succeed())
		Expect(filepath.Join(logs, hostile.Name(), "pods", "victim")).NotTo(BeAnExistingFile())

		bin := filepath.Join(up.Dir(), "disks", hostile.Name(), "opt/drydock/bin")
		Expect(os.RemoveAll(bin)).To(Succeed())
		Expect(os.Symlink(host, bin)).To(Succeed())
		Expect(hostile.Install(ctx, "kubernetes", "v1.0.0")).NotTo(Succeed())
		Expect(os.ReadDir(host)).To(HaveLen(1))
	}, NodeTimeout(time.Minute))
})

// copyEtcd gives a cache its own etcd.
func copyEtcd(ctx context.Context, from, to *release.Store, version string) {
	GinkgoHelper()
	v, err := release.Resolve(release.Etcd, version)
	Expect(err).NotTo(HaveOccurred())
	programs := []string{"etcd", "etcdctl", "etcdutl"}
	Expect(from.Ensure(ctx, v, programs...)).To(Succeed())
	for _, p := range programs {
		raw, err := os.ReadFile(from.Path(v.Product.Name, v.Version, p))
		Expect(err).NotTo(HaveOccurred())
		dst := to.Path(v.Product.Name, v.Version, p)
		Expect(os.MkdirAll(filepath.Dir(dst), 0o755)).To(Succeed())
		Expect(os.WriteFile(dst, raw, 0o755)).To(Succeed())
	}
}

// look tells what files are now.
func look(files []string) (out []string) {
	GinkgoHelper()
	for _, f := range files {
		raw, err := os.ReadFile(f)
		Expect(err).NotTo(HaveOccurred())
		st, err := os.Stat(f)
		Expect(err).NotTo(HaveOccurred())
		out = append(out, fmt.Sprintf("%s %s %x", f, st.Mode(), sha256.Sum256(raw)))
	}
	return out
}
