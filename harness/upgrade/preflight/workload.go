package preflight

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/kubernetes"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// budgets finds PodDisruptionBudgets that no drain can pass.
func budgets(ctx context.Context, in *reading) ([]plan.Finding, error) {
	list, err := in.Target.Client.PolicyV1().PodDisruptionBudgets("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var out []plan.Finding
	for i := range list.Items {
		b := &list.Items[i]
		if b.Status.DisruptionsAllowed > 0 || b.Status.ExpectedPods == 0 || !in.drained(func(p *corev1.Pod) bool { return observe.Covers(b, p) }) {
			continue
		}
		out = append(out, plan.Finding{
			Check: "disruption budgets", Severity: plan.Warning,
			What: fmt.Sprintf("PodDisruptionBudget %s/%s allows no disruption: %d of at least %d pods are healthy", b.Namespace, b.Name, b.Status.CurrentHealthy, b.Status.DesiredHealthy),
			Why:  "the drain of their nodes waits until its time is over", Fix: "add a replica or relax the budget for the time of the upgrade",
		})
	}
	return out, nil
}

// drained reports whether a pod that matches will have to move.
func (in *reading) drained(match func(p *corev1.Pod) bool) bool {
	if in.ControlPlaneOnly {
		return false
	}
	return slices.ContainsFunc(in.pods, func(p corev1.Pod) bool {
		return slices.Contains(in.Target.Cluster.Topology().WorkerMachines(), p.Spec.NodeName) && match(&p)
	})
}

// singles finds workloads a drain interrupts or kills.
func singles(ctx context.Context, in *reading) ([]plan.Finding, error) {
	if in.ControlPlaneOnly {
		return nil, nil
	}
	list, err := in.Target.Client.AppsV1().Deployments("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var out []plan.Finding
	for i := range list.Items {
		if d := &list.Items[i]; d.Spec.Replicas != nil && *d.Spec.Replicas == 1 {
			out = append(out, plan.Finding{
				Check: "single replicas", Severity: plan.Warning, What: fmt.Sprintf("Deployment %s/%s has one replica", d.Namespace, d.Name),
				Why: "it is gone from its eviction until its replacement is ready", Fix: "run two replicas and a PodDisruptionBudget of at least one",
			})
		}
	}
	for i := range in.pods {
		p := &in.pods[i]
		_, mirror := p.Annotations[corev1.MirrorPodAnnotationKey]
		if len(p.OwnerReferences) > 0 || mirror || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		out = append(out, plan.Finding{
			Check: "single replicas", Severity: plan.Blocker, What: fmt.Sprintf("pod %s/%s on %s belongs to no controller", p.Namespace, p.Name, p.Spec.NodeName),
			Why: "a drain would delete it for good, and refuses to", Fix: "delete it, or run it by a Deployment",
		})
	}
	return out, nil
}

// hook is a webhook: where it is served and what happens when it does not answer.
type hook struct {
	name    string
	client  admissionv1.WebhookClientConfig
	failure *admissionv1.FailurePolicyType
}

func hooks(ctx context.Context, client kubernetes.Interface) ([]hook, error) {
	var out []hook
	validating, err := client.AdmissionregistrationV1().ValidatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, c := range validating.Items {
		for _, w := range c.Webhooks {
			out = append(out, hook{w.Name, w.ClientConfig, w.FailurePolicy})
		}
	}
	mutating, err := client.AdmissionregistrationV1().MutatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, c := range mutating.Items {
		for _, w := range c.Webhooks {
			out = append(out, hook{w.Name, w.ClientConfig, w.FailurePolicy})
		}
	}
	return out, nil
}

// webhooks finds those served from one node only: while it is drained nobody answers, and what they guard (evictions perhaps) fails.
func webhooks(ctx context.Context, in *reading) ([]plan.Finding, error) {
	return findWebhooks(ctx, in.Target.Client)
}

func findWebhooks(ctx context.Context, client kubernetes.Interface) ([]plan.Finding, error) {
	all, err := hooks(ctx, client)
	if err != nil {
		return nil, err
	}
	var out []plan.Finding
	for _, h := range all {
		if h.failure != nil && *h.failure == admissionv1.Ignore {
			continue
		}
		if h.client.Service == nil {
			url := "nowhere"
			if h.client.URL != nil {
				url = *h.client.URL
			}
			out = append(out, plan.Finding{
				Check: "webhooks", Severity: plan.Warning, What: fmt.Sprintf("webhook %s is served from %s, and nobody knows on how many nodes", h.name, url),
				Why: "if that is one of the nodes, its failurePolicy Fail refuses every request it guards while the node is drained", Fix: "see that it answers throughout, or set failurePolicy Ignore for the time of the upgrade",
			})
			continue
		}
		s := h.client.Service
		nodes, err := readyNodes(ctx, client, s.Namespace, s.Name)
		if err != nil {
			return nil, err
		}
		if len(nodes) > 1 {
			continue
		}
		where := "nowhere: no endpoint is ready"
		for n := range nodes {
			where = n + " only"
		}
		out = append(out, plan.Finding{
			Check: "webhooks", Severity: plan.Blocker, What: fmt.Sprintf("webhook %s (service %s/%s) is served from %s", h.name, s.Namespace, s.Name, where),
			Why: "while that node is drained its failurePolicy Fail refuses every request it guards", Fix: "serve it from two nodes, or set failurePolicy Ignore for the time of the upgrade",
		})
	}
	return out, nil
}

// readyNodes are those with a ready endpoint of a service; ready that is not said is yes, as the API has it.
func readyNodes(ctx context.Context, client kubernetes.Interface, namespace, service string) (map[string]bool, error) {
	slices, err := client.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service})
	if err != nil {
		return nil, err
	}
	nodes := map[string]bool{}
	for _, s := range slices.Items {
		for _, e := range s.Endpoints {
			if e.NodeName != nil && (e.Conditions.Ready == nil || *e.Conditions.Ready) {
				nodes[*e.NodeName] = true
			}
		}
	}
	return nodes, nil
}

const metricDeprecated = "apiserver_requested_deprecated_apis"

// deprecatedUse reads which deprecated APIs were asked for from an API server's metrics, and the release each is removed in, where that is known.
func deprecatedUse(page []byte) (map[string]string, error) {
	var kept bytes.Buffer // the page has megabytes
	for line := range bytes.Lines(page) {
		if bytes.HasPrefix(line, []byte(metricDeprecated+"{")) {
			kept.Write(line)
		}
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(&kept)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	used := map[string]string{}
	for _, m := range families[metricDeprecated].GetMetric() {
		if m.GetUntyped().GetValue() == 0 { // the lines that give it a type are not read
			continue
		}
		l := map[string]string{}
		for _, pair := range m.GetLabel() {
			l[pair.GetName()] = pair.GetValue()
		}
		used[strings.Trim(l["group"]+"/"+l["version"]+"/"+l["resource"], "/")] = l["removed_release"]
	}
	return used, nil
}

// removedAPIs reads from every API server which deprecated APIs were asked for since it started, and keeps those the target no longer has.
func removedAPIs(ctx context.Context, in *reading) ([]plan.Finding, error) {
	used := map[string]string{} // API -> release it is removed in
	for _, name := range in.Target.Cluster.Topology().ControlPlaneMachines() {
		raw, err := in.Target.Metrics(ctx, name)
		if err != nil {
			if in.Unfinished[name] != "" {
				continue // a half-upgraded machine's API server may be down; the others have seen the same clients
			}
			return nil, err
		}
		seen, err := deprecatedUse(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		maps.Copy(used, seen)
	}
	target, err := version.ParseSemantic(in.Path.Hops[len(in.Path.Hops)-1])
	if err != nil {
		return nil, fmt.Errorf("removed APIs: %w", err)
	}
	var out []plan.Finding
	for api, removed := range used {
		gone, err := version.ParseGeneric(removed)
		if err != nil || target.LessThan(gone) {
			continue // deprecated with no removal yet, or one that is later
		}
		out = append(out, plan.Finding{
			Check: "removed APIs", Severity: plan.Blocker, What: fmt.Sprintf("%s is in use and v%s no longer serves it", api, removed),
			Why: "its clients fail after the upgrade", Fix: "move them to the newer version of the API (https://kubernetes.io/docs/reference/using-api/deprecation-guide/)",
		})
	}
	slices.SortFunc(out, func(a, b plan.Finding) int { return strings.Compare(a.What, b.What) })
	return out, nil
}

// controlPlanes are the machines with certificates and static pods of their own.
func (in *reading) machines(role cluster.Role) []cluster.Machine {
	var out []cluster.Machine
	for _, m := range in.Target.Cluster.Machines() {
		if _, away := in.Replacing[m.Name()]; m.Role() == role && !away {
			out = append(out, m)
		}
	}
	return out
}
