package conformance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/release"
)

// capabilities are what machines must do that say they can.
func capabilities() []must {
	return []must{
		{"capabilities are told truly", nil, truthful},
		{"profile is one for kubeadm to go by", nil, profiled},
		{"dialer reaches the machine's own loopback", []cluster.Capability{cluster.CanDial}, dials},
		{"killer kills, holds, says how, and releases", []cluster.Capability{cluster.CanKill}, kills},
		{"freezer stops a process and lets it go on", []cluster.Capability{cluster.CanFreeze}, freezes},
		{"pauser stops all that runs and lets it go on", []cluster.Capability{cluster.CanPause}, pauses},
		{"keeper replaces a file and puts it back as it was", []cluster.Capability{cluster.CanKeepFiles}, keeps},
		{"puller refuses and allows, also twice", []cluster.Capability{cluster.CanRefusePulls}, pulls},
		{"resolver loses what is asked and no more, also twice", []cluster.Capability{cluster.CanLoseNames, cluster.CanDial}, losesNames},
		{"power is cut and comes back, on the same disk", []cluster.Capability{cluster.CanPower}, powers},
		{"a power cut loses what was not fsynced, where that was asked for", []cluster.Capability{cluster.CanPower, cluster.CanLoseUnsynced}, forgets},
		{"memory that runs out: the machine panics and boots, or loses one process", []cluster.Capability{cluster.CanPanic}, runsOut},
		{"a slow disk takes so much longer, below its directories", []cluster.Capability{cluster.CanSlowDisk, cluster.CanPower}, slows},
		{"installer puts a version on the path", []cluster.Capability{cluster.CanInstall}, installs},
		{"terminal passes streams and the exit code", []cluster.Capability{cluster.CanTerminal}, shells},
		{"machines are added and removed", []cluster.Capability{cluster.CanScale}, scales},
	}
}

// has asks for each capability of a machine as everybody does.
func has(c cluster.Capability, m cluster.Machine, of cluster.Cluster) error {
	var err error
	switch c {
	case cluster.CanPower:
		_, err = cluster.As[cluster.Power](m)
	case cluster.CanLoseUnsynced:
		_, err = cluster.As[cluster.Forgetter](m)
	case cluster.CanLimitEtcd: // it is what the provider makes, and has no method
	case cluster.CanFillDisk:
		_, err = cluster.As[cluster.Filler](m)
	case cluster.CanSlowDisk:
		_, err = cluster.As[cluster.SlowDisk](m)
	case cluster.CanPanic:
		_, err = cluster.As[cluster.Memory](m)
	case cluster.CanLinks:
		_, err = cluster.As[cluster.Links](m)
	case cluster.CanKeepFiles:
		_, err = cluster.As[cluster.Keeper](m)
	case cluster.CanSetClock:
		_, err = cluster.As[cluster.Clock](m)
	case cluster.CanLoseNames:
		_, err = cluster.As[cluster.Resolver](m)
	case cluster.CanRefusePulls:
		_, err = cluster.As[cluster.Puller](m)
	case cluster.CanShape:
		_, err = cluster.As[cluster.Shaper](m)
	case cluster.CanFreeze:
		_, err = cluster.As[cluster.Freezer](m)
	case cluster.CanPause:
		_, err = cluster.As[cluster.Pauser](m)
	case cluster.CanKill, cluster.CanHoldStarts: // the latter is told by Hold
		_, err = cluster.As[cluster.Killer](m)
	case cluster.CanDial:
		_, err = cluster.As[cluster.Dialer](m)
	case cluster.CanInstall:
		_, err = cluster.As[cluster.Installer](m)
	case cluster.CanTerminal:
		_, err = cluster.As[cluster.Terminal](m)
	case cluster.CanKernel: // of machines that a topology asks for
	case cluster.CanScale:
		if _, ok := of.(cluster.Scaler); !ok {
			err = cluster.ErrUnsupported
		}
	default:
		err = fmt.Errorf("capability %q is unknown to this suite", c)
	}
	return err
}

func truthful(_ context.Context, b *bed) {
	Expect(b.cluster.Lacks()).To(Equal(b.offer.Lacks), "the cluster is what was offered")
	for _, c := range cluster.Capabilities() {
		why, lacking := b.offer.Lacks[c]
		for _, m := range b.cluster.Machines() {
			err := has(c, m, b.cluster)
			switch {
			case !lacking:
				Expect(err).NotTo(HaveOccurred(), "%s of %s is not said to be missing", c, m.Name())
			case c != cluster.CanHoldStarts && c != cluster.CanScale && c != cluster.CanLimitEtcd && c != cluster.CanKernel:
				Expect(err).To(MatchError(cluster.ErrUnsupported), "%s of %s is said to be missing", c, m.Name())
			}
		}
		if lacking {
			Expect(why).NotTo(BeEmpty(), "why %s is missing", c)
		}
	}
}

func profiled(ctx context.Context, b *bed) {
	p := b.cluster.Profile()
	if !b.cluster.Topology().Kubernetes() && !b.made {
		Skip("machines with nothing but etcd, which the provider did not make, have nothing for kubeadm")
	}
	Expect(p.CRISocket).To(HavePrefix("unix:///"))
	Expect(p.Programs).To(HavePrefix("/"))
	if b.provider.Name() != "lab" {
		Expect(p.IgnorePreflight).NotTo(ContainElement("all"))
	}
	for _, m := range b.cluster.Machines() {
		program := filepath.Join(p.Programs, service(m))
		_, err := cluster.Shell(ctx, m, "test -x "+program)
		Expect(err).NotTo(HaveOccurred(), "%s of %s", program, m.Name())
	}
}

// port is one that the machine's service serves on its address while it runs.
func port(m cluster.Machine) string {
	if m.Role() == cluster.Etcd {
		return "2379"
	}
	return "10250"
}

// loopback is one that it serves on the loopback only.
func loopback(m cluster.Machine) string {
	if m.Role() == cluster.Etcd {
		return "2381"
	}
	return "10248"
}

type dial = func(ctx context.Context, network, addr string) (net.Conn, error)

// reach connects with a time limit of its own.
func reach(ctx context.Context, d dial, host, port string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := d(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return err
	}
	return conn.Close()
}

func dials(ctx context.Context, b *bed) {
	m := b.victim()
	d := as[cluster.Dialer](m).Dial
	Expect(reach(ctx, d, "127.0.0.1", loopback(m))).To(Succeed())
	Expect(reach(ctx, d, b.peer().Addr().String(), port(b.peer()))).To(Succeed())
	Expect(cluster.FailureOf(reach(ctx, d, "127.0.0.1", "9"))).To(Equal(cluster.Refused), "a refusal is told as one")
	Expect(reach(ctx, b.cluster.Dial, m.Addr().String(), port(m))).To(Succeed(), "and from outside the machines")
	Expect(cluster.FailureOf(reach(ctx, b.cluster.Dial, m.Addr().String(), "9"))).To(Equal(cluster.Refused))
}

func keeps(ctx context.Context, b *bed) {
	const file, old, other = "/var/tmp/drydock-kept.txt", "as it was\n", "another\n"
	m := b.victim()
	k := as[cluster.Keeper](m)
	reads := func(want string) {
		GinkgoHelper()
		raw, err := m.ReadFile(ctx, file)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(raw)).To(Equal(want))
		mode, err := cluster.Shell(ctx, m, "stat -c %a "+file)
		Expect(err).NotTo(HaveOccurred())
		Expect(strings.TrimSpace(mode)).To(Equal("640"))
	}
	Expect(m.WriteFile(ctx, file, []byte(old), 0o640)).To(Succeed())
	Expect(k.Replace(ctx, file, []byte(other))).To(Succeed())
	reads(other)
	Expect(k.Replace(ctx, file, []byte("a third\n"))).To(Succeed(), "what is kept stays")
	for range 2 {
		Expect(k.PutBack(ctx, file)).To(Succeed())
		reads(old)
	}
	Expect(k.Replace(ctx, file, []byte(other))).To(Succeed())
	Expect(m.WriteFile(ctx, file, []byte("renewed\n"), 0o640)).To(Succeed())
	Expect(k.PutBack(ctx, file)).To(Succeed())
	reads("renewed\n")
	left, err := cluster.Glob(ctx, m, "/var/tmp/.drydock-kept*")
	Expect(err).NotTo(HaveOccurred())
	Expect(left).To(BeEmpty())
	Expect(k.Replace(ctx, "/var/tmp/no-such-file", nil)).NotTo(Succeed())
	_, err = cluster.Shell(ctx, m, "rm -f "+file)
	Expect(err).NotTo(HaveOccurred())
}

// pulls: what becomes of an image then is seen on pods, by the fault that needs it.
func pulls(ctx context.Context, b *bed) {
	p := as[cluster.Puller](b.victim())
	for range 2 {
		Expect(p.RefusePulls(ctx)).To(Succeed())
	}
	for range 2 {
		Expect(p.AllowPulls(ctx)).To(Succeed())
	}
}

// losesNames: nobody answers at a port 53 of the machine's peer, so a question is refused while it gets there and times out while it does not.
func losesNames(ctx context.Context, b *bed) {
	m := b.victim()
	r, d := as[cluster.Resolver](m), as[cluster.Dialer](m).Dial
	DeferCleanup(r.FindNames, NodeTimeout(time.Minute))
	asks := func() cluster.Failure {
		return cluster.FailureOf(reach(ctx, d, b.peer().Addr().String(), "53"))
	}
	Expect(asks()).To(Equal(cluster.Refused))
	Expect(r.LoseNames(ctx)).To(Succeed())
	Expect(r.LoseNames(ctx)).To(Succeed(), "twice")
	Expect(asks()).To(Equal(cluster.Deadline))
	Expect(r.LostQueries(ctx)).To(BeNumerically(">", 0))
	Expect(reach(ctx, d, b.peer().Addr().String(), port(b.peer()))).To(Succeed(), "and nothing else")
	Expect(r.FindNames(ctx)).To(Succeed())
	Expect(r.FindNames(ctx)).To(Succeed(), "twice")
	Expect(asks()).To(Equal(cluster.Refused))
}

func power(ctx context.Context, p cluster.Power) (string, error) {
	on, err := p.Powered(ctx)
	if on {
		return "on", err
	}
	return "off", err
}

func powers(ctx context.Context, b *bed) {
	m := b.victim()
	p, addr := as[cluster.Power](m), m.Addr()
	DeferCleanup(p.On, NodeTimeout(2*time.Minute))
	DeferCleanup(func(ctx context.Context) error { _, err := exec(ctx, m, "rm", "-rf", scratch); return err }, NodeTimeout(time.Minute))
	before, err := p.BootID(ctx)
	Expect(err).NotTo(HaveOccurred())
	Expect(before).NotTo(BeEmpty())
	Expect(m.WriteFile(ctx, scratch+"/kept", []byte("kept"), 0o600)).To(Succeed())
	Expect(power(ctx, p)).To(Equal("on"))
	Expect(p.Off(ctx)).To(Succeed())
	Expect(p.Off(ctx)).To(Succeed(), "twice")
	Expect(power(ctx, p)).To(Equal("off"))
	short, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	_, err = exec(short, m, "true")
	Expect(err).To(HaveOccurred(), "a machine without power runs nothing")
	Expect(reach(ctx, b.cluster.Dial, addr.String(), port(m))).NotTo(Succeed())
	Expect(b.cluster.Machines()).To(HaveLen(len(b.offer.Machines)), "it is a machine of the cluster all the same")
	Expect(p.On(ctx)).To(Succeed())
	Expect(p.On(ctx)).To(Succeed(), "twice")
	_, err = exec(ctx, m, "true")
	Expect(err).NotTo(HaveOccurred(), "On returns when it answers")
	Expect(p.BootID(ctx)).NotTo(Equal(before))
	Expect(m.ReadFile(ctx, scratch+"/kept")).To(Equal([]byte("kept")))
	found, err := b.cluster.Machine(m.Name())
	Expect(err).NotTo(HaveOccurred())
	Expect(found.Addr()).To(Equal(addr), "etcd knows its members by their addresses")
	serving(ctx, b, m)
	second, err := p.BootID(ctx)
	Expect(err).NotTo(HaveOccurred())
	Expect(p.Reboot(ctx)).To(Succeed())
	Expect(p.BootID(ctx)).NotTo(Equal(second))
	serving(ctx, b, m)
}

func forgets(ctx context.Context, b *bed) {
	m := b.victim()
	p, f := as[cluster.Power](m), as[cluster.Forgetter](m)
	DeferCleanup(p.On, NodeTimeout(2*time.Minute))
	DeferCleanup(func(ctx context.Context) error { _, err := exec(ctx, m, "rm", "-rf", scratch); return err }, NodeTimeout(time.Minute))
	_, err := cluster.Shell(ctx, m, "mkdir -p "+scratch+"; echo earlier > "+scratch+"/earlier")
	Expect(err).NotTo(HaveOccurred())
	Expect(f.LoseUnsynced(ctx, scratch)).To(Succeed())
	Expect(f.LoseUnsynced(ctx, scratch)).To(Succeed(), "twice")
	_, err = cluster.Shell(ctx, m, "cd "+scratch+"; echo fsynced > fsynced; echo written > written; sync fsynced .; echo more >> fsynced; touch unnamed; sync unnamed")
	Expect(err).NotTo(HaveOccurred())
	Expect(p.Reboot(ctx)).To(Succeed())
	out, err := cluster.Shell(ctx, m, "cd "+scratch+"; grep -c '' *")
	Expect(err).NotTo(HaveOccurred())
	Expect(out).To(Equal("earlier:1\nfsynced:1\nwritten:0\n"))
	serving(ctx, b, m)
	_, err = cluster.Shell(ctx, m, "echo again > "+scratch+"/again")
	Expect(err).NotTo(HaveOccurred())
	Expect(p.Reboot(ctx)).To(Succeed())
	Expect(m.ReadFile(ctx, scratch+"/again")).To(Equal([]byte("again\n")), "it is asked for one cut")
	serving(ctx, b, m)
}

func slows(ctx context.Context, b *bed) {
	const delay = time.Second
	m := b.victim()
	s := as[cluster.SlowDisk](m)
	DeferCleanup(s.HealSync, NodeTimeout(time.Minute))
	DeferCleanup(func(ctx context.Context) error { _, err := exec(ctx, m, "rm", "-rf", scratch); return err }, NodeTimeout(time.Minute))
	_, err := cluster.Shell(ctx, m, "mkdir -p "+scratch+"/slow "+scratch+"/other; echo written > "+scratch+"/slow/f; echo written > "+scratch+"/other/f")
	Expect(err).NotTo(HaveOccurred())
	// sync(1) with a file calls fsync once.
	takes := func(file string) time.Duration {
		GinkgoHelper()
		began := time.Now()
		_, err := exec(ctx, m, "sync", scratch+file)
		Expect(err).NotTo(HaveOccurred())
		return time.Since(began)
	}
	Expect(takes("/slow/f")).To(BeNumerically("<", delay), "nobody asked")
	Expect(s.SlowSync(ctx, delay, scratch+"/slow")).To(Succeed())
	Expect(takes("/slow/f")).To(BeNumerically(">=", delay))
	Expect(takes("/other/f")).To(BeNumerically("<", delay))
	Expect(as[cluster.Power](m).Reboot(ctx)).To(Succeed())
	Expect(takes("/slow/f")).To(BeNumerically(">=", delay), "it is the disk that is slow, and not a boot")
	Expect(s.HealSync(ctx)).To(Succeed())
	Expect(s.HealSync(ctx)).To(Succeed(), "twice")
	Expect(takes("/slow/f")).To(BeNumerically("<", delay))
	serving(ctx, b, m)
}

func installs(ctx context.Context, b *bed) {
	m, t := b.victim(), b.cluster.Topology()
	product, version, program := release.Kubernetes, t.Version, "kubectl"
	if !t.Kubernetes() {
		product, version, program = release.Etcd, t.EtcdVersion, "etcd"
	}
	i := as[cluster.Installer](m)
	Expect(i.Install(ctx, product, version, program)).To(Succeed())
	Expect(i.Install(ctx, product, version, program)).To(Succeed(), "twice")
	out, err := cluster.Shell(ctx, m, program+" version --client 2>&1 || "+program+" --version 2>&1")
	Expect(err).NotTo(HaveOccurred())
	Expect(out).To(ContainSubstring(strings.TrimPrefix(version, "v")))
	Expect(i.Install(ctx, product, "v0.0.1", program)).NotTo(Succeed())
}

func shells(ctx context.Context, b *bed) {
	read, write, err := os.Pipe()
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = read.Close() }()
	in, err := os.Open(os.DevNull)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = in.Close() }()
	code, err := as[cluster.Terminal](b.victim()).Shell(ctx, []string{"sh", "-c", "echo here; exit 5"}, false, in, write, write)
	Expect(errors.Join(err, write.Close())).To(Succeed())
	Expect(code).To(Equal(5))
	said := make([]byte, 100)
	n, err := read.Read(said)
	Expect(err).NotTo(HaveOccurred())
	Expect(string(said[:n])).To(Equal("here\n"))
}

func scales(ctx context.Context, b *bed) {
	s, ok := b.cluster.(cluster.Scaler)
	if !ok {
		Fail(fmt.Sprintf("%T is no Scaler", b.cluster))
	}
	spec := cluster.MachineSpec{Name: "extra-" + strconv.Itoa(len(b.offer.Machines)), Role: cluster.Worker}
	DeferCleanup(func(ctx context.Context) error { return s.RemoveMachine(ctx, spec.Name) }, NodeTimeout(time.Minute))
	m, err := s.AddMachine(ctx, spec)
	Expect(err).NotTo(HaveOccurred())
	_, err = exec(ctx, m, "true")
	Expect(err).NotTo(HaveOccurred())
	Expect(m.Name()).To(Equal(spec.Name))
	_, err = s.AddMachine(ctx, spec)
	Expect(err).To(HaveOccurred(), "there is one of that name")
	first, err := m.ReadFile(ctx, "/etc/machine-id")
	Expect(err).NotTo(HaveOccurred())
	named := HaveField("Name()", spec.Name)
	Expect(b.cluster.Machines()).To(ContainElement(named))
	Expect(b.cluster.Topology().Machines()).To(Equal(b.offer.Machines), "and not one of the topology")
	Expect(s.RemoveMachine(ctx, spec.Name)).To(Succeed())
	Expect(s.RemoveMachine(ctx, spec.Name)).To(Succeed(), "twice")
	Expect(b.cluster.Machines()).NotTo(ContainElement(named))
	m, err = s.AddMachine(ctx, spec)
	Expect(err).NotTo(HaveOccurred())
	Expect(m.ReadFile(ctx, "/etc/machine-id")).NotTo(Equal(first), "another machine of the same name")
}
