// Package bootstrap is what every suite starts with: Gomega's safety settings, the drydock binary, and a way to run scenarios on the lab.
package bootstrap

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/provider"
	"drydock.dev/drydock/harness/release"
	"drydock.dev/drydock/reports"
)

// Run is the one bootstrap of all suites; the lab's directories and the binary are made before the first spec.
func Run(t *testing.T, name string, s *Suite) {
	t.Helper()
	if testing.Short() {
		t.Skip("suites need a lab: run them with make test, without -short")
	}
	gomega.RegisterFailHandler(ginkgo.Fail)
	gomega.EnforceDefaultTimeoutsWhenUsingContexts()
	gomega.SetDefaultEventuallyTimeout(30 * time.Second)
	ginkgo.BeforeSuite(func() {
		ginkgo.DeferCleanup(gexec.CleanupBuildArtifacts)
		program, err := program()
		gomega.Expect(err).NotTo(gomega.HaveOccurred())
		state, err := os.MkdirTemp("", "drydock-suite-")
		gomega.Expect(err).NotTo(gomega.HaveOccurred())
		ginkgo.DeferCleanup(os.RemoveAll, state)
		s.Host = provider.Host{StateDir: state, CacheDir: provider.DefaultDir("XDG_CACHE_HOME", ".cache"), Program: program, Progress: &writer{said: map[string]bool{}}, Inventory: os.Getenv("DRYDOCK_INVENTORY"), Typed: os.Getenv("DRYDOCK_STAGING")}
		s.lab = s.Host.Lab()
	})
	ginkgo.RunSpecs(t, name)
}

// program is the drydock that all specs run: $DRYDOCK_PROGRAM, which hack/test.sh has built of this tree for all suites at once, or one built now.
func program() (string, error) {
	if path := os.Getenv("DRYDOCK_PROGRAM"); path != "" {
		return path, nil
	}
	return gexec.BuildWithEnvironment("drydock.dev/drydock", []string{"CGO_ENABLED=0"}, "-trimpath") // static: the workload image is this binary and no library
}

var chosen = flag.String("drydock.provider", "", "provider to run on (default $DRYDOCK_PROVIDER, else lab)") //nolint:gochecknoglobals // flags of a test binary must be known before it is run

// Provider is the name of the one the suites run on: -drydock.provider, $DRYDOCK_PROVIDER, or the default.
func Provider() string {
	return cmp.Or(*chosen, os.Getenv("DRYDOCK_PROVIDER"), provider.Names()[0])
}

// Suite is what the specs of a suite share.
type Suite struct {
	Host provider.Host
	lab  cluster.Provider // it has what Up made until Down
}

// Up brings a lab up for the spec that asks, and has the binaries of further versions there. Without a name it gets one of its own.
func (s *Suite) Up(ctx context.Context, t cluster.Topology, also ...string) cluster.Cluster {
	ginkgo.GinkgoHelper()
	t.Name = cmp.Or(t.Name, "spec-"+suffix())
	t, _, err := release.CompleteTopology(t)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	for _, version := range also {
		gomega.Expect(s.lab.Provide(ctx, release.Kubernetes, version)).To(gomega.Succeed())
	}
	c, err := s.lab.Up(ctx, t)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	ginkgo.DeferCleanup(func(ctx context.Context) { s.Down(ctx, c) }, ginkgo.NodeTimeout(2*time.Minute))
	return c
}

// Down takes it down before the end of the spec.
func (s *Suite) Down(ctx context.Context, c cluster.Cluster) {
	ginkgo.GinkgoHelper()
	gomega.Expect(s.lab.Down(ctx, c.Topology().Name)).To(gomega.Succeed())
}

// suffix tells clusters apart that are made by one name.
func suffix() string { return fmt.Sprintf("%x", time.Now().UnixNano()&0xffffff) }

// Run runs a scenario and attaches its report to the spec. Of the options null faults, parallel, provider and seed are the caller's; without a provider it
// is the suites', without a seed Ginkgo's.
func (s *Suite) Run(ctx context.Context, sc *experiment.Scenario, o experiment.Options) (*plan.Result, error) {
	p := o.Provider
	if p == nil {
		var err error
		if p, err = s.Host.Open(Provider()); err != nil {
			return nil, err
		}
	}
	o.Provider, o.Drydock, o.Env, o.Subjects = p, s.Host.Drydock(p.Name()), s.Host.Env(p.Name()), s.Host.Subjects()
	o.Out = filepath.Join(s.Host.StateDir, "runs", fmt.Sprintf("%s-%d", sc.Metadata.Label(), time.Now().UnixNano()))
	o.Suffix = suffix()
	if o.Seed == 0 {
		o.Seed = ginkgo.GinkgoRandomSeed()
	}
	if o.Parallel == 0 {
		o.Parallel = 3
	}
	if err := refused(ctx, sc, o); err != nil {
		ginkgo.Skip(err.Error())
	}
	res, err := sc.Run(ctx, o)
	if res != nil {
		var b strings.Builder
		if err := reports.Markdown(&b, res); err == nil {
			ginkgo.AddReportEntry("report", b.String(), ginkgo.ReportEntryVisibilityFailureOrVerbose)
		}
	}
	return res, err
}

// refused says why a provider that was chosen cannot give the scenario its cluster. The default one must.
func refused(ctx context.Context, sc *experiment.Scenario, o experiment.Options) error {
	if Provider() == provider.Names()[0] {
		return nil
	}
	_, err := sc.PlanFor(ctx, o)
	var usage *cluster.UsageError
	if errors.As(err, &usage) {
		return err
	}
	return nil // whatever else is wrong the run tells
}

// EndsGo runs an embedded scenario, which must end GO.
func (s *Suite) EndsGo(ctx context.Context, name string, o experiment.Options) {
	ginkgo.GinkgoHelper()
	sc, err := experiment.Load(name)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	res, err := s.Run(ctx, sc, o)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	gomega.Expect(res.Reasons).To(gomega.BeEmpty())
	gomega.Expect(res.Verdict).To(gomega.Equal(plan.Go))
}

// writer sends progress to Ginkgo's own writer, which shows it with a failed spec. Releases that are downloaded or built are waited for longer than anybody
// waits for silence: what is said of them is seen at once.
type writer struct {
	mu   sync.Mutex
	said map[string]bool // labels: what goes on is said now and then
}

func (*writer) Phase(format string, args ...any) func(error) {
	label := fmt.Sprintf(format, args...)
	begun := time.Now()
	return func(err error) {
		ginkgo.GinkgoWriter.Printf("%s: %v (%s)\n", label, err, time.Since(begun).Round(100*time.Millisecond))
	}
}

func (w *writer) Advance(label string, done, total int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch again := w.said[label]; {
	case again && (total == 0 || done%200 != 0):
	case total > 0:
		w.tell("%s: %d/%d\n", label, done, total)
	default:
		w.tell("%s\n", label)
	}
	w.said[label] = true
}

func (w *writer) Finish(label string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tell("%s: %v\n", label, err)
}

func (*writer) tell(format string, args ...any) {
	ginkgo.GinkgoWriter.Printf(format, args...)
	_, _ = fmt.Fprintf(os.Stderr, format, args...)
}
