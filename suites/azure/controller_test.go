package azure

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
	"drydock.dev/drydock/harness/azure/throttle"
	"drydock.dev/drydock/harness/azure/workers"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/subject"
)

// cloud is a lab whose machines are a twin's virtual machines, with the unmodified cloud-controller-manager between the two.
type cloud struct {
	cluster    cluster.Cluster
	kube       kubernetes.Interface
	twin       *azure.Twin
	admin      *azure.Client // whoever administrates the subscription beside the controller
	controller *subject.Controller
}

const (
	principal = "cloud-controller-manager"
	lastWords = 20_000 // bytes of the controller's log that are told with a failure
)

func (c *cloud) network(name string) string {
	return c.group() + "/providers/Microsoft.Network/" + name
}
func (c *cloud) machine(name string) string {
	return c.group() + "/providers/Microsoft.Compute/virtualMachines/" + name
}
func (c *cloud) group() string { return "resourceGroups/" + c.cluster.Topology().Name }

// put writes a document as the administrator and waits until it is Succeeded.
func (c *cloud) put(ctx context.Context, path string, body map[string]any) {
	GinkgoHelper()
	Expect(c.admin.Do(ctx, http.MethodPut, path, body, nil)).To(Succeed(), path)
	Eventually(c.state).WithContext(ctx).WithArguments(path).WithPolling(50*time.Millisecond).Should(Equal("Succeeded"), path)
}

func (c *cloud) state(ctx context.Context, path string) (string, error) {
	var body struct {
		Properties struct{ ProvisioningState string }
	}
	err := c.admin.Do(ctx, http.MethodGet, path, nil, &body)
	return body.Properties.ProvisioningState, err
}

func there(ctx context.Context, c *azure.Client, path string) (int, error) {
	err := c.Do(ctx, http.MethodGet, path, nil, nil)
	if e, ok := err.(*arm.Error); ok && e.Status == http.StatusNotFound { //nolint:errorlint // Do returns it as it is
		return e.Status, nil
	}
	return http.StatusOK, err
}

// furnish writes the interfaces and machines that stand for the lab's once more, with nothing in them but what Azure asks for: what it fills in is the
// twin's to fill in. The controller makes the rest.
func (c *cloud) furnish(ctx context.Context) {
	GinkgoHelper()
	type m = map[string]any
	for _, typ := range []string{
		"Microsoft.Compute/virtualMachines", "Microsoft.Network/networkInterfaces", "Microsoft.Network/networkSecurityGroups", "Microsoft.Network/publicIPAddresses", "Microsoft.Network/loadBalancers",
	} {
		moment := state.Span{Min: 10 * time.Millisecond, Max: 10 * time.Millisecond}
		c.twin.SetTiming(typ, state.Timing{Create: moment, Update: moment, Delete: moment, Action: moment, RetryAfter: state.Retry{Write: time.Second, Delete: time.Second, Poll: time.Second}})
	}
	id := "/subscriptions/" + azure.DefaultSubscription + "/"
	for _, machine := range c.cluster.Machines() {
		nic := c.network("networkInterfaces/" + machine.Name() + workers.InterfaceSuffix)
		subnet := id + c.network("virtualNetworks/"+workers.Network+"/subnets/"+workers.Subnet)
		ip := m{"name": "ipconfig", "properties": m{"subnet": m{"id": subnet}, "privateIPAllocationMethod": "Static", "privateIPAddress": machine.Addr().String()}}
		c.put(ctx, nic, m{"location": "westeurope", "properties": m{"ipConfigurations": []any{ip}}})
		c.put(ctx, c.machine(machine.Name()), m{"location": "westeurope", "properties": m{
			"hardwareProfile": m{"vmSize": "Standard_D2s_v3"}, "networkProfile": m{"networkInterfaces": []any{m{"id": id + nic}}},
		}})
	}
}

// raise brings it all up. From then on the virtual machines are the lab's.
func raise(ctx context.Context) *cloud {
	GinkgoHelper()
	program, err := suite.Host.Subjects().Build(ctx, subject.CloudController)
	Expect(err).NotTo(HaveOccurred())
	c := &cloud{cluster: suite.Up(ctx, cluster.Topology{ControlPlanes: 1, Workers: 2, Version: "v1.36"})}
	c.kube, err = kubeadm.AdminClient(ctx, c.cluster)
	Expect(err).NotTo(HaveOccurred())
	machines, err := workers.New(ctx, c.cluster)
	Expect(err).NotTo(HaveOccurred())
	policy, err := throttle.LoadPolicy("current")
	Expect(err).NotTo(HaveOccurred())
	clock, err := arm.ParseClock("wall")
	Expect(err).NotTo(HaveOccurred())
	c.twin, err = azure.New(azure.Options{Clock: clock, Policy: policy, Machines: machines})
	Expect(err).NotTo(HaveOccurred())
	documents, err := machines.State(azure.DefaultSubscription)
	Expect(err).NotTo(HaveOccurred())
	Expect(c.twin.Load(documents)).To(Succeed())
	server, err := c.twin.Serve(context.WithoutCancel(ctx), azure.Listen{Address: "127.0.0.1:0"})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(server.Close)
	c.admin, err = azure.NewClient(ctx, server.Ready, server.CA, "admin")
	Expect(err).NotTo(HaveOccurred())
	c.furnish(ctx)
	// Machines become nodes of the cloud by a program on each of them, the cloud-node-manager, and not by this one.
	for _, machine := range c.cluster.Machines() {
		c.patch(ctx, machine.Name(), `{"spec":{"providerID":"azure:///subscriptions/`+azure.DefaultSubscription+"/"+c.machine(machine.Name())+`"}}`)
	}
	kubeconfig, err := cluster.KubeconfigFile(ctx, c.cluster)
	Expect(err).NotTo(HaveOccurred())
	c.controller = &subject.Controller{
		Program: program, Kubeconfig: kubeconfig, Twin: server.Ready, CA: server.CA, Principal: principal, Cluster: "kubernetes", Dir: filepath.Join(GinkgoT().TempDir(), "controller"),
		Settings: map[string]any{
			"resourceGroup": c.cluster.Topology().Name, "location": "westeurope", "vmType": "standard", "loadBalancerSku": "standard", "vnetName": workers.Network, "subnetName": workers.Subnet, "securityGroupName": workers.SecurityGroup,
			// It remembers what it has read for up to two minutes: what the administrator does meanwhile would come late.
			"vmCacheTTLInSeconds": 1, "loadBalancerCacheTTLInSeconds": 1, "nsgCacheTTLInSeconds": 1, "publicIPCacheTTLInSeconds": 1, "availabilitySetsCacheTTLInSeconds": 1,
		},
	}
	Expect(c.controller.Start()).To(Succeed())
	DeferCleanup(c.controller.Stop)
	return c
}

// expose makes a Service of type LoadBalancer.
func (c *cloud) expose(ctx context.Context, name string) {
	GinkgoHelper()
	_, err := c.kube.CoreV1().Services("default").Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Selector: map[string]string{"app": name}, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
}

// address is what kubectl shows as EXTERNAL-IP; empty: <pending>.
func (c *cloud) address(ctx context.Context, service string) (string, error) {
	s, err := c.kube.CoreV1().Services("default").Get(ctx, service, metav1.GetOptions{})
	if err != nil || len(s.Status.LoadBalancer.Ingress) == 0 {
		return "", err
	}
	return s.Status.LoadBalancer.Ingress[0].IP, nil
}

// warnings are the messages of a Service's events that warn.
func (c *cloud) warnings(ctx context.Context, service string) (out []string, err error) {
	events, err := c.kube.CoreV1().Events("default").List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.kind=Service,type=Warning,involvedObject.name=" + service})
	if err != nil {
		return nil, err
	}
	for _, e := range events.Items {
		out = append(out, e.Reason+": "+e.Message)
	}
	return out, nil
}

// pool is the balancer's back-end pool, as the machines in it; nil: there is no balancer.
func (c *cloud) pool(ctx context.Context) ([]string, error) {
	var body struct {
		Properties struct {
			BackendAddressPools []struct {
				Properties struct{ BackendIPConfigurations []struct{ ID string } }
			}
		}
	}
	err := c.admin.Do(ctx, http.MethodGet, c.network("loadBalancers/kubernetes"), nil, &body)
	if err != nil {
		return nil, err
	}
	out := []string{}
	for _, p := range body.Properties.BackendAddressPools {
		for _, ip := range p.Properties.BackendIPConfigurations { // …/networkInterfaces/NAME/ipConfigurations/NAME
			out = append(out, strings.TrimSuffix(path.Base(path.Dir(path.Dir(ip.ID))), workers.InterfaceSuffix))
		}
	}
	return out, nil
}

// patch changes a node.
func (c *cloud) patch(ctx context.Context, node, patch string) {
	GinkgoHelper()
	_, err := c.kube.CoreV1().Nodes().Patch(ctx, node, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
	Expect(err).NotTo(HaveOccurred())
}

// ready is nil while a node is.
func (c *cloud) ready(ctx context.Context, node string) error {
	n, err := c.kube.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
	if err != nil {
		return err
	}
	return kubeadm.NodeReady(n)
}

// left are the twin's documents of what a Service makes, and what its making writes into others.
func (c *cloud) left() (out []string) {
	for _, raw := range c.twin.State().Resources {
		for _, trace := range []string{"/loadBalancers/", "/publicIPAddresses/", `loadBalancerBackendAddressPools":[{`, `"securityRules":[{`} {
			if strings.Contains(string(raw), trace) {
				out = append(out, string(raw))
			}
		}
	}
	return out
}

var _ = Describe("the unmodified cloud-controller-manager", Ordered, ContinueOnFailure, Label("tier: full", "needs: kubernetes", "needs: subjects"), func() {
	var c *cloud
	const within, often = 2 * time.Minute, 250 * time.Millisecond

	BeforeAll(func(ctx context.Context) { c = raise(ctx) }, NodeTimeout(25*time.Minute))
	AfterEach(func() {
		if c == nil {
			return
		}
		if CurrentSpecReport().Failed() {
			if raw, err := os.ReadFile(c.controller.Log()); err == nil {
				AddReportEntry("the controller's last words", string(raw[max(0, len(raw)-lastWords):]), ReportEntryVisibilityFailureOrVerbose)
			}
		}
		Expect(c.controller.Running()).To(Succeed())
	})
	served := func(ctx context.Context, service string) {
		GinkgoHelper()
		Eventually(c.address).WithContext(ctx).WithArguments(service).WithTimeout(within).WithPolling(often).ShouldNot(BeEmpty(), "the external address of %s", service)
	}
	gone := func(ctx context.Context, service string) {
		GinkgoHelper()
		Expect(c.kube.CoreV1().Services("default").Delete(ctx, service, metav1.DeleteOptions{})).To(Succeed())
		Eventually(func(ctx context.Context) error {
			_, err := c.address(ctx, service)
			return err
		}).WithContext(ctx).WithTimeout(within).WithPolling(often).Should(Satisfy(apierrors.IsNotFound), "service %s is gone, its finalizer was taken away", service)
	}

	It("gives a Service its external address, and its balancer the workers", func(ctx context.Context) {
		c.expose(ctx, "web")
		served(ctx, "web")
		Expect(c.pool(ctx)).To(ConsistOf("worker-1", "worker-2"))
		Expect(c.warnings(ctx, "web")).To(BeEmpty())
	}, NodeTimeout(5*time.Minute))

	It("takes a node that is not to be served out of the pool, and back in", func(ctx context.Context) {
		pool := func() AsyncAssertion {
			return Eventually(c.pool).WithContext(ctx).WithTimeout(within).WithPolling(often)
		}
		c.patch(ctx, "worker-2", `{"metadata":{"labels":{"`+corev1.LabelNodeExcludeBalancers+`":"true"}}}`)
		pool().Should(ConsistOf("worker-1"))
		c.patch(ctx, "worker-2", `{"metadata":{"labels":{"`+corev1.LabelNodeExcludeBalancers+`":null}}}`)
		pool().Should(ConsistOf("worker-1", "worker-2"))
	}, NodeTimeout(5*time.Minute))

	It("leaves nothing behind when the Service is deleted", func(ctx context.Context) {
		Expect(c.left()).NotTo(BeEmpty(), "there was something to leave")
		gone(ctx, "web")
		Expect(c.left()).To(BeEmpty())
	}, NodeTimeout(5*time.Minute))

	It("shows the external address pending while addresses cannot be written, and gives it when they can", func(ctx context.Context) {
		f, err := c.twin.Arm(azure.Fault{Kind: azure.FaultThrottle, Principal: principal, Operations: []string{"CREATE Microsoft.Network/publicIPAddresses"}, RetryAfter: 1})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { c.twin.Disarm(f.ID) })
		c.expose(ctx, "pending")
		Eventually(c.warnings).WithContext(ctx).WithArguments("pending").WithTimeout(within).WithPolling(often).Should(ContainElement(And(HavePrefix("SyncLoadBalancerFailed"), ContainSubstring("throttled due to too many requests"))))
		Expect(c.address(ctx, "pending")).To(BeEmpty())
		Expect(there(ctx, c.admin, c.network("loadBalancers/kubernetes"))).To(Equal(http.StatusNotFound))
		c.twin.Disarm(f.ID)
		served(ctx, "pending")
		gone(ctx, "pending")
	}, NodeTimeout(8*time.Minute))

	It("shows the back-end pool empty while interfaces cannot be read, and fills it when they can", func(ctx context.Context) {
		f, err := c.twin.Arm(azure.Fault{Kind: azure.FaultError, Status: http.StatusInternalServerError, Principal: principal, Operations: []string{"GET Microsoft.Network/networkInterfaces"}})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { c.twin.Disarm(f.ID) })
		c.expose(ctx, "empty")
		Eventually(c.warnings).WithContext(ctx).WithArguments("empty").WithTimeout(within).WithPolling(often).Should(ContainElement(And(HavePrefix("SyncLoadBalancerFailed"), ContainSubstring("failed to ensure host in pool"))))
		Expect(c.pool(ctx)).To(BeEmpty())
		c.twin.Disarm(f.ID)
		served(ctx, "empty")
		Expect(c.pool(ctx)).To(ConsistOf("worker-1", "worker-2"))
	}, NodeTimeout(8*time.Minute))

	It("keeps a node whose machine is off, and deletes one whose machine is gone", func(ctx context.Context) {
		Expect(c.admin.Do(ctx, http.MethodPost, c.machine("worker-2")+"/powerOff", nil, nil)).To(Succeed())
		// The service controller asks for no readiness (stableNodeSetPredicates of k8s.io/cloud-provider): a balancer's probes keep traffic from such a node.
		Eventually(c.ready).WithContext(ctx).WithArguments("worker-2").WithTimeout(within).WithPolling(often).ShouldNot(Succeed())
		Consistently(c.pool).WithContext(ctx).WithTimeout(5 * time.Second).WithPolling(often).Should(ConsistOf("worker-1", "worker-2"))
		Expect(c.admin.Do(ctx, http.MethodDelete, c.machine("worker-2"), nil, nil)).To(Succeed())
		Eventually(func(ctx context.Context) error {
			_, err := c.kube.CoreV1().Nodes().Get(ctx, "worker-2", metav1.GetOptions{})
			return err
		}).WithContext(ctx).WithTimeout(within).WithPolling(often).Should(Satisfy(apierrors.IsNotFound), "the node is gone")
		Expect(c.admin.Do(ctx, http.MethodDelete, c.network("networkInterfaces/worker-2"+workers.InterfaceSuffix), nil, nil)).To(Succeed())
		Eventually(c.pool).WithContext(ctx).WithTimeout(within).WithPolling(often).Should(ConsistOf("worker-1"))
		gone(ctx, "empty")
		Expect(c.left()).To(BeEmpty())
	}, NodeTimeout(8*time.Minute))

	// Why what Azure fills in by itself is the twin's to fill in: getIPConfigByIPFamily of v1.36.5 looks at privateIPAddressVersion without asking whether it
	// is there. Azure's interfaces have it always, and so have the twin's (references_test.go of harness/azure); this one is loaded as it is.
	It("ends in a panic at an interface without the version of its address, and serves again when it has one", func(ctx context.Context) {
		path := c.network("networkInterfaces/worker-1" + workers.InterfaceSuffix)
		var document map[string]any
		Expect(c.admin.Do(ctx, http.MethodGet, path, nil, &document)).To(Succeed())
		ip, is := arm.At(document, "properties", "ipConfigurations", "0", "properties").(map[string]any)
		Expect(is).To(BeTrueBecause("%v", document))
		Expect(ip).To(HaveKeyWithValue("privateIPAddressVersion", "IPv4"), "furnish writes none")
		load := func() {
			GinkgoHelper()
			raw, err := json.Marshal(document)
			Expect(err).NotTo(HaveOccurred())
			Expect(c.twin.Load(azure.State{Resources: []json.RawMessage{raw}})).To(Succeed())
		}
		delete(ip, "privateIPAddressVersion")
		load()
		c.expose(ctx, "bare")
		Eventually(c.controller.Running).WithContext(ctx).WithTimeout(within).WithPolling(often).Should(MatchError(ContainSubstring("ended")))
		Expect(os.ReadFile(c.controller.Log())).To(WithTransform(func(b []byte) string { return string(b) }, And(ContainSubstring("nil pointer dereference"), ContainSubstring("getIPConfigByIPFamily"))))
		ip["privateIPAddressVersion"] = "IPv4"
		load()
		Expect(c.controller.Start()).To(Succeed())
		served(ctx, "bare")
		Expect(c.pool(ctx)).To(ConsistOf("worker-1"))
		gone(ctx, "bare")
		Expect(c.left()).To(BeEmpty())
	}, NodeTimeout(8*time.Minute))
})
