package fault

import (
	"context"
	"errors"
	"fmt"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/plan"
)

// webhookDead has an admission webhook that must be asked for every new pod, and that nobody serves: what is left where a policy engine's pods are gone
// and its configuration is not. The control plane's own namespace is left out, as such engines do.
type webhookDead struct{}

// deadWebhook is the configuration, its Service and, before the domain, the webhook.
const (
	deadWebhook    = "drydock-webhook-dead"
	deadWebhookFor = 2 // seconds, for which an API server waits for it
)

func (*webhookDead) Inject(ctx context.Context, e *Env, _ []string) error {
	client, err := kubeadm.AdminClient(ctx, e.Cluster)
	if err != nil {
		return err
	}
	// Without a selector it never has an endpoint.
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: deadWebhook}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 443}}},
	}
	if _, err := client.CoreV1().Services(metav1.NamespaceDefault).Create(ctx, service, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("service %s: %w", deadWebhook, err)
	}
	config := &admissionv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: deadWebhook}, Webhooks: []admissionv1.ValidatingWebhook{{
		Name: deadWebhook + ".drydock.dev", AdmissionReviewVersions: []string{"v1"}, TimeoutSeconds: ptr.To[int32](deadWebhookFor),
		FailurePolicy: ptr.To(admissionv1.Fail), SideEffects: ptr.To(admissionv1.SideEffectClassNone),
		ClientConfig: admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: metav1.NamespaceDefault, Name: deadWebhook}},
		Rules: []admissionv1.RuleWithOperations{{
			Operations: []admissionv1.OperationType{admissionv1.Create},
			Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
		}},
		NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpNotIn, Values: []string{metav1.NamespaceSystem}},
		}},
	}}}
	_, err = client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(ctx, config, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("webhook %s: %w", deadWebhook, err)
	}
	return nil
}

func (*webhookDead) Recover(ctx context.Context, e *Env, _ []string) error {
	client, err := kubeadm.AdminClient(ctx, e.Cluster)
	if err != nil {
		return err
	}
	var errs []error
	for _, err := range []error{
		client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(ctx, deadWebhook, metav1.DeleteOptions{}),
		client.CoreV1().Services(metav1.NamespaceDefault).Delete(ctx, deadWebhook, metav1.DeleteOptions{}),
	} {
		if err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// admitted asks an API server to admit a pod, which it does with all that it asks, and to forget it.
func admitted(ctx context.Context, client kubernetes.Interface) error {
	ctx, cancel := context.WithTimeout(ctx, 2*deadWebhookFor*look)
	defer cancel()
	_, err := client.CoreV1().Pods(metav1.NamespaceDefault).Create(ctx, witness("drydock-admitted"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}

// eachServer runs something with a client of each API server, past the balancer: each knows of webhooks by a watch of its own.
func eachServer(ctx context.Context, e *Env, do func(machine string, client kubernetes.Interface) error) error {
	cfg, err := kubeadm.RESTConfig(ctx, e.Cluster)
	if err != nil {
		return err
	}
	servers := e.without(e.Cluster.Topology().ControlPlaneMachines())
	if len(servers) == 0 {
		return fmt.Errorf("no API server is left to ask: other faults hold %s", strings.Join(e.besides, ", "))
	}
	for _, name := range servers {
		m, err := e.Cluster.Machine(name)
		if err != nil {
			return err
		}
		own := *cfg
		own.Host = kubeadm.ServerURL(m)
		client, err := kubernetes.NewForConfig(&own)
		if err != nil {
			return fmt.Errorf("client of %s: %w", name, err)
		}
		if err := do(name, client); err != nil {
			return err
		}
	}
	return nil
}

// Effective: every API server refuses a pod in the webhook's name, and admits a ConfigMap, which nobody has to be asked for.
func (*webhookDead) Effective(ctx context.Context, e *Env, _ []string) ([]plan.Evidence, error) {
	var out []plan.Evidence
	err := eachServer(ctx, e, func(machine string, client kubernetes.Interface) error {
		err := admitted(ctx, client)
		if err == nil {
			return fmt.Errorf("the API server on %s admits a pod", machine)
		}
		if !strings.Contains(err.Error(), `failed calling webhook "`+deadWebhook) {
			return fmt.Errorf("whether the API server on %s admits a pod is not known: %w", machine, err)
		}
		out = append(out, saw("API server", "the one on %s refuses a pod: %v", machine, err))
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "drydock-admitted"}}
		if _, err := client.CoreV1().ConfigMaps(metav1.NamespaceDefault).Create(ctx, cm, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
			return controlError{fmt.Errorf("a ConfigMap should not be affected, and the API server on %s: %w", machine, err)}
		}
		out = append(out, saw("API server", "the one on %s admits a ConfigMap, which is not affected%s", machine, e.held()))
		return nil
	})
	return out, err
}

// Recovered: every API server admits a pod, and nothing of the webhook is there.
func (*webhookDead) Recovered(ctx context.Context, e *Env, _ []string) ([]plan.Evidence, error) {
	var out []plan.Evidence
	err := eachServer(ctx, e, func(machine string, client kubernetes.Interface) error {
		if err := admitted(ctx, client); err != nil {
			return fmt.Errorf("the API server on %s: %w", machine, err)
		}
		_, config := client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, deadWebhook, metav1.GetOptions{})
		_, service := client.CoreV1().Services(metav1.NamespaceDefault).Get(ctx, deadWebhook, metav1.GetOptions{})
		if !apierrors.IsNotFound(config) || !apierrors.IsNotFound(service) {
			return fmt.Errorf("the webhook or its Service is there: %w", errors.Join(config, service))
		}
		out = append(out, saw("API server", "the one on %s admits a pod, and nothing of the webhook is there", machine))
		return nil
	})
	return out, err
}
