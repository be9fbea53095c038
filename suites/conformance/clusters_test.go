package conformance

import (
	"context"
	"os"
	osexec "os/exec"
	"path/filepath"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/tools/clientcmd"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/kubeadm"
)

// clusters are what a cluster and its provider must do; the last ones take it down.
func clusters() []must {
	return []must{
		{"cluster has an endpoint and a kubeconfig, or no API server", nil, endpoint},
		{"logs are collected of every machine", nil, logs},
		{"cluster is found by another process, and is the same there", nil, attaches},
		{"cluster is its maker's until it is released", nil, owns},
		{"cluster that was released is anybody's to claim", nil, claims},
		{"cluster goes down, twice", nil, goesDown},
		{"cluster whose maker was killed is taken down like any", nil, crashes},
	}
}

// usage is what a caller's mistake must be.
func usage(err error) {
	GinkgoHelper()
	var u *cluster.UsageError
	Expect(err).To(HaveOccurred())
	Expect(err).To(BeAssignableToTypeOf(u), err.Error())
}

func endpoint(ctx context.Context, b *bed) {
	raw, err := b.cluster.Kubeconfig(ctx)
	if !b.cluster.Topology().Kubernetes() {
		usage(err)
		Expect(b.cluster.Endpoint()).To(BeEmpty())
		return
	}
	Expect(err).NotTo(HaveOccurred())
	cfg, err := clientcmd.RESTConfigFromKubeConfig(raw)
	Expect(err).NotTo(HaveOccurred())
	Expect(cfg.Host).To(HavePrefix("https://"))
	Expect(kubeadm.ServerVersion(ctx, b.cluster)).To(Equal(b.cluster.Topology().Version), "by Endpoint and Dial")
}

func logs(ctx context.Context, b *bed) {
	dir := GinkgoT().TempDir()
	Expect(b.cluster.CollectLogs(ctx, dir)).To(Succeed())
	for _, m := range b.cluster.Machines() {
		var bytes int64
		Expect(filepath.Walk(filepath.Join(dir, m.Name()), func(_ string, info os.FileInfo, err error) error {
			if err == nil && info.Mode().IsRegular() {
				bytes += info.Size()
			}
			return err
		})).To(Succeed())
		Expect(bytes).NotTo(BeZero(), "logs of %s", m.Name())
	}
}

func attaches(ctx context.Context, b *bed) {
	Expect(b.other.List(ctx)).To(ContainElement(b.name()))
	c, err := b.other.Attach(ctx, b.name())
	Expect(err).NotTo(HaveOccurred())
	Expect(c.Topology()).To(Equal(b.cluster.Topology()))
	Expect(c.Lacks()).To(Equal(b.cluster.Lacks()))
	Expect(c.Profile()).To(Equal(b.cluster.Profile()))
	Expect(c.Dir()).To(Equal(b.cluster.Dir()))
	Expect(c.Dir()).To(BeADirectory())
	r, err := exec(ctx, c.Machines()[0], "echo", "here")
	Expect(err).NotTo(HaveOccurred())
	Expect(r.Stdout).To(Equal("here\n"))
	_, err = b.other.Attach(ctx, "no-such-cluster")
	usage(err)
	Expect(err).To(MatchError(ContainSubstring(b.name())), "the error lists those that are up")
	for _, name := range []string{"", "../x", "A"} {
		_, err = b.other.Attach(ctx, name)
		usage(err)
		usage(b.other.Down(ctx, name))
	}
}

func owns(ctx context.Context, b *bed) {
	c, err := b.other.Attach(ctx, b.name())
	Expect(err).NotTo(HaveOccurred())
	usage(c.Claim(ctx))
	usage(b.other.Down(ctx, b.name()))
	_, err = exec(ctx, b.victim(), "true")
	Expect(err).NotTo(HaveOccurred(), "it was left alone")
	Expect(c.Release(ctx)).To(Succeed(), "of what is not its own")
	usage(c.Claim(ctx))
	if b.made {
		_, err = b.other.Up(ctx, b.cluster.Topology())
		usage(err)
	}
}

func claims(ctx context.Context, b *bed) {
	Expect(b.cluster.Release(ctx)).To(Succeed())
	Expect(b.cluster.Release(ctx)).To(Succeed(), "twice")
	c, err := b.other.Attach(ctx, b.name())
	Expect(err).NotTo(HaveOccurred())
	Expect(c.Claim(ctx)).To(Succeed())
	Expect(c.Claim(ctx)).To(Succeed(), "it is its own")
	usage(b.cluster.Claim(ctx))
	Expect(c.Release(ctx)).To(Succeed())
	Expect(b.cluster.Claim(ctx)).To(Succeed())
}

func goesDown(ctx context.Context, b *bed) {
	if !b.made {
		usage(b.provider.Down(ctx, b.name()))
		_, err := exec(ctx, b.victim(), "true")
		Expect(err).NotTo(HaveOccurred(), "it was left alone")
		return
	}
	Expect(b.provider.Down(ctx, b.name())).To(Succeed())
	Expect(b.provider.List(ctx)).NotTo(ContainElement(b.name()))
	Expect(b.provider.Down(ctx, b.name())).To(Succeed())
	Expect(b.other.Down(ctx, b.name())).To(Succeed())
	_, err := b.other.Attach(ctx, b.name())
	usage(err)
	Expect(b.cluster.Dir()).NotTo(BeAnExistingFile())
}

// crashes has another process make a cluster, and kills it on the way.
func crashes(ctx context.Context, b *bed) {
	if !b.made {
		Skip("the provider makes no clusters")
	}
	t := b.cluster.Topology()
	name := b.name() + "-crash"
	args := []string{"up", "--name", name}
	if t.Kubernetes() {
		args = append(args, "--control-planes", "1", "--workers", "1")
	} else {
		args = append(args, "--etcd", "only", "--etcd-members", "3")
	}
	cmd := suite.Host.Drydock(b.provider.Name())(ctx, args...)
	cmd.Stdout, cmd.Stderr = GinkgoWriter, GinkgoWriter
	Expect(cmd.Start()).To(Succeed())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	running := func() ([]string, error) { return b.other.List(ctx) }
	Eventually(ctx, running).WithTimeout(3 * time.Minute).WithPolling(5 * time.Millisecond).Should(ContainElement(name))
	Expect(cmd.Process.Signal(syscall.SIGKILL)).To(Succeed())
	var exit *osexec.ExitError
	Eventually(ctx, ended).WithTimeout(soon).Should(Receive(BeAssignableToTypeOf(exit)), "it was killed in time")
	Expect(b.other.Down(ctx, name)).To(Succeed())
	Expect(b.other.Down(ctx, name)).To(Succeed(), "twice")
	Eventually(ctx, running).WithTimeout(soon).ShouldNot(ContainElement(name))
}
