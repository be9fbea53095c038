package staging

import (
	"context"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/gexec"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

var _ = Describe("a control plane and a worker that somebody else has", Label("tier: full", "needs: kubernetes"), Ordered, func() {
	var s *strangers

	BeforeAll(func(ctx SpecContext) {
		s = strange(ctx, cluster.Topology{Name: "shop", ControlPlanes: 1, Workers: 1, Version: "v1.35"})
	}, NodeTimeout(5*time.Minute))

	It("are called GO by who only looks, and NO-GO when a component is gone", func(ctx SpecContext) {
		at := s.inventory(ctx, false)
		look := drydock(ctx, at, "observe", "--for", "5s")
		Eventually(look).WithTimeout(3 * time.Minute).Should(gexec.Exit(0))
		m, err := s.lab.Machine("control-plane-1")
		Expect(err).NotTo(HaveOccurred())
		_, err = cluster.Shell(ctx, m, "mv /etc/kubernetes/manifests/kube-scheduler.yaml /root/")
		Expect(err).NotTo(HaveOccurred())
		look = drydock(ctx, at, "observe", "--for", "5s")
		Eventually(look).WithTimeout(5 * time.Minute).Should(gexec.Exit(1))
		Expect(look.Out).To(gbytes.Say("kube-scheduler"))
		_, err = cluster.Shell(ctx, m, "mv /root/kube-scheduler.yaml /etc/kubernetes/manifests/")
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, func() int { return drydock(ctx, at, "observe", "--for", "2s").Wait(time.Minute).ExitCode() }).WithTimeout(2 * time.Minute).Should(Equal(0))
	}, SpecTimeout(8*time.Minute))

	It("have a worker cut off, and are one run's at a time", func(ctx SpecContext) {
		at, out := s.inventory(ctx, true, "faults: [machineIsolate]"), filepath.Join(GinkgoT().TempDir(), "run")
		isolate := kubernetes("isolate", "{controlPlanes: 1, workers: 1}", "fault: {machineIsolate: {target: worker-1, for: 5s}}")
		first := drydock(ctx, at, "run", isolate, typed, "drydock", "--out", out)
		broken(ctx, out)
		second := drydock(ctx, at, "run", isolate, typed, "drydock")
		Eventually(second).WithTimeout(2 * time.Minute).Should(gexec.Exit(2))
		Expect(second.Err).To(gbytes.Say("being worked on by .*drydock-"))
		Eventually(first).WithTimeout(5 * time.Minute).Should(gexec.Exit(0))
		Expect(s.left(ctx)).To(BeEmpty())
	}, SpecTimeout(8*time.Minute))

	It("are not touched by who types the name of another", func(ctx SpecContext) {
		run := drydock(ctx, s.inventory(ctx, false, "faults: [machineIsolate]"), "run", kubernetes("refused", "{controlPlanes: 1, workers: 1}", "fault: {machineIsolate: {target: worker-1, for: 5s}}"), typed, "shop")
		Eventually(run).WithTimeout(time.Minute).Should(gexec.Exit(2))
		Expect(run.Err).To(gbytes.Say(`calls itself "drydock", and not "shop"`)) // as kubeadm was told, whatever the lab is called
	}, SpecTimeout(2*time.Minute))

	It("have their own workload used: GO while it answers, NO-GO when it does not, and refused where there is none", func(ctx SpecContext) {
		at := s.inventory(ctx, false)
		m, err := s.lab.Machine("control-plane-1")
		Expect(err).NotTo(HaveOccurred())
		kubectl := func(ctx context.Context, script string) {
			GinkgoHelper()
			_, err := cluster.Shell(ctx, m, "export KUBECONFIG=/etc/kubernetes/admin.conf PATH=/opt/drydock/bin:$PATH; "+script)
			Expect(err).NotTo(HaveOccurred())
		}
		using := func(service, path string) string {
			return written("own", `
  cluster: {controlPlanes: 1, workers: 1}
  workload: {existing: {namespace: web, service: `+service+`, path: `+path+`}}
  steps: [{observe: 15s}]
  always: [{workloadAvailable: {maxGap: 3s}}]
`)
		}
		kubectl(ctx, "kubectl apply -f - <<END"+shop+"kubectl -n web rollout status deployment/shop --timeout=60s")
		DeferCleanup(func(ctx context.Context) { kubectl(ctx, "kubectl delete namespace web --timeout=60s") }, NodeTimeout(2*time.Minute))
		null := drydock(ctx, at, "run", using("shop", "/"), typed, "drydock")
		Eventually(null).WithTimeout(4 * time.Minute).Should(gexec.Exit(0))
		Expect(null.Out).To(gbytes.Say("✓ workloadAvailable"))

		out := filepath.Join(GinkgoT().TempDir(), "bite")
		bite := drydock(ctx, at, "run", using("shop", "/"), typed, "drydock", "--out", out)
		observed(ctx, out)
		kubectl(ctx, "kubectl -n web scale deployment/shop --replicas=0")
		Eventually(bite).WithTimeout(5 * time.Minute).Should(gexec.Exit(1))
		Expect(bite.Out).To(gbytes.Say("✗ workloadAvailable"))

		for says, file := range map[string]string{"nobody behind it is ready": using("shop", "/"), "no Service web/shoop": using("shoop", "/"), "path is": using("shop", "x")} {
			refused := drydock(ctx, at, "run", file, typed, "drydock")
			Eventually(refused).WithTimeout(time.Minute).Should(gexec.Exit(2))
			Expect(refused.Err).To(gbytes.Say(says))
		}
		Expect(s.objects(ctx)).To(BeEmpty())
	}, SpecTimeout(15*time.Minute))

	It("are looked at while their API server is down, which a run tells", func(ctx SpecContext) {
		at, out := s.inventory(ctx, false), filepath.Join(GinkgoT().TempDir(), "run")
		m, err := s.lab.Machine("control-plane-1")
		Expect(err).NotTo(HaveOccurred())
		run := drydock(ctx, at, "run", kubernetes("stopped", "{controlPlanes: 1, workers: 1}", "observe: 20s"), typed, "drydock", "--out", out)
		observed(ctx, out)
		_, err = cluster.Shell(ctx, m, "mv /etc/kubernetes/manifests/kube-apiserver.yaml /root/ && while pgrep -x kube-apiserver; do sleep 0.2; done")
		Expect(err).NotTo(HaveOccurred())
		look := drydock(ctx, at, "status")
		Eventually(look).WithTimeout(time.Minute).Should(gexec.Exit())
		Expect(look.Out).To(gbytes.Say("control-plane-1 .*leader"))
		shell := drydock(ctx, at, "shell", "worker-1", "--name", "drydock", "--", "hostname")
		Eventually(shell).WithTimeout(time.Minute).Should(gexec.Exit(0))
		Expect(shell.Out).To(gbytes.Say("worker-1"))
		_, err = cluster.Shell(ctx, m, "mv /root/kube-apiserver.yaml /etc/kubernetes/manifests/")
		Expect(err).NotTo(HaveOccurred())
		Eventually(run).WithTimeout(5 * time.Minute).Should(gexec.Exit(1))
		Expect(run.Out).To(gbytes.Say("kube-apiserver on control-plane-1"))
		Expect(s.left(ctx)).To(BeEmpty())
		Expect(s.objects(ctx)).To(BeEmpty())
	}, SpecTimeout(10*time.Minute))

	It("have nothing left in them by a run that was killed, once it is healed", func(ctx SpecContext) {
		at, out := s.inventory(ctx, false, "faults: [machineIsolate]"), filepath.Join(GinkgoT().TempDir(), "run")
		run := drydock(ctx, at, "run", kubernetes("killed", "{controlPlanes: 1, workers: 1}", "fault: {machineIsolate: {target: worker-1, for: 30s}}"), typed, "drydock", "--out", out)
		broken(ctx, out)
		Expect(s.objects(ctx)).NotTo(BeEmpty(), "what a run puts there is seen")
		Eventually(run.Kill()).WithTimeout(10 * time.Second).Should(gexec.Exit())
		heal := drydock(ctx, at, "heal", out)
		Eventually(heal).WithTimeout(3 * time.Minute).Should(gexec.Exit(0))
		Eventually(ctx, s.left).WithTimeout(5 * time.Second).Should(BeEmpty())
		Expect(s.objects(ctx)).To(BeEmpty())
	}, SpecTimeout(8*time.Minute))

	It("are upgraded by a program of their owner, before and after which Drydock looks", func(ctx SpecContext) {
		at, program := s.inventory(ctx, false), s.program()
		preflight := drydock(ctx, at, "preflight", "--name", "drydock", "--to", "v1.36")
		Eventually(preflight).WithTimeout(2 * time.Minute).Should(gexec.Exit(0))
		Expect(preflight.Out).To(gbytes.Say("none blocks the upgrade"))
		own := drydock(ctx, at, "upgrade", "--name", "drydock", "--to", "v1.36", typed, "drydock")
		Eventually(own).WithTimeout(2 * time.Minute).Should(gexec.Exit(2))
		Expect(own.Err).To(gbytes.Say("your own program can, behind --"))
		unnamed := drydock(ctx, at, "upgrade", "--name", "drydock", "--to", "v1.36", "--", program)
		Eventually(unnamed).WithTimeout(2 * time.Minute).Should(gexec.Exit(2))
		up := drydock(ctx, at, "upgrade", "--name", "drydock", "--to", "v1.36", typed, "drydock", "--", program)
		Eventually(up).WithTimeout(12 * time.Minute).Should(gexec.Exit(0))
		Expect(up.Out).To(gbytes.Say("drydock runs v1.36"))
		Expect(s.left(ctx)).To(BeEmpty())
		Expect(s.objects(ctx)).To(BeEmpty())
	}, SpecTimeout(20*time.Minute))
})

var _ = Describe("three control planes and a worker that somebody else has", Label("tier: nightly", "needs: kubernetes"), Ordered, func() {
	var s *strangers

	BeforeAll(func(ctx SpecContext) {
		s = strange(ctx, cluster.Topology{Name: "fleet", ControlPlanes: 3, Workers: 1, Version: "v1.35"})
	}, NodeTimeout(10*time.Minute))

	It("stand the crash of the etcd leader", func(ctx SpecContext) {
		run := drydock(ctx, s.inventory(ctx, false, allowed), "run", kubernetes("leader", "{controlPlanes: 3, workers: 1}", "fault: {etcdMemberCrash: {target: leader, for: 10s}}"), typed, "drydock")
		Eventually(run).WithTimeout(8 * time.Minute).Should(gexec.Exit(0))
		Expect(s.left(ctx)).To(BeEmpty())
		Expect(s.objects(ctx)).To(BeEmpty())
	}, SpecTimeout(10*time.Minute))

	It("are upgraded by a program of their owner under load, and end GO", func(ctx SpecContext) {
		upgrade := written("upgrade-clean", `
  cluster: {controlPlanes: 3, workers: 1, version: v1.35}
  steps:
    - upgrade: {to: v1.36, strategy: command, command: [`+s.program()+`]}
  always: [etcdQuorum, oneLeader, versionSkew, {apiAvailable: {maxGap: 15s}}]
  finally: [nodesReady, {versions: {version: v1.36}}, {etcdHealthy: {members: 3}}, hashesEqual, labelsPreserved, noResidue]
`)
		run := drydock(ctx, s.inventory(ctx, false), "run", upgrade, typed, "drydock")
		Eventually(run).WithTimeout(25 * time.Minute).Should(gexec.Exit(0))
		Expect(s.left(ctx)).To(BeEmpty())
		Expect(s.objects(ctx)).To(BeEmpty())
	}, SpecTimeout(30*time.Minute))
})

// shop is a workload that somebody else has.
const shop = `
apiVersion: v1
kind: Namespace
metadata: {name: web}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, namespace: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers:
      - {name: serve, image: drydock/workload, imagePullPolicy: IfNotPresent, args: [serve, --listen, ":8080"], readinessProbe: {periodSeconds: 1, httpGet: {port: 8080}}}
---
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: web}
spec: {selector: {app: shop}, ports: [{port: 80, targetPort: 8080}]}
END
`

// observed waits until the run looks at the cluster all the time.
func observed(ctx context.Context, out string) {
	GinkgoHelper()
	Eventually(ctx, func() ([]plan.Entry, error) { e, _, err := plan.ReadJournal(out); return e, err }).WithTimeout(3 * time.Minute).
		Should(ContainElement(HaveField("Kind", "observation")))
}

// objects are those that Drydock has put into the cluster: its Lease, its namespace, its workload, and its marks on Nodes.
func (s *strangers) objects(ctx context.Context) (string, error) {
	m, err := s.lab.Machine(s.lab.Topology().ControlPlaneMachines()[0])
	if err != nil {
		return "", err
	}
	return cluster.Shell(ctx, m, `export KUBECONFIG=/etc/kubernetes/admin.conf PATH=/opt/drydock/bin:$PATH
kubectl get leases -n kube-system -o name | grep -x lease.coordination.k8s.io/drydock || true
kubectl get namespaces -o name | grep drydock || true
kubectl get deployments,poddisruptionbudgets -A -o name | grep drydock || true
kubectl get nodes -o yaml | grep 'example.com/' || true`)
}

// kubernetes writes a scenario with one step.
func kubernetes(name, topology, step string) string {
	GinkgoHelper()
	return written(name, `
  cluster: `+topology+`
  steps:
    - observe: 2s
    - `+step+`
    - observe: 2s
  always: [etcdQuorum]
  finally: [etcdHealthy]
`)
}
