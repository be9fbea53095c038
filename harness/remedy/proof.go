package remedy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"drydock.dev/drydock/harness/cluster"
)

// proof is that Kubernetes goes on after its store was put back: whoever watches it has listed anew, and acts on what is written now. It is seen in a
// namespace of its own, which goes afterwards, by a Deployment whose pods fit on no node, so that no image is needed.
type proof struct {
	client    kubernetes.Interface
	nodes     []string // whose kubelets are to report
	namespace string
	within    time.Duration // each of its parts
	every     time.Duration
}

const (
	proofName = "proof"
	nowhere   = "drydock.dev/proof" // a label that no node has
)

// see does it, from the beginning or from where an interrupt has left it.
func (p proof) see(ctx context.Context) error {
	before, err := p.heartbeats(ctx)
	if err != nil {
		return err
	}
	if err := p.begin(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	seen, err := p.watchPods(ctx)
	if err != nil {
		return err
	}
	for _, n := range []int32{1, 2} { // one that is new, and one that is changed
		if err := p.scale(ctx, n); err != nil {
			return err
		}
		if err := p.await(ctx, fmt.Sprintf("a Deployment of %d to be acted on", n), func(ctx context.Context) error { return errors.Join(p.acted(ctx, int(n)), seen.atLeast(int(n))) }); err != nil {
			return err
		}
	}
	err = p.await(ctx, "a heartbeat of every kubelet", func(ctx context.Context) error {
		now, err := p.heartbeats(ctx)
		if err != nil {
			return err
		}
		for _, n := range p.nodes {
			if !now[n].After(before[n]) {
				return fmt.Errorf("that of %s is from %s still", n, before[n].Format(time.TimeOnly))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return p.end(ctx)
}

func (p proof) await(ctx context.Context, what string, see func(ctx context.Context) error) error {
	return cluster.Await(ctx, what, cluster.Wait{For: p.within, Every: p.every}, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, looked)
		defer cancel()
		return see(ctx)
	})
}

// heartbeats are when the kubelets have renewed their leases, by their clocks.
func (p proof) heartbeats(ctx context.Context) (out map[string]time.Time, err error) {
	err = p.await(ctx, "the kubelets' leases", func(ctx context.Context) error {
		out = map[string]time.Time{}
		for _, n := range p.nodes {
			l, err := p.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, n, metav1.GetOptions{})
			if err != nil {
				return fmt.Errorf("the lease of %s: %w", n, err)
			}
			if l.Spec.RenewTime != nil {
				out[n] = l.Spec.RenewTime.Time
			}
		}
		return nil
	})
	return out, err
}

// begin makes the namespace, and waits for what a controller puts into every one.
func (p proof) begin(ctx context.Context) error {
	return p.await(ctx, "the namespace "+p.namespace+" with its service account", func(ctx context.Context) error {
		namespaces := p.client.CoreV1().Namespaces()
		ns, err := namespaces.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.namespace}}, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			ns, err = namespaces.Get(ctx, p.namespace, metav1.GetOptions{})
		}
		if err != nil {
			return err
		}
		if ns.DeletionTimestamp != nil {
			return errors.New("that of before an interrupt is being removed")
		}
		if _, err := p.client.CoreV1().ServiceAccounts(p.namespace).Get(ctx, "default", metav1.GetOptions{}); err != nil {
			return fmt.Errorf("the controller of service accounts: %w", err)
		}
		return nil
	})
}

// scale has the Deployment want so many pods.
func (p proof) scale(ctx context.Context, n int32) error {
	labels := map[string]string{"app": proofName}
	want := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: proofName}, Spec: appsv1.DeploymentSpec{
		Replicas: &n, Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
			NodeSelector: map[string]string{nowhere: "true"}, Containers: []corev1.Container{{Name: proofName, Image: nowhere}},
		}},
	}}
	deployments := p.client.AppsV1().Deployments(p.namespace)
	return p.await(ctx, fmt.Sprintf("a Deployment of %d", n), func(ctx context.Context) error {
		now, err := deployments.Get(ctx, proofName, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			_, err = deployments.Create(ctx, want, metav1.CreateOptions{})
		case err == nil && (now.Spec.Replicas == nil || *now.Spec.Replicas != n):
			now.Spec.Replicas = &n
			_, err = deployments.Update(ctx, now, metav1.UpdateOptions{})
		}
		return err
	})
}

// acted says who has not acted on it: the controllers, which make the pods, or the scheduler, which says of each that it fits nowhere.
func (p proof) acted(ctx context.Context, n int) error {
	pods, err := p.client.CoreV1().Pods(p.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	if len(pods.Items) < n {
		return fmt.Errorf("the controllers of Deployments and ReplicaSets: there are %d pods", len(pods.Items))
	}
	for _, pod := range pods.Items {
		looked := false
		for _, c := range pod.Status.Conditions {
			looked = looked || c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonUnschedulable
		}
		if !looked {
			return fmt.Errorf("the scheduler: it has not looked at pod %s", pod.Name)
		}
	}
	return nil
}

// podsSeen are the pods that a watch has told of.
type podsSeen struct {
	mu    sync.Mutex
	names map[string]bool
	ended bool
}

// watchPods begins a watch, which ends with the context.
func (p proof) watchPods(ctx context.Context) (*podsSeen, error) {
	var w watch.Interface
	err := p.await(ctx, "a watch", func(context.Context) (err error) {
		w, err = p.client.CoreV1().Pods(p.namespace).Watch(ctx, metav1.ListOptions{}) // it lasts longer than this look
		return err
	})
	if err != nil {
		return nil, err
	}
	s := &podsSeen{names: map[string]bool{}}
	go func() {
		defer w.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case e, more := <-w.ResultChan():
				s.take(e, more)
				if !more {
					return
				}
			}
		}
	}()
	return s, nil
}

func (s *podsSeen) take(e watch.Event, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = s.ended || !more
	if pod, ok := e.Object.(*corev1.Pod); ok {
		s.names[pod.Name] = true
	}
}

// atLeast says why a watch has not told of so many pods.
func (s *podsSeen) atLeast(n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.names) >= n {
		return nil
	}
	return fmt.Errorf("a watch has told of %d pods (ended: %v)", len(s.names), s.ended)
}

// end removes the namespace, which the controllers do.
func (p proof) end(ctx context.Context) error {
	return p.await(ctx, "the end of the namespace "+p.namespace, func(ctx context.Context) error {
		err := p.client.CoreV1().Namespaces().Delete(ctx, p.namespace, metav1.DeleteOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err != nil && !apierrors.IsConflict(err):
			return err
		}
		return errors.New("its controller has not removed it")
	})
}
