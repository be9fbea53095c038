package observe

import (
	"reflect"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func TestWhatIsComparedOfAnObject(t *testing.T) {
	for name, c := range map[string]struct {
		kind, object string
		want         map[string]string // nil: the object is not compared
	}{
		"what the server writes is dropped": {
			"ConfigMap", "{metadata: {name: a, namespace: d, uid: u, resourceVersion: '1', creationTimestamp: x, managedFields: [{}], labels: {example.com/a: b}}, data: {k: v}}",
			map[string]string{"metadata.labels[example.com/a]": `"b"`, "data.k": `"v"`},
		},
		"a template was created by nobody, whether it says so or not": {
			"StatefulSet.apps", "{spec: {template: {metadata: {creationTimestamp: null, labels: {a: b}}}, volumeClaimTemplates: [{metadata: {name: v, creationTimestamp: null}}]}}",
			map[string]string{"spec.template.metadata.labels.a": `"b"`, "spec.volumeClaimTemplates[{\"metadata\":{\"name\":\"v\"}}]": "1"},
		},
		"named members of a list are told apart by name, others by content, plain ones are one value": {
			"X", "{spec: {containers: [{name: c, image: i, args: [a, b]}], rules: [{verbs: [get]}, {verbs: [get]}], none: []}}",
			map[string]string{"spec.containers[c].image": `"i"`, "spec.containers[c].name": `"c"`, "spec.containers[c].args": `["a","b"]`, `spec.rules[{"verbs":["get"]}]`: "2", "spec.none": "[]"},
		},
		"YAML in a ConfigMap is looked into": {
			"ConfigMap", `{metadata: {name: kubeadm-config}, data: {ClusterConfiguration: "a: 1\nb: [x]\n", plain: "one\ntwo\n"}}`,
			map[string]string{"data.ClusterConfiguration.a": "1", "data.ClusterConfiguration.b": `["x"]`, "data.plain": `"one\ntwo\n"`},
		},
		"a Secret's values are hashed, annotations too": {
			"Secret", "{metadata: {name: s, annotations: {a: secret}}, type: Opaque, data: {k: secret}}",
			map[string]string{"metadata.annotations.a": `"sha256:2bb80d537b1da3e3"`, "data.k": `"sha256:2bb80d537b1da3e3"`, "type": `"Opaque"`},
		},
		"a bootstrap token expires by itself": {"Secret", "{metadata: {name: s}, type: bootstrap.kubernetes.io/token, data: {k: v}}", nil},
		"a Lease is there, whoever holds it":  {"Lease.coordination.k8s.io", "{spec: {holderIdentity: a, renewTime: x, acquireTime: y, leaseTransitions: 2, leaseDurationSeconds: 40}}", map[string]string{"spec.leaseDurationSeconds": "40"}},
		"a Deployment's pod is the Deployment's": {
			"Pod", "{metadata: {name: p, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: r, uid: u, controller: true}]}, spec: {a: b}}", nil,
		},
		"a static pod's mirror stays": {
			"Pod", "{metadata: {name: p, annotations: {kubernetes.io/config.hash: x}, ownerReferences: [{apiVersion: v1, kind: Node, name: n, uid: u, controller: true}]}, spec: {a: b}, status: {}}",
			map[string]string{"spec.a": `"b"`},
		},
		"how a member first joined is history": {
			"Pod", "{metadata: {name: etcd-a}, spec: {containers: [{name: etcd, command: [etcd, --initial-cluster=a=b, --initial-cluster-state=existing, --name=a]}]}}",
			map[string]string{"spec.containers[etcd].name": `"etcd"`, "spec.containers[etcd].command": `["etcd","--name=a"]`},
		},
		"the clients' objects are theirs": {"ConfigMap", "{metadata: {name: probe, namespace: drydock-clients}}", nil},
		"of a Node the owner's part, and who it is": {
			"Node", `{metadata: {name: n, uid: u, labels: {a: b}, annotations: {node.alpha.kubernetes.io/ttl: "0", node.kubernetes.io/mine: x}},
			spec: {podCIDR: c, taints: [{key: node.kubernetes.io/not-ready, effect: NoSchedule, timeAdded: x}, {key: t, effect: NoSchedule}]}, status: {phase: x, nodeInfo: {bootID: i, kubeletVersion: v1, kernelVersion: k}}}`,
			map[string]string{
				"metadata.uid": `"u"`, "metadata.labels.a": `"b"`, "metadata.annotations[node.kubernetes.io/mine]": `"x"`, "spec.podCIDR": `"c"`,
				`spec.taints[{"effect":"NoSchedule","key":"t"}]`: "1", "status.bootID": `"i"`, "status.kubeletVersion": `"v1"`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			u := &unstructured.Unstructured{}
			if err := yaml.Unmarshal([]byte(c.object), &u.Object); err != nil {
				t.Fatal(err)
			}
			o := &Objects{Items: map[string]map[string]string{}}
			o.add(c.kind, u)
			var got map[string]string
			for _, f := range o.Items {
				got = f
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %v\nwant %v", got, c.want)
			}
		})
	}
}

// TestControllersKeysAreFew: what is left out is never judged, so a prefix is too much.
func TestControllersKeysAreFew(t *testing.T) {
	for key, want := range map[string]bool{
		"node.kubernetes.io/not-ready:NoExecute": true, "node.kubernetes.io/unreachable": true, "node.kubernetes.io/unschedulable=:NoSchedule": true, "node.alpha.kubernetes.io/ttl": true,
		"node.kubernetes.io/out-of-service=nodeshutdown:NoExecute": false, "node.kubernetes.io/exclude-from-external-load-balancers": false, "node.kubernetes.io/instance-type": false,
		"volumes.kubernetes.io/controller-managed-attach-detach": false, "beta.kubernetes.io/os": false, "node-role.kubernetes.io/control-plane:NoSchedule": false,
	} {
		if ControllersOwn(key) != want {
			t.Errorf("%s: %t", key, !want)
		}
	}
}
