package fault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

// dnsLost loses what pods and programs of machines ask of DNS servers. It is seen by pods that ask for the API server's name when they are told to: one on
// each of the machines, and one on another.
type dnsLost struct{}

const (
	askerLabel = "drydock.dev/asker"
	askerPort  = "8080"
	// askedFor is a name that every cluster has.
	askedFor = "kubernetes.default.svc.cluster.local."
	// asksWithin is how long a pod may take to be up and to be answered.
	asksWithin = time.Minute
)

// over are the ways of a query (RFC 7766).
func over() []string { return []string{"udp", "tcp"} }

func askerOn(machine string) string { return "drydock-asker-" + machine }

// asker is a pod of the workload's program, which asks when it is asked.
func asker(machine string) *corev1.Pod {
	p := witness(askerOn(machine))
	p.Labels = map[string]string{askerLabel: "true"}
	p.Spec.NodeName = machine
	c := &p.Spec.Containers[0]
	c.Name, c.Image, c.Args = "serve", "drydock/workload", []string{"serve", "--listen", ":" + askerPort}
	return p
}

func startAskers(ctx context.Context, client kubernetes.Interface, machines []string) error {
	for _, m := range machines {
		if _, err := client.CoreV1().Pods(metav1.NamespaceDefault).Create(ctx, asker(m), metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("a pod on %s that asks: %w", m, err)
		}
	}
	return nil
}

// Inject has all that will be looked at be answered first. Where one is not before it is not begun: undoing it would want to see an answer.
func (*dnsLost) Inject(ctx context.Context, e *Env, machines []string) error {
	client, err := e.client(ctx)
	if err != nil {
		return err
	}
	others := unharmed(e, machines)
	if len(others) == 0 {
		return errors.New("no node is left that is answered")
	}
	asking := append(slices.Clone(machines), others[0])
	if err := startAskers(ctx, client, asking); err != nil {
		return err
	}
	if err := awaitAnswers(ctx, e, client, asking); err != nil {
		return notBegun(ctx, client, askerLabel, fmt.Errorf("before it was injected: %w", err))
	}
	if late := e.late(); late != nil {
		return notBegun(ctx, client, askerLabel, late)
	}
	return capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, r cluster.Resolver) error { return r.LoseNames(ctx) })
}

func awaitAnswers(ctx context.Context, e *Env, client kubernetes.Interface, machines []string) error {
	return cluster.Await(ctx, "answers of DNS on "+strings.Join(machines, ", "), cluster.Wait{For: asksWithin}, func(ctx context.Context) error {
		for _, m := range machines {
			if _, err := answered(ctx, e, client, m); err != nil {
				return err
			}
		}
		return nil
	})
}

// Recover lets them ask again, and has a pod on each of the machines do so.
func (*dnsLost) Recover(ctx context.Context, e *Env, machines []string) (err error) {
	if err := capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, r cluster.Resolver) error { return r.FindNames(ctx) }); err != nil {
		return err
	}
	client, err := e.client(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removePods(ctx, client, askerLabel)) }()
	if err := startAskers(ctx, client, machines); err != nil {
		return err
	}
	return awaitAnswers(ctx, e, client, machines)
}

// unanswered is what a pod says that was told to ask and got no answer.
type unanswered struct{ said string }

func (u unanswered) Error() string { return u.said }

// asks has the pod on a machine ask one way.
func asks(ctx context.Context, e *Env, client kubernetes.Interface, machine, way string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*look) // it waits for as long as a look itself
	defer cancel()
	p, err := client.CoreV1().Pods(metav1.NamespaceDefault).Get(ctx, askerOn(machine), metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("no pod on %s that asks: %w", machine, err)
	}
	if p.Status.PodIP == "" {
		return "", fmt.Errorf("the pod on %s that asks is not up yet", machine)
	}
	return resolve(ctx, e.Cluster.Dial, net.JoinHostPort(p.Status.PodIP, askerPort), way)
}

// resolve tells a pod of the workload's program to ask; an unanswered is its word.
func resolve(ctx context.Context, dial func(ctx context.Context, network, addr string) (net.Conn, error), addr, way string) (string, error) {
	h := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/resolve?over="+way+"&name="+askedFor, nil)
	if err != nil {
		return "", err
	}
	resp, err := h.Do(req)
	if err != nil {
		return "", fmt.Errorf("the pod that asks: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	said := strings.TrimSpace(string(raw))
	switch {
	case err != nil:
		return "", fmt.Errorf("the pod that asks: %w", err)
	case resp.StatusCode == http.StatusGatewayTimeout:
		return "", unanswered{said}
	case resp.StatusCode != http.StatusOK:
		return "", fmt.Errorf("the pod that asks: %s: %s", resp.Status, said)
	}
	return said, nil
}

// answered says that a pod on the machine is answered, both ways.
func answered(ctx context.Context, e *Env, client kubernetes.Interface, machine string) (plan.Evidence, error) {
	said := ""
	for _, way := range over() {
		var err error
		if said, err = asks(ctx, e, client, machine, way); err != nil {
			return plan.Evidence{}, fmt.Errorf("a pod on %s that asks over %s: %w", machine, way, err)
		}
	}
	return saw("pod on "+machine, "%s is %s, over %s", askedFor, said, strings.Join(over(), " and ")), nil
}

// Effective: pods on the machines are answered by nobody, whether they ask over UDP or TCP, and packets were dropped there; a pod elsewhere is answered.
func (*dnsLost) Effective(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	client, err := e.client(ctx)
	if err != nil {
		return nil, err
	}
	var out []plan.Evidence
	for _, m := range machines {
		for _, way := range over() {
			said, err := asks(ctx, e, client, m, way)
			var none unanswered
			switch {
			case err == nil:
				return nil, fmt.Errorf("a pod on %s is answered over %s: %s", m, way, said)
			case !errors.As(err, &none):
				return nil, fmt.Errorf("whether a pod on %s is answered is not known: %w", m, err)
			}
			out = append(out, saw("pod on "+m, "asked over %s for %s and was not answered: %s", way, askedFor, none.said))
		}
	}
	dropped := make([]uint64, len(machines))
	if err := capability(ctx, e, machines, func(ctx context.Context, m cluster.Machine, r cluster.Resolver) error {
		n, err := r.LostQueries(ctx)
		if err == nil && n == 0 {
			err = errors.New(m.Name() + " has dropped no query")
		}
		dropped[slices.Index(machines, m.Name())] = n
		return err
	}); err != nil {
		return nil, err
	}
	for i, m := range machines {
		out = append(out, saw("packet filter of "+m, "%d packets to port 53 were dropped", dropped[i]))
	}
	well, err := elsewhere(e, machines, "no pod on another node was told to ask", func(m string) (plan.Evidence, error) { return answered(ctx, e, client, m) })
	if err != nil {
		return nil, err
	}
	return append(out, well...), nil
}

// Recovered: Recover has seen pods answered; none of them is left, and nothing drops queries.
func (*dnsLost) Recovered(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	client, err := e.client(ctx)
	if err != nil {
		return nil, err
	}
	if err := noPods(ctx, client, askerLabel); err != nil {
		return nil, err
	}
	return []plan.Evidence{saw("pods", "new questions were answered on %s over %s, and no pod that asks is left", strings.Join(machines, ", "), strings.Join(over(), " and "))}, nil
}
