package trust

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/plan"
)

// plant is a defect that somebody makes behind Drydock's back while a scenario runs that plans nothing of the kind.
type plant struct {
	name  string
	check string // that must fail
	// do makes the defect and says by what the check's message must name the culprit.
	do func(ctx context.Context, p *planter) (culprit string, err error)
}

// bed is defects that do not hide one another: all are planted into one run on one lab, and each must be found in its result.
type bed struct {
	name     string // of the scenario
	scenario string // its spec
	labels   Labels
	plants   []plant
	atOnce   bool                            // the order does not matter
	prepare  func(ctx context.Context) error // before the run: programs that are not there yet take minutes
}

// specs are one for each plant of the bed, after one run of its scenario.
func (b bed) specs() {
	Describe("planted while "+b.name+" is quiet", Ordered, ContinueOnFailure, b.labels, func() {
		var res *plan.Result
		culprits, failed := map[string]string{}, map[string]error{}
		BeforeAll(func(ctx context.Context) {
			sc, err := experiment.Parse(b.name+".yaml", []byte("apiVersion: drydock.dev/v1alpha1\nkind: Scenario\nmetadata: {name: "+b.name+"}\nspec:\n"+b.scenario))
			Expect(err).NotTo(HaveOccurred())
			if b.prepare != nil {
				Expect(b.prepare(ctx)).To(Succeed())
			}
			planted := make(chan error, 1)
			go func() { planted <- b.plantAll(ctx, culprits, failed) }()
			res, err = suite.Run(ctx, sc, experiment.Options{})
			Expect(err).NotTo(HaveOccurred())
			Expect(<-planted).NotTo(HaveOccurred())
			for _, c := range res.Checks {
				AddReportEntry("check", fmt.Sprintf("%s %s: %s", c.Name, c.Verdict, c.Message), ReportEntryVisibilityFailureOrVerbose)
			}
		}, NodeTimeout(40*time.Minute))
		for _, p := range b.plants {
			It(p.name+" is found by "+p.check, func() {
				Expect(failed[p.name]).NotTo(HaveOccurred(), "it could not be planted")
				Expect(res.Verdict).To(Equal(plan.NoGo))
				said := slices.DeleteFunc(slices.Clone(res.Checks), func(c plan.Check) bool { return c.Name != p.check })
				Expect(said).To(ContainElement(And(HaveField("Verdict", plan.Fail), HaveField("Message", ContainSubstring(culprits[p.name])))))
			})
		}
	})
}

// plantAll waits until the scenario is being observed and plants all there is.
func (b bed) plantAll(ctx context.Context, culprits map[string]string, failed map[string]error) error {
	p, err := follow(ctx, b.name)
	if err != nil {
		return err
	}
	defer func() { _ = p.etcd.Close() }()
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(1)
	if b.atOnce {
		g.SetLimit(len(b.plants))
	}
	for _, x := range b.plants {
		g.Go(func() error {
			begun := time.Now()
			culprit, err := x.do(ctx, p)
			if err == nil {
				err = p.inTime()
			}
			GinkgoWriter.Printf("planted %s in %s: %q %v\n", x.name, time.Since(begun).Round(time.Millisecond), culprit, err)
			mu.Lock()
			defer mu.Unlock()
			culprits[x.name], failed[x.name] = culprit, err
			return nil
		})
	}
	return g.Wait()
}

// inTime is an error once the scenario is over: what is planted then may be seen or not.
func (p *planter) inTime() error {
	over, err := p.begun("let it settle")
	if over {
		err = errors.Join(err, errors.New("the scenario was over before it was planted: let it observe for longer"))
	}
	return err
}

// begun reports whether the step of the run has.
func (p *planter) begun(step string) (bool, error) {
	entries, _, err := plan.ReadJournal(p.run)
	return slices.ContainsFunc(entries, func(e plan.Entry) bool { return e.Kind == "step-started" && strings.Contains(string(e.Data), step) }), err
}

// planter has its hands on a lab that a run of another's is using.
type planter struct {
	run  string // its directory
	lab  *lab.Lab
	etcd *clientv3.Client
	api  kubernetes.Interface // nil for etcd-only
}

// follow attaches to the lab of the scenario's run once that observes it.
func follow(ctx context.Context, scenario string) (*planter, error) {
	p := &planter{}
	err := cluster.Await(ctx, "a run of "+scenario+" that observes", cluster.Wait{For: 8 * time.Minute, Every: 500 * time.Millisecond}, func(context.Context) error {
		runs, err := filepath.Glob(filepath.Join(suite.Host.StateDir, "runs", scenario+"-*"))
		if err != nil || len(runs) == 0 {
			return errors.Join(err, errors.New("there is no run"))
		}
		p.run = runs[len(runs)-1]
		entries, _, err := plan.ReadJournal(p.run)
		if err != nil {
			return err
		}
		var run experiment.Opening
		observations := 0
		for _, e := range entries {
			switch e.Kind {
			case "run":
				err = errors.Join(err, json.Unmarshal(e.Data, &run))
			case "observation":
				observations++
			}
		}
		if observations < 4 {
			return fmt.Errorf("%d observations", observations)
		}
		p.lab, err = suite.Host.Lab().Find(run.Cluster)
		return err
	})
	if err != nil {
		return nil, err
	}
	access, err := etcd.Open(ctx, p.lab)
	if err != nil {
		return nil, err
	}
	if p.etcd, err = access.Client(ctx); err != nil {
		return nil, err
	}
	if p.lab.Topology().Kubernetes() {
		p.api, err = kubeadm.AdminClient(ctx, p.lab)
	}
	return p, err
}

func (p *planter) machine(name string) (*lab.Machine, error) {
	m, err := p.lab.Machine(name)
	if err != nil {
		return nil, err
	}
	return cluster.As[*lab.Machine](m)
}

// call is one request to the API server as the admin, made again when a busy host has no answer; what is so already is done.
func (p *planter) call(ctx context.Context, verb, path, body string) error {
	return cluster.Await(ctx, verb+" "+path, cluster.Wait{For: seconds}, func(ctx context.Context) error {
		_, err := p.request(verb, path, body).DoRaw(ctx)
		if apierrors.IsAlreadyExists(err) || verb == "DELETE" && apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
}

func (p *planter) request(verb, path, body string) *rest.Request {
	r := p.api.Discovery().RESTClient().Verb(verb).AbsPath(path)
	if verb == "PATCH" {
		r = r.SetHeader("Content-Type", string(types.MergePatchType))
	} else {
		r = r.SetHeader("Content-Type", "application/json")
	}
	if body != "" {
		r = r.Body([]byte(body))
	}
	return r
}

type planting = func(ctx context.Context, p *planter) (string, error)

// api plants by one request.
func api(verb, path, body, culprit string) planting {
	return func(ctx context.Context, p *planter) (string, error) {
		return culprit, p.call(ctx, verb, path, body)
	}
}

// shell plants by a script on a machine.
func shell(machine, script, culprit string) planting {
	return func(ctx context.Context, p *planter) (string, error) {
		m, err := p.machine(machine)
		if err == nil {
			_, err = cluster.Shell(ctx, m, script)
		}
		return culprit, err
	}
}

// kill plants by SIGKILL; whoever supervises the process starts it again.
func kill(machine, process, culprit string) planting {
	return func(ctx context.Context, p *planter) (string, error) {
		m, err := p.machine(machine)
		if err != nil {
			return "", err
		}
		n, err := m.Kill(ctx, process)
		if err == nil && n == 0 {
			err = fmt.Errorf("%s has no process %s", machine, process)
		}
		return culprit, err
	}
}

// then does one thing after another; the last one names the culprit.
func then(all ...planting) planting {
	return func(ctx context.Context, p *planter) (culprit string, err error) {
		for _, do := range all {
			if culprit, err = do(ctx, p); err != nil {
				return culprit, err
			}
		}
		return culprit, nil
	}
}

// wait is for what must be seen before something else is done.
func wait(d time.Duration) planting {
	return func(ctx context.Context, _ *planter) (string, error) {
		select {
		case <-time.After(d):
			return "", nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}
