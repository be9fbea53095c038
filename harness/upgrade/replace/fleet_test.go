package replace

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/azuretest"
	"drydock.dev/drydock/harness/azure/provider"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/upgrade/replace/manager"
)

// The virtual-time tier: a real twin, called by the real SDK, in a bubble of testing/synctest, and a stand-in of the cluster that follows the twin's machines.
// A machine boots, its kubelet registers, its member of etcd votes when its data disk is attached and it has caught up; nothing else of a cluster is there.

const (
	from    = "v1.35.4"
	to      = "v1.36.3"
	boots   = 40 * time.Second // from power to a kubelet that answers
	catchUp = 15 * time.Second // from there to a member that has come to the last write
)

// host is a machine that runs.
type host struct {
	version           string
	bootID, machineID string
	up                time.Time // its kubelet answers from then on
	data              bool      // its data disk is attached
	broken            error     // it never comes up, and its extension says so
}

// fleet is the cluster: provider.Machines of the twin, and what an observer sees.
type fleet struct {
	t        *testing.T
	twin     *azuretest.Direct
	topology cluster.Topology
	client   kubernetes.Interface

	mu    sync.Mutex
	hosts map[string]*host
	made  int      // machines so far
	least int      // of members that were well at once
	wrong []string // what must never be

	only      string         // what the names of steps begin with that are carried out; empty: all
	instances int            // of scale sets, beside the topology's machines
	breaks    map[string]int // how many machines of a name are yet to be made broken
}

// newFleet is a cluster and its twin, both as they were for long.
func newFleet(t *testing.T, o azure.Options, workers int) *fleet {
	t.Helper()
	f := &fleet{
		t: t, hosts: map[string]*host{}, breaks: map[string]int{}, client: fake.NewClientset(),
		topology: cluster.Topology{Name: "c", ControlPlanes: 3, Workers: workers, Etcd: cluster.EtcdStacked, EtcdMembers: 3, Version: from, Timing: cluster.TimingFast},
	}
	f.least = f.topology.EtcdMembers
	o.Machines = f
	f.twin = azuretest.NewDirect(t, o)
	if err := f.twin.Load(f.state()); err != nil {
		t.Fatal(err)
	}
	for _, m := range f.topology.KubernetesMachines() {
		f.made++
		f.hosts[m] = &host{version: from, bootID: fmt.Sprintf("boot-%d", f.made), machineID: fmt.Sprintf("machine-%d", f.made), data: true}
		f.register(m)
		f.edit(m, func(n *corev1.Node) {
			n.Labels["example.com/rack"] = "rack-of-" + m
			n.Annotations = map[string]string{"example.com/owner": "somebody"}
			n.Spec.Taints = []corev1.Taint{{Key: "example.com/only", Value: m, Effect: corev1.TaintEffectPreferNoSchedule}}
		})
	}
	return f
}

// state is the resource group as the machines were made in it.
func (f *fleet) state() azure.State {
	group := "/subscriptions/" + azure.DefaultSubscription + "/resourceGroups/c"
	net := group + "/providers/Microsoft.Network/virtualNetworks/net"
	subnet := map[string]any{"id": net + "/subnets/machines", "name": "machines", "properties": map[string]any{"provisioningState": "Succeeded", "addressPrefix": "10.1.0.0/16"}}
	docs := []map[string]any{
		{"id": group, "name": "c", "location": "westeurope", "properties": map[string]any{"provisioningState": "Succeeded"}},
		{"id": net, "name": "net", "location": "westeurope", "properties": map[string]any{"provisioningState": "Succeeded", "addressSpace": map[string]any{"addressPrefixes": []any{"10.1.0.0/16"}}, "subnets": []any{subnet}}},
	}
	balancer := group + "/providers/Microsoft.Network/loadBalancers/api"
	pool, rules := balancer+"/backendAddressPools/masters", []any{}
	for i, m := range f.topology.KubernetesMachines() {
		balanced := map[string]any{
			"provisioningState": "Succeeded", "primary": true, "privateIPAllocationMethod": "Static", "privateIPAddress": fmt.Sprintf("10.1.0.%d", 10+i), "subnet": map[string]any{"id": subnet["id"]},
		}
		if slices.Contains(f.topology.ControlPlaneMachines(), m) {
			rule := map[string]any{"id": balancer + "/inboundNatRules/ssh-" + m, "name": "ssh-" + m, "properties": map[string]any{"provisioningState": "Succeeded", "protocol": "Tcp", "frontendPort": 50000 + i, "backendPort": 22}}
			rules = append(rules, rule)
			balanced["loadBalancerBackendAddressPools"], balanced["loadBalancerInboundNatRules"] = []any{map[string]any{"id": pool}}, []any{map[string]any{"id": rule["id"]}}
		}
		vm, nic := group+"/providers/"+manager.VirtualMachines+"/"+m, group+"/providers/"+manager.NetworkInterfaces+"/"+m+"-nic"
		disk := func(name string) map[string]any {
			id := group + "/providers/" + manager.Disks + "/" + name
			docs = append(docs, map[string]any{"id": id, "name": name, "location": "westeurope", "managedBy": vm, "properties": map[string]any{
				"provisioningState": "Succeeded", "diskState": "Attached", "diskSizeGB": 32, "creationData": map[string]any{"createOption": "Empty"},
			}})
			return map[string]any{"id": id}
		}
		data := []any{}
		if slices.Contains(f.topology.ControlPlaneMachines(), m) {
			data = append(data, map[string]any{"lun": 0, "name": m + "-etcddisk", "createOption": "Attach", "managedDisk": disk(m + "-etcddisk")})
		}
		docs = append(docs, map[string]any{"id": nic, "name": m + "-nic", "location": "westeurope", "properties": map[string]any{
			"provisioningState": "Succeeded", "virtualMachine": map[string]any{"id": vm}, "ipConfigurations": []any{map[string]any{
				"id": nic + "/ipConfigurations/a", "name": "a", "properties": balanced,
			}},
		}}, map[string]any{
			"id": vm, "name": m, "location": "westeurope", "identity": map[string]any{"type": "SystemAssigned", "principalId": "principal-of-" + m}, "tags": map[string]any{provider.VersionTag: provider.VersionTagged(from), "example.com/team": "blue"},
			"properties": map[string]any{
				"provisioningState": "Succeeded", "vmId": "vm-" + m, "timeCreated": "1999-01-01T00:00:00Z", "hardwareProfile": map[string]any{"vmSize": "Standard_D4s_v3"},
				"osProfile": map[string]any{"computerName": m}, "networkProfile": map[string]any{"networkInterfaces": []any{map[string]any{"id": nic}}},
				"storageProfile": map[string]any{"osDisk": map[string]any{"name": m + "-os", "osType": "Linux", "createOption": "FromImage", "managedDisk": disk(m + "-os")}, "dataDisks": data},
			},
		}, map[string]any{
			"id": group + "/providers/" + roleAssignments + "/role-of-" + m, "name": "role-of-" + m, "properties": map[string]any{"roleDefinitionId": contributor, "principalId": "principal-of-" + m, "scope": group},
		})
	}
	docs = append(docs, map[string]any{"id": balancer, "name": "api", "location": "westeurope", "properties": map[string]any{
		"provisioningState": "Succeeded", "inboundNatRules": rules, "backendAddressPools": []any{map[string]any{"id": pool, "name": "masters", "properties": map[string]any{"provisioningState": "Succeeded"}}},
	}})
	var s azure.State
	for _, d := range docs {
		raw, err := json.Marshal(d)
		if err != nil {
			f.t.Fatal(err)
		}
		s.Resources = append(s.Resources, raw)
	}
	return s
}

// register is a kubelet's: the Node of its machine, and of nothing that its owner put there.
func (f *fleet) register(machine string) {
	h := f.hosts[machine]
	ctx := context.Background()
	nodes := f.client.CoreV1().Nodes()
	if _, err := nodes.Get(ctx, machine, metav1.GetOptions{}); apierrors.IsNotFound(err) {
		if _, err := nodes.Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: machine, Labels: map[string]string{"kubernetes.io/hostname": machine}}}, metav1.CreateOptions{}); err != nil {
			f.t.Error(err)
		}
	}
	f.edit(machine, func(n *corev1.Node) {
		n.Status.NodeInfo = corev1.NodeSystemInfo{BootID: h.bootID, MachineID: h.machineID, KubeletVersion: h.version}
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	})
}

func (f *fleet) edit(machine string, change func(*corev1.Node)) {
	ctx := context.Background()
	n, err := f.client.CoreV1().Nodes().Get(ctx, machine, metav1.GetOptions{})
	if err == nil {
		change(n)
		_, err = f.client.CoreV1().Nodes().Update(ctx, n, metav1.UpdateOptions{})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		f.t.Error(err)
	}
}

// Create boots a machine.
func (f *fleet) Create(_ context.Context, m provider.Machine) error {
	name, data := m.Name, len(m.Disks) > 0
	f.mu.Lock()
	if h := f.hosts[name]; h != nil {
		f.wrong = append(f.wrong, "two machines "+name+" at once")
	}
	f.made++
	h := &host{version: "v" + provider.TaggedVersion(m.Tags), bootID: fmt.Sprintf("boot-%d", f.made), machineID: fmt.Sprintf("machine-%d", f.made), data: data, up: time.Now().Add(boots)}
	if f.breaks[name] > 0 {
		f.breaks[name]--
		h.broken = errors.New("the script ended with 50")
		h.up = time.Now().Add(1000 * time.Hour)
	}
	f.hosts[name] = h
	f.mu.Unlock()
	go func() {
		<-time.After(boots)
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.hosts[name] == h && h.broken == nil {
			f.register(name)
		}
	}()
	return nil
}

// Delete takes a machine's power.
func (f *fleet) Delete(_ context.Context, m provider.Machine) error {
	name := m.Name
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.hosts, name)
	f.edit(name, func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionUnknown })
	f.count()
	return nil
}

// Power is not asked for.
func (f *fleet) Power(context.Context, provider.Machine, string) error { return nil }

// Extension is the provisioning script's word.
func (f *fleet) Extension(ctx context.Context, m provider.Machine, _ string) error {
	for {
		f.mu.Lock()
		h := f.hosts[m.Name]
		f.mu.Unlock()
		switch {
		case h == nil:
			return errors.New("the machine is gone")
		case h.broken != nil:
			return h.broken
		case !h.up.After(time.Now()):
			return nil
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lose takes a machine away behind everybody's back: its virtual machine is gone.
func (f *fleet) lose(machine string) {
	c := f.manager("somebody", f.twin)
	for range 20 { // what a process that died has begun comes to its end: it is due when somebody looks
		<-time.After(30 * time.Second)
		if _, err := c.VM(f.t.Context(), machine); err != nil {
			f.t.Error(err)
		}
	}
	if err := c.Delete(f.t.Context(), c.ID(manager.VirtualMachines, machine)); err != nil {
		f.t.Error(err)
	}
}

// count keeps the lowest number of members that were well at once; the caller holds the lock.
func (f *fleet) count() {
	n := 0
	for _, m := range f.topology.EtcdMachines() {
		if f.votes(m) {
			n++
		}
	}
	f.least = min(f.least, n)
}

func (f *fleet) votes(machine string) bool {
	h := f.hosts[machine]
	return h != nil && h.data && !h.up.Add(catchUp).After(time.Now())
}

// look is an observer's.
func (f *fleet) look(ctx context.Context) observe.Observation {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count()
	now := time.Now()
	o := observe.Observation{Time: now, Synced: &etcd.Synced{Revision: 9, Applied: map[string]int64{}, Hashes: map[string]uint32{}}}
	voting := 0
	for i, m := range f.topology.EtcdMachines() {
		id := uint64(i + 1)
		o.Quorum.Members = append(o.Quorum.Members, etcd.Listed{ID: id, Machine: m})
		e := etcd.Member{Machine: m, Error: "connection refused"}
		if f.votes(m) {
			voting++
			e = etcd.Member{Machine: m, ID: id, Leader: 1, Term: 2}
			o.Synced.Applied[m], o.Synced.Hashes[m] = 9, 7
		}
		o.Members = append(o.Members, e)
	}
	if leader := slices.IndexFunc(o.Members, func(e etcd.Member) bool { return e.Error == "" }); leader >= 0 {
		for i := range o.Members {
			if o.Members[i].Error == "" {
				o.Members[i].Leader = uint64(leader + 1)
			}
		}
	}
	if voting < cluster.Quorum(f.topology.EtcdMembers) {
		o.Quorum = etcd.Membership{Error: "no linearizable read succeeded"}
	}
	for name, h := range f.hosts {
		names := []string{observe.Kubelet}
		if slices.Contains(f.topology.ControlPlaneMachines(), name) {
			names = append(names, observe.APIServer, observe.ControllerManager, observe.Scheduler)
			s := observe.ServerHealth{Machine: name}
			if !f.votes(name) {
				s.Ready = "503"
			}
			o.APIServers = append(o.APIServers, s)
		}
		for _, c := range names {
			o.Components = append(o.Components, component(c, name, h, now))
		}
	}
	nodes, err := f.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		f.t.Error(err)
	}
	for _, n := range nodes.Items {
		seen := observe.Node{Name: n.Name, BootID: n.Status.NodeInfo.BootID, Version: n.Status.NodeInfo.KubeletVersion, Ready: kubeadm.NodeReady(&n) == nil, Renewed: now.Add(-time.Second), Expires: now.Add(3 * time.Second)}
		if h := f.hosts[n.Name]; h != nil {
			seen.Booted = h.bootID
		}
		o.Nodes = append(o.Nodes, seen)
	}
	o.Pods = []observe.Pod{{Name: "default/a", Node: "worker-1", Phase: "Running", Ready: true, Owner: "ReplicaSet/a"}}
	for _, name := range kubeadm.Leases() {
		o.Leases = append(o.Leases, observe.Lease{Component: name, Holder: "x", Renewed: now.Add(-time.Second), Duration: 6 * time.Second})
	}
	return o
}

func component(name, machine string, h *host, now time.Time) observe.Component {
	if h.up.After(now) {
		return observe.Component{Name: name, Machine: machine, Error: "connection refused"}
	}
	return observe.Component{Name: name, Machine: machine, Version: h.version}
}

// token is a credential of the twin's.
type token struct {
	twin      *azuretest.Direct
	principal string
}

func (c token) GetToken(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken, error) {
	t, err := c.twin.Token(ctx, c.principal)
	return azcore.AccessToken{Token: t, ExpiresOn: time.Now().Add(time.Hour)}, err
}

func (f *fleet) manager(principal string, transport policy.Transporter) *manager.Client {
	c, err := manager.New(manager.Options{
		Endpoint: f.twin.URL, Authority: "https://login.microsoftonline.com", Subscription: f.twin.Subscription, Group: "c", Credential: token{f.twin, principal}, Transport: transport,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

// within runs a test in a bubble.
func within(t *testing.T, o azure.Options, do func(t *testing.T, f *fleet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { do(t, newFleet(t, o, 2)) })
}
