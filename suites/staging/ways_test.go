package staging

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/gexec"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"drydock.dev/drydock/harness/cluster"
)

// rewritten is an inventory with something in it replaced.
func (s *strangers) rewritten(ctx context.Context, with *strings.Replacer, lines ...string) string {
	GinkgoHelper()
	at := s.inventory(ctx, false, lines...)
	raw, err := os.ReadFile(at)
	Expect(err).NotTo(HaveOccurred())
	text := with.Replace(string(raw))
	Expect(text).NotTo(Equal(string(raw)))
	Expect(os.WriteFile(at, []byte(text), 0o600)).To(Succeed())
	return at
}

// serveKeys is an agent with the strangers' key, at a socket.
func (s *strangers) serveKeys(ctx context.Context) string {
	GinkgoHelper()
	raw, err := os.ReadFile(filepath.Join(s.dir, "id"))
	Expect(err).NotTo(HaveOccurred())
	key, err := ssh.ParseRawPrivateKey(raw)
	Expect(err).NotTo(HaveOccurred())
	keys := agent.NewKeyring()
	Expect(keys.Add(agent.AddedKey{PrivateKey: key})).To(Succeed())
	dir, err := os.MkdirTemp("", "agent") // a socket's path is short
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, dir)
	socket := filepath.Join(dir, "s")
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", socket)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(l.Close)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(keys, conn) }() // until whoever asks goes away
		}
	}()
	return socket
}

// switches is what has the power of the strangers' machines in hand, as a cloud has: a program asks it by a pipe and is answered by another.
func (s *strangers) switches(ctx context.Context) (dir string, done func() []string) {
	GinkgoHelper()
	dir = GinkgoT().TempDir()
	for _, name := range []string{"ask", "answer"} {
		Expect(syscall.Mkfifo(filepath.Join(dir, name), 0o600)).To(Succeed())
	}
	ask, err := os.OpenFile(filepath.Join(dir, "ask"), os.O_RDWR, 0) // both, so that it stays open between two programs
	Expect(err).NotTo(HaveOccurred())
	answer, err := os.OpenFile(filepath.Join(dir, "answer"), os.O_RDWR, 0)
	Expect(err).NotTo(HaveOccurred())
	asked := make(chan []string)
	go func() {
		var all []string
		for line := ""; ; {
			if _, err := fmt.Fscanln(ask, &line); err != nil {
				asked <- all
				return
			}
			all = append(all, line)
			said := "done"
			if err := s.toggle(ctx, line); err != nil {
				said = err.Error()
			}
			_, _ = fmt.Fprintln(answer, strings.ReplaceAll(said, "\n", "; "))
		}
	}()
	return dir, func() []string {
		_ = ask.Close()
		_ = answer.Close()
		return <-asked
	}
}

// toggle does what on:MACHINE or off:MACHINE says.
func (s *strangers) toggle(ctx context.Context, what string) error {
	verb, name, _ := strings.Cut(what, ":")
	m, err := cluster.Find(s.lab.Machines(), name)
	if err != nil {
		return err
	}
	power, ok := m.(cluster.Power)
	if !ok {
		return fmt.Errorf("%s: %w", name, cluster.ErrUnsupported)
	}
	if verb == "on" {
		return power.On(ctx)
	}
	return power.Off(ctx)
}

var _ = Describe("three machines that somebody else has", Label("tier: full", "needs: etcd"), Ordered, func() {
	var s *strangers

	BeforeAll(func(ctx SpecContext) {
		s = strange(ctx, cluster.Topology{Name: "ways", Etcd: cluster.EtcdOnly, EtcdMembers: 3})
	}, NodeTimeout(2*time.Minute))

	It("are reached with a key that only an agent has", func(ctx SpecContext) {
		at := s.rewritten(ctx, strings.NewReplacer("  keyFile: id\n", ""))
		GinkgoT().Setenv("SSH_AUTH_SOCK", "")
		look := drydock(ctx, at, "status")
		Eventually(look).WithTimeout(20 * time.Second).Should(gexec.Exit(2))
		Expect(look.Err).To(gbytes.Say("ssh.keyFile is not said, and there is no agent"))
		GinkgoT().Setenv("SSH_AUTH_SOCK", s.serveKeys(ctx))
		look = drydock(ctx, at, "status")
		Eventually(look).WithTimeout(20 * time.Second).Should(gexec.Exit(0))
		Expect(look.Out).To(gbytes.Say("etcd-1 .*(leader|follower)"))
	}, SpecTimeout(time.Minute))

	It("lose power and have it back by their owner's commands", func(ctx SpecContext) {
		dir, done := s.switches(ctx)
		command := func(verb, machine string) string {
			return fmt.Sprintf(`[sh, -c, 'echo "$1" >"$0/ask"; read r <"$0/answer"; [ "$r" = done ] || { echo "$r" >&2; exit 1; }', %q, %q]`, dir, verb+":"+machine)
		}
		var power []string
		for _, m := range s.lab.Machines() {
			begin := "- {name: " + m.Name() + ","
			power = append(power, begin, begin+" powerOff: "+command("off", m.Name())+", powerOn: "+command("on", m.Name())+",")
		}
		inventory := s.rewritten(ctx, strings.NewReplacer(power...), "faults: [machinePowerOff]")
		run := drydock(ctx, inventory, "run", scenario("power", "machinePowerOff: {target: etcd-2, for: 5s}"), typed, "ways")
		Eventually(run).WithTimeout(2 * time.Minute).Should(gexec.Exit(0))
		Expect(done()).To(Equal([]string{"off:etcd-2", "on:etcd-2"}))
		Expect(s.left(ctx)).To(BeEmpty())
	}, SpecTimeout(3*time.Minute))
})
