package conformance

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"

	"drydock.dev/drydock/harness/cluster"
)

// machines are what every machine must do.
func machines() []must {
	return []must{
		{"machines have the names and roles that were offered", nil, named},
		{"Exec gives output, exit code, input and environment", nil, executes},
		{"Exec reads more than a pipe holds", nil, executesMuch},
		{"Exec ends with its context, and the command with it", nil, cancels},
		{"Exec ends with its context although a child holds the output", nil, leavesChildren},
		{"Exec runs fifty commands at once", nil, executesAtOnce},
		{"files are written whole, with their mode and directory", nil, files},
		{"files are replaced at once", nil, replaces},
		{"services are systemctl's", nil, services},
	}
}

func named(_ context.Context, b *bed) {
	var made []cluster.MachineSpec
	for _, m := range b.cluster.Machines() {
		Expect(cluster.CheckName("machine", m.Name())).To(Succeed())
		Expect(m.Addr()).NotTo(BeZero(), "the address of %s", m.Name())
		made = append(made, cluster.MachineSpec{Name: m.Name(), Role: m.Role()})
		found, err := b.cluster.Machine(m.Name())
		Expect(err).NotTo(HaveOccurred())
		Expect(found.Addr()).To(Equal(m.Addr()))
	}
	Expect(made).To(And(Equal(b.offer.Machines), Equal(b.cluster.Topology().Machines()), Not(BeEmpty())))
	_, err := b.cluster.Machine("nobody")
	Expect(err).To(MatchError(ContainSubstring(made[0].Name)), "the error lists the known")
}

func exec(ctx context.Context, m cluster.Machine, args ...string) (cluster.Result, error) {
	return m.Exec(ctx, cluster.Command{Args: args})
}

func executes(ctx context.Context, b *bed) {
	m := b.victim()
	r, err := m.Exec(ctx, cluster.Command{Args: []string{"sh", "-c", `cat; echo "$SAID"; echo wrong >&2`}, Env: []string{"SAID=a b"}, Stdin: strings.NewReader("in\n")})
	Expect(err).NotTo(HaveOccurred())
	Expect(r).To(Equal(cluster.Result{Stdout: "in\na b\n", Stderr: "wrong\n"}))
	r, err = exec(ctx, m, "sh", "-c", "echo before; exit 7")
	failed := &cluster.ExecError{}
	Expect(err).To(BeAssignableToTypeOf(failed))
	Expect(err).To(And(HaveField("Code", 7), HaveField("Machine", m.Name()), HaveField("Args", HaveLen(3))))
	Expect(r.Stdout).To(Equal("before\n"))
	_, err = exec(ctx, m, "no-such-program-anywhere")
	Expect(err).To(BeAssignableToTypeOf(failed))
	r, err = exec(ctx, m, "hostname")
	Expect(err).NotTo(HaveOccurred())
	Expect(strings.TrimSpace(r.Stdout)).To(Equal(m.Name()), "a Node has its machine's name")
}

func executesMuch(ctx context.Context, b *bed) {
	const much = 3 << 20
	r, err := b.victim().Exec(ctx, cluster.Command{Args: []string{"sh", "-c", "cat; cat >&2 </dev/null"}, Stdin: bytes.NewReader(bytes.Repeat([]byte("x"), much))})
	Expect(err).NotTo(HaveOccurred())
	Expect(r.Stdout).To(HaveLen(much))
}

// soon is how long after its context a call may still take.
const soon = 10 * time.Second

func cancels(ctx context.Context, b *bed) {
	m := b.victim()
	const seconds = "86123" // nobody else sleeps so long
	short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	begun := time.Now()
	_, err := exec(short, m, "sleep", seconds)
	Expect(err).To(HaveOccurred())
	Expect(time.Since(begun)).To(BeNumerically("<", soon))
	Eventually(ctx, func() (string, error) { return cluster.Shell(ctx, m, "ps -ef | grep '[s]leep "+seconds+"' || true") }).WithTimeout(soon).
		Should(BeEmpty(), "the command was killed")
}

func leavesChildren(ctx context.Context, b *bed) {
	m := b.victim()
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	begun := time.Now()
	r, _ := exec(short, m, "sh", "-c", "echo said; setsid sleep 30 &") // the child ends later, by itself
	Expect(time.Since(begun)).To(BeNumerically("<", soon))
	Expect(r.Stdout).To(Equal("said\n"))
}

func executesAtOnce(ctx context.Context, b *bed) {
	var g errgroup.Group
	for i := range 50 {
		all := b.cluster.Machines()
		m := all[i%len(all)]
		g.Go(func() error {
			r, err := exec(ctx, m, "sh", "-c", fmt.Sprintf("sleep 0.2; echo %d; echo %d >&2", i, -i))
			if err == nil && (r.Stdout != fmt.Sprintln(i) || r.Stderr != fmt.Sprintln(-i)) {
				err = fmt.Errorf("command %d on %s: %+v", i, m.Name(), r)
			}
			return err
		})
	}
	Expect(g.Wait()).To(Succeed())
}

const scratch = "/var/lib/drydock-conformance"

func files(ctx context.Context, b *bed) {
	m := b.victim()
	DeferCleanup(func(ctx context.Context) error { _, err := exec(ctx, m, "rm", "-rf", scratch); return err }, NodeTimeout(time.Minute))
	data := bytes.Repeat([]byte{0, 1, 0xff, '\n', '\''}, 100_000)
	path := scratch + "/a directory/file"
	Expect(m.WriteFile(ctx, path, data, 0o640)).To(Succeed())
	Expect(m.ReadFile(ctx, path)).To(Equal(data))
	Expect(cluster.Shell(ctx, m, "stat -c %a '"+path+"'")).To(Equal("640\n"))
	Expect(m.WriteFile(ctx, path, nil, 0o600)).To(Succeed())
	Expect(m.ReadFile(ctx, path)).To(BeEmpty())
	Expect(cluster.Shell(ctx, m, "stat -c %a '"+path+"'; ls -A '"+scratch+"/a directory'")).To(Equal("600\nfile\n"), "and nothing is left beside it")
	Expect(m.ReadFile(ctx, "/proc/net/tcp")).To(ContainSubstring("local_address"), "the connections of the machine that is asked")
	_, err := m.ReadFile(ctx, scratch+"/none")
	Expect(err).To(MatchError(fs.ErrNotExist))
	Expect(cluster.KernelBootID(ctx, m)).NotTo(BeEmpty(), "files without a size are read as well")
}

func replaces(ctx context.Context, b *bed) {
	m := b.victim()
	path := scratch + "/replaced"
	DeferCleanup(func(ctx context.Context) error { _, err := exec(ctx, m, "rm", "-rf", scratch); return err }, NodeTimeout(time.Minute))
	one, two := bytes.Repeat([]byte("1"), 1<<20), bytes.Repeat([]byte("2"), 1<<20)
	Expect(m.WriteFile(ctx, path, one, 0o644)).To(Succeed())
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		defer close(done)
		defer GinkgoRecover()
		for i := range 10 {
			Expect(m.WriteFile(ctx, path, [][]byte{one, two}[i%2], 0o644)).To(Succeed())
		}
	})
	defer wg.Wait()
	for reads := 0; ; reads++ {
		raw, err := m.ReadFile(ctx, path)
		Expect(err).NotTo(HaveOccurred())
		if !bytes.Equal(raw, one) && !bytes.Equal(raw, two) {
			Fail(fmt.Sprintf("read %d, %d bytes, is of no one writing", reads, len(raw)))
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

// service is the one that every such machine has.
func service(m cluster.Machine) string {
	if m.Role() == cluster.Etcd {
		return "etcd"
	}
	return "kubelet"
}

func services(ctx context.Context, b *bed) {
	m := b.victim()
	unit := service(m)
	is := func() string {
		r, _ := exec(ctx, m, "systemctl", "is-active", unit)
		return strings.TrimSpace(r.Stdout)
	}
	Expect(is()).To(Equal("active"))
	_, err := exec(ctx, m, "systemctl", "stop", unit)
	Expect(err).NotTo(HaveOccurred())
	Expect(is()).NotTo(Equal("active"))
	for _, verb := range []string{"daemon-reload", "start", "restart"} {
		args := []string{"systemctl", verb, unit}
		if verb == "daemon-reload" {
			args = args[:2]
		}
		_, err := exec(ctx, m, args...)
		Expect(err).NotTo(HaveOccurred())
	}
	Eventually(ctx, is).WithTimeout(30 * time.Second).Should(Equal("active"))
	_, err = exec(ctx, m, "systemctl", "is-enabled", unit)
	Expect(err).NotTo(HaveOccurred())
	serving(ctx, b, m)
}
