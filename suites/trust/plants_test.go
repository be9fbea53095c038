package trust

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"

	. "github.com/onsi/ginkgo/v2"
	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/observe"
)

// Every defect that is planted while nothing of the kind is planned, and the check that must find it. Those of a bed share a lab.
var _ = func() bool {
	for _, b := range []bed{
		{name: "plants-objects", scenario: quiet, labels: Label("tier: quick", "needs: kubernetes"), plants: objects(), atOnce: true},
		{name: "plants-processes", scenario: quiet, labels: Label("tier: quick", "needs: kubernetes"), plants: processes()},
		{name: "plants-members", scenario: quietEtcd, labels: Label("tier: nightly", "needs: etcd"), plants: members(), prepare: otherEtcd},
		watches(),
		{name: "plants-rollback", scenario: reading, labels: Label("tier: nightly", "needs: etcd"), plants: rollback()},
		{name: "plants-alarm", scenario: quietEtcd, labels: Label("tier: nightly", "needs: etcd"), plants: alarm()},
		{name: "plants-files", scenario: quiet, labels: Label("tier: nightly", "needs: kubernetes"), plants: files(), atOnce: true},
		{name: "plants-manifests", scenario: quiet, labels: Label("tier: nightly", "needs: kubernetes"), plants: changed()},
		{name: "plants-admission", scenario: quiet, labels: Label("tier: nightly", "needs: kubernetes"), plants: admission()},
		{name: "plants-versions", scenario: quiet, labels: Label("tier: nightly", "needs: kubernetes"), plants: versions(), prepare: otherKubernetes},
		{name: "plants-three", scenario: quietThree, labels: Label("tier: nightly", "needs: kubernetes"), plants: three()},
		{name: "plants-evictions", scenario: losingNode, labels: Label("tier: nightly", "needs: kubernetes"), plants: evictions(), atOnce: true},
		{name: "plants-unevicted", scenario: losingNode, labels: Label("tier: nightly", "needs: kubernetes"), plants: unevicted()},
		{name: "plants-all-lost", scenario: losingAll, labels: Label("tier: nightly", "needs: kubernetes"), plants: allLost()},
		{name: "plants-upgrade", scenario: upgrading, labels: Label("tier: nightly", "needs: kubernetes"), plants: duringUpgrade(), atOnce: true},
	} {
		b.specs()
	}
	return true
}()

// Scenarios in which nothing happens, long enough for all that is planted.
const (
	quiet = `
  cluster: {controlPlanes: 1, workers: 1, version: v1.35}
  workload: {replicas: 2, minAvailable: 2}
  steps: [observe: 40s]
  always: [oneLeader, pdbRespected, podsKept, readyKept, restarts, {apiAvailable: {maxGap: 15s}}, {workloadAvailable: {maxGap: 15s}}]
  finally: [nodesReady, versions, etcdHealthy, hashesEqual, labelsPreserved, noResidue, objectsPreserved]
`
	quietThree = `
  cluster: {controlPlanes: 3, workers: 1, version: v1.35}
  steps: [observe: 60s]
  always: [oneLeader]
  finally: [nodesReady, versions, etcdHealthy, hashesEqual, labelsPreserved, noResidue, objectsPreserved]
`
	quietEtcd = `
  cluster: {etcd: only, etcdMembers: 3}
  steps: [observe: 40s]
  finally: [etcdHealthy, hashesEqual]
`
	upgrading = `
  cluster: {controlPlanes: 3, workers: 3, version: v1.35}
  workload: {replicas: 6, minAvailable: 5}
  steps: [upgrade: {to: v1.36}]
  always: [oneLeader, pdbRespected]
  finally: [nodesReady, {versions: {version: v1.36}}, etcdHealthy, hashesEqual, labelsPreserved, noResidue, objectsPreserved]
`
)

// Paths of the API.
const (
	worker       = "/api/v1/nodes/worker-1"
	budget       = "/apis/policy/v1/namespaces/default/poddisruptionbudgets/" + observe.WorkloadName
	webhooks     = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
	clusterRoles = "/apis/rbac.authorization.k8s.io/v1/clusterroles/"
	bindings     = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/"
)

// seen is long enough for some observations, and gone for a process to be back.
const (
	seen = 4 * observe.Every
	gone = 12 * observe.Every
)

// objects are defects that leave every process alone.
func objects() []plant {
	return []plant{
		{"an acknowledged ConfigMap deleted below the API server", "noAcknowledgedWriteLost", deletedBelow},
		{"a stray pod left", "noResidue", strayPod},
		{"kubelet-config deleted", "objectsPreserved", api("DELETE", "/api/v1/namespaces/kube-system/configmaps/kubelet-config", "", "ConfigMap kube-system/kubelet-config is gone")},
		{"the ClusterRoleBinding of joining nodes deleted", "objectsPreserved",
			api("DELETE", bindings+"kubeadm:kubelet-bootstrap", "", "ClusterRoleBinding.rbac.authorization.k8s.io kubeadm:kubelet-bootstrap is gone")},
		{"a ClusterRole that allows more", "objectsPreserved", api("PATCH", clusterRoles+"kubeadm:get-nodes",
			`{"rules":[{"verbs":["get","delete"],"apiGroups":[""],"resources":["nodes"]}]}`, "ClusterRole.rbac.authorization.k8s.io kubeadm:get-nodes")},
		{"a namespace left", "objectsPreserved", api("POST", "/api/v1/namespaces", `{"metadata":{"name":"left"}}`, "Namespace left was not there before")},
		{"a webhook left that ignores its failures", "noResidue", api("POST", webhooks, webhook("left", "Ignore", "example.com", "nothings"),
			"ValidatingWebhookConfiguration.admissionregistration.k8s.io left was not there before")},
		{"a kind left", "noResidue", api("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", `{"metadata":{"name":"lefts.example.com"},"spec":{"group":"example.com","scope":"Cluster",
			"names":{"plural":"lefts","singular":"left","kind":"Left"},"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object"}}}]}}`,
			"CustomResourceDefinition.apiextensions.k8s.io lefts.example.com was not there before")},
		{"a lease left", "noResidue", api("POST", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases", `{"metadata":{"name":"left"},"spec":{}}`, "Lease.coordination.k8s.io kube-system/left was not there before")},
		{"a label lost", "labelsPreserved", api("PATCH", worker, `{"metadata":{"labels":{"example.com/marked":null}}}`, "node worker-1 has lost the label example.com/marked")},
		{"an annotation lost", "labelsPreserved", api("PATCH", worker, `{"metadata":{"annotations":{"example.com/note":null}}}`, "node worker-1 has lost the annotation example.com/note")},
		{"the role of a control plane lost", "labelsPreserved", api("PATCH", "/api/v1/nodes/control-plane-1", `{"metadata":{"labels":{"node-role.kubernetes.io/control-plane":null}}}`,
			"node control-plane-1 has lost the label node-role.kubernetes.io/control-plane")},
		{"a taint lost, and another left", "labelsPreserved", api("PATCH", worker, `{"spec":{"taints":[{"key":"left","value":"x","effect":"PreferNoSchedule"}]}}`, "node worker-1 has lost the taint example.com/marked")},
		{"a taint left", "noResidue", none("node worker-1 was left with the taint left")},
		{"an annotation of an upgrade left", "noResidue", api("PATCH", worker, `{"metadata":{"annotations":{"drydock.dev/left":"x"}}}`, "node worker-1 was left with the annotation drydock.dev/left")},
		{"a cordon left", "noResidue", api("PATCH", worker, `{"spec":{"unschedulable":true}}`, "node worker-1 was left cordoned")},
		{"a copy of a manifest left", "noResidue", shell("control-plane-1", "cd /etc/kubernetes/manifests; cp kube-scheduler.yaml kube-scheduler.yaml.bak", "left on control-plane-1: /etc/kubernetes/manifests/kube-scheduler.yaml.bak")},
		{"a kubelet's configuration lost", "noResidue", shell("worker-1", "rm /var/lib/kubelet/config.yaml", "/var/lib/kubelet/config.yaml is gone from worker-1")},
		{"a PodDisruptionBudget lowered", "pdbRespected", then(api("PATCH", budget, `{"spec":{"minAvailable":1}}`, ""), wait(seen), api("DELETE", budget, "", ""), wait(seen),
			api("PATCH", "/apis/apps/v1/namespaces/default/deployments/"+observe.WorkloadName, `{"spec":{"replicas":1}}`, "the PodDisruptionBudget asked for 1 replicas"))},
		{"a PodDisruptionBudget deleted", "pdbRespected", none("the workload had no PodDisruptionBudget")},
		{"a replica missing", "pdbRespected", none("only 1 replicas were ready")},
		{"a user's pod deleted", "podsKept", none(" of ReplicaSet/" + observe.WorkloadName)},
		{"a pod not Ready that answers its probe", "readyKept", unreadyPod("gated")},
		{"a program that ends by itself", "restarts", endingPod("ends")},
	}
}

// webhook asks nobody at all.
func webhook(name, policy, group, resource string) string {
	return fmt.Sprintf(`{"metadata":{"name":%q},"webhooks":[{"name":"%s.example.com","failurePolicy":%q,"sideEffects":"None","admissionReviewVersions":["v1"],"timeoutSeconds":1,
		"clientConfig":{"url":"https://127.0.0.1:9/"},"rules":[{"apiGroups":[%q],"apiVersions":["v1"],"operations":["CREATE","UPDATE"],"resources":[%q]}]}]}`, name, name, policy, group, resource)
}

// deletedBelow deletes one ConfigMap that clients have written, in etcd.
func deletedBelow(ctx context.Context, p *planter) (string, error) {
	prefix := "/registry/configmaps/" + observe.ClientsNamespace + "/ledger-"
	all, err := p.etcd.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return "", err
	}
	if len(all.Kvs) == 0 {
		return "", errors.New("clients have written nothing")
	}
	key := string(all.Kvs[0].Key)
	_, err = p.etcd.Delete(ctx, key)
	return path.Base(key) + "/", err
}

// strayPod starts a pod that no controller knows of, like one of the workload's.
func strayPod(ctx context.Context, p *planter) (string, error) {
	d, err := p.api.AppsV1().Deployments(metav1.NamespaceDefault).Get(ctx, observe.WorkloadName, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "stray"}, Spec: d.Spec.Template.Spec}
	pod.Spec.NodeName = "worker-1" // cordoned or not
	raw, err := json.Marshal(pod)
	if err != nil {
		return "", fmt.Errorf("stray pod: %w", err)
	}
	return "Pod default/stray was not there before", p.call(ctx, "POST", "/api/v1/namespaces/default/pods", string(raw))
}

// duringUpgrade is a sample of what must be found although an upgrade changes much at the same time.
func duringUpgrade() []plant {
	return []plant{
		{"an acknowledged ConfigMap deleted below the API server", "noAcknowledgedWriteLost", deletedBelow},
		{"a label lost", "labelsPreserved", api("PATCH", worker, `{"metadata":{"labels":{"example.com/marked":null}}}`, "node worker-1 has lost the label example.com/marked")},
		// kubeadm makes its own roles and bindings anew in every upgrade; this it made once.
		{"the ConfigMap by which nodes find the cluster deleted", "objectsPreserved", api("DELETE", "/api/v1/namespaces/kube-public/configmaps/cluster-info", "", "ConfigMap kube-public/cluster-info is gone")},
		{"a webhook left that ignores its failures", "noResidue", api("POST", webhooks, webhook("left", "Ignore", "example.com", "nothings"),
			"ValidatingWebhookConfiguration.admissionregistration.k8s.io left was not there before")},
	}
}
