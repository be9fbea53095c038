package fault

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// kubeletCertificateExpired has a kubelet start with a client certificate that has run out: the same name and key, signed by the cluster's authority. It
// then asks for a new one with the token it once joined by, which kubeadm does not leave on a machine, and ends (LoadClientConfig in
// pkg/kubelet/certificate/bootstrap of Kubernetes), again and again. What runs there goes on.
type kubeletCertificateExpired struct{}

// kubeletClient is a link to the newest.
const kubeletClient = kubeadm.KubeletClient

// clientFile is the file that the link leads to.
func clientFile(ctx context.Context, m cluster.Machine) (string, error) {
	out, err := cluster.Shell(ctx, m, "readlink -e "+kubeletClient)
	if err != nil {
		return "", fmt.Errorf("the client certificate of the kubelet on %s: %w", m.Name(), err)
	}
	return strings.TrimSpace(out), nil
}

func (*kubeletCertificateExpired) Inject(ctx context.Context, e *Env, machines []string) error {
	ca, caKey, err := signer(ctx, e)
	if err != nil {
		return err
	}
	return capability(ctx, e, machines, func(ctx context.Context, m cluster.Machine, k cluster.Keeper) error {
		file, err := clientFile(ctx, m)
		if err != nil {
			return err
		}
		was, err := m.ReadFile(ctx, file)
		if err != nil {
			return err
		}
		old, err := expiredClient(was, ca, caKey)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", m.Name(), file, err)
		}
		if err := k.Replace(ctx, file, old); err != nil {
			return err
		}
		_, err = cluster.Shell(ctx, m, "systemctl restart "+observe.Kubelet)
		return err
	})
}

// signer gives the cluster's authority and its key, of the first control plane that has them.
func signer(ctx context.Context, e *Env) (ca, key []byte, err error) {
	var all error
	for _, name := range e.Cluster.Topology().ControlPlaneMachines() {
		m, err := e.Cluster.Machine(name)
		if err == nil {
			ca, err = m.ReadFile(ctx, authority)
		}
		if err == nil {
			key, err = m.ReadFile(ctx, authorKey)
		}
		if err == nil {
			return ca, key, nil
		}
		all = errors.Join(all, err)
	}
	return nil, nil, fmt.Errorf("no control plane gives the cluster's authority: %w", all)
}

// expiredClient makes of a file with a certificate and its key one whose certificate has run out.
func expiredClient(file, ca, caKey []byte) ([]byte, error) {
	out, err := expired(file, ca, caKey)
	if err != nil {
		return nil, err
	}
	for rest := file; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errors.New("it holds no key")
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return slices.Concat(out, pem.EncodeToMemory(block)), nil
		}
	}
}

func (*kubeletCertificateExpired) Recover(ctx context.Context, e *Env, machines []string) error {
	return capability(ctx, e, machines, func(ctx context.Context, m cluster.Machine, k cluster.Keeper) error {
		file, err := clientFile(ctx, m)
		if err != nil {
			return err
		}
		if err := k.PutBack(ctx, file); err != nil {
			return err
		}
		_, err = cluster.Shell(ctx, m, "systemctl restart "+observe.Kubelet)
		return err
	})
}

// Tidy drops what Recover would have put back: the kubelet has another certificate by now. The link leads to that, so the file is found by what is kept
// beside it.
func (*kubeletCertificateExpired) Tidy(ctx context.Context, e *Env, machines []string) error {
	return capability(ctx, e, machines, func(ctx context.Context, m cluster.Machine, k cluster.Keeper) error {
		const kept = ".drydock-kept" // of Keeper, beside the file and hidden
		found, err := cluster.Glob(ctx, m, path.Dir(kubeletClient)+"/.kubelet-client-*"+kept)
		for _, f := range found {
			err = errors.Join(err, k.PutBack(ctx, path.Join(path.Dir(f), strings.TrimSuffix(strings.TrimPrefix(path.Base(f), "."), kept))))
		}
		return err
	})
}

// whoAmI has a machine's node read by whoever shows the certificate that its kubelet has, as that does itself; an error is the API server's.
func whoAmI(ctx context.Context, e *Env, machine string) error {
	ctx, cancel := context.WithTimeout(ctx, look)
	defer cancel()
	m, err := e.Cluster.Machine(machine)
	if err != nil {
		return err
	}
	file, err := m.ReadFile(ctx, kubeletClient)
	if err != nil {
		return err
	}
	cfg, err := kubeadm.RESTConfig(ctx, e.Cluster)
	if err != nil {
		return err
	}
	cfg.CertData, cfg.KeyData = file, file
	h, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return fmt.Errorf("the certificate of the kubelet on %s: %w", machine, err)
	}
	defer utilnet.CloseIdleConnectionsFor(h.Transport)
	client, err := kubernetes.NewForConfigAndClient(cfg, h)
	if err != nil {
		return fmt.Errorf("the certificate of the kubelet on %s: %w", machine, err)
	}
	_, err = client.CoreV1().Nodes().Get(ctx, machine, metav1.GetOptions{})
	return err
}

// Effective: the API server does not know who shows the machines' certificates, their kubelets serve nobody, and the certificates and kubelets of all
// other machines are well.
func (*kubeletCertificateExpired) Effective(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	kubelet, err := findService(observe.Kubelet)
	if err != nil {
		return nil, err
	}
	var out []plan.Evidence
	for _, m := range machines {
		switch err := whoAmI(ctx, e, m); {
		case err == nil:
			return nil, fmt.Errorf("the API server takes the certificate of the kubelet on %s", m)
		case !apierrors.IsUnauthorized(err):
			return nil, fmt.Errorf("whether the API server takes the certificate of the kubelet on %s is not known: %w", m, err)
		default:
			out = append(out, saw("API server", "whoever shows the certificate of the kubelet on %s is refused: %v", m, err))
		}
		l, err := kubelet.open(ctx, e, m)
		if err != nil {
			return nil, err
		}
		defer l.close()
		if err := l.answers(ctx); cluster.FailureOf(err) != cluster.Refused {
			return nil, fmt.Errorf("the kubelet on %s does not refuse connections, it answers: %v", m, err) //nolint:errorlint // may be nil
		}
		out = append(out, saw("network", "the kubelet on %s does not come up: nobody listens", m))
	}
	for _, m := range unharmed(e, machines) {
		if err := whoAmI(ctx, e, m); err != nil {
			return nil, controlError{fmt.Errorf("the certificate of the kubelet on %s should not be affected, and: %w", m, err)}
		}
		out = append(out, saw("API server", "the certificate of the kubelet on %s, which is not affected, is taken", m))
	}
	return kubelet.unaffected(ctx, e, machines, out)
}

// Recovered: the certificates are taken again, and the kubelets have come up with them: their nodes are Ready.
func (*kubeletCertificateExpired) Recovered(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	var out []plan.Evidence
	for _, m := range machines {
		if err := whoAmI(ctx, e, m); err != nil {
			return nil, fmt.Errorf("the certificate of the kubelet on %s: %w", m, err)
		}
		out = append(out, saw("API server", "the certificate of the kubelet on %s is taken", m))
	}
	back, err := (&serviceFault{act: stopped, name: observe.Kubelet}).Recovered(ctx, e, machines)
	return append(out, back...), err
}
