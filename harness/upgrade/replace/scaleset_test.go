package replace

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/provider"
	"drydock.dev/drydock/harness/upgrade"
)

// pool is a scale set of two instances, which are nodes of the cluster.
func (f *fleet) pool(t *testing.T) {
	t.Helper()
	var tpl any
	if err := json.Unmarshal([]byte(`{"$schema":"https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#","contentVersion":"1.0.0.0","resources":[
{"apiVersion":"2024-07-01","type":"Microsoft.Compute/virtualMachineScaleSets","name":"pool","location":"westeurope","tags":{"orchestrator":"Kubernetes:1.35.4","poolName":"pool"},"sku":{"name":"Standard_D2s_v3","tier":"Standard","capacity":2},
 "properties":{"upgradePolicy":{"mode":"Manual"},"virtualMachineProfile":{"osProfile":{"computerNamePrefix":"pool"},"storageProfile":{"osDisk":{"createOption":"FromImage"}},
  "networkProfile":{"networkInterfaceConfigurations":[{"name":"nic","properties":{"primary":true,"ipConfigurations":[{"name":"a","properties":{"subnet":{"id":"[resourceId('Microsoft.Network/virtualNetworks/subnets','net','machines')]"}}}]}}]}}}}]}`), &tpl); err != nil {
		t.Fatal(err)
	}
	c := f.manager("setup", f.twin)
	if err := c.Deploy(t.Context(), "pool", tpl, nil); err != nil {
		t.Fatal(err)
	}
	<-time.After(2 * boots)
	all, err := c.Instances(t.Context(), "pool")
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v: %v", all, err)
	}
	for _, i := range all {
		f.edit(i.Computer(), func(n *corev1.Node) { n.Labels["example.com/slot"] = "slot-of-" + i.Computer() })
	}
	f.instances, f.only = 2, "scale-set/"
	f.twin.Calls().Reset()
}

// judgePool says what is wrong with the scale set at the end.
func (f *fleet) judgePool(t *testing.T) {
	t.Helper()
	all, err := f.manager("judge", f.twin).Instances(t.Context(), "pool")
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v: %v", all, err)
	}
	slots := map[string]bool{}
	for _, i := range all {
		n, err := f.client.CoreV1().Nodes().Get(t.Context(), i.Computer(), metav1.GetOptions{})
		if err != nil || i.Tags[provider.VersionTag] != provider.VersionTagged(to) || n.Status.NodeInfo.KubeletVersion != to || n.Spec.Unschedulable {
			t.Errorf("%+v: %+v %v", i, n, err)
			continue
		}
		slots[n.Labels["example.com/slot"]] = true
	}
	if len(slots) != 2 || slots[""] {
		t.Errorf("the new nodes have the labels %v", slots)
	}
	nodes, err := f.client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(nodes.Items) != 3+2 || len(f.hosts) != 3+2 {
		t.Errorf("%d nodes and %d machines: %v", len(nodes.Items), len(f.hosts), err)
	}
}

// TestTheInstancesOfAScaleSet, killed at every call.
func TestTheInstancesOfAScaleSet(t *testing.T) {
	spec := upgrade.Spec{ScaleSets: []string{"pool"}}
	calls := 0
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, azure.Options{}, 0)
		f.pool(t)
		dir := scratch(t)
		a := f.upgrade(dir, spec, 0, false)
		if calls = a.sent; a.err != nil {
			t.Fatal(a.err)
		}
		f.judgePool(t)
		made := f.made
		if a = f.upgrade(dir, spec, 0, false); a.err != nil || f.made != made {
			t.Errorf("a second time: %v, %d machines more", a.err, f.made-made)
		}
	})
	every := 1
	if testing.Short() {
		every = 7
	}
	for k := 1; k <= calls; k += every {
		t.Run(fmt.Sprintf("killed at %d of %d", k, calls), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, azure.Options{}, 0)
				f.pool(t)
				dir := scratch(t)
				if a := f.upgrade(dir, spec, k, k%2 == 0); !errors.Is(a.err, errKilled) {
					t.Fatalf("it was to die: %v", a.err)
				}
				if a := f.upgrade(dir, spec, 0, false); a.err != nil {
					t.Fatal(a.err)
				}
				f.judgePool(t)
			})
		})
	}
}

func TestAnInstanceThatDoesNotComeUp(t *testing.T) {
	within(t, azure.Options{}, func(t *testing.T, f *fleet) {
		t.Helper()
		f.pool(t)
		f.breaks["pool000002"] = 1
		a := f.upgrade(scratch(t), upgrade.Spec{ScaleSets: []string{"pool"}}, 0, false)
		if a.err == nil || !strings.Contains(a.err.Error(), "pool000002 well at v1.36.3: not after 20m0s") || f.hosts["pool000000"] == nil || f.hosts["pool000001"] == nil {
			t.Errorf("%v", a.err)
		}
	})
}
