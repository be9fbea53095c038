package kubeadm

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/release"
)

// Bootstrap brings a Kubernetes cluster up: external etcd if asked for, kubeadm init, control-plane joins one after
// another (etcd takes one learner at a time), worker joins all at once beside them.
type Bootstrap struct {
	Progress cluster.Progress
	Etcd     etcd.Bootstrap
}

// Key names what shapes a booted cluster besides its topology. An empty key, when the templates cannot be read, means: do not save.
func (Bootstrap) Key(c cluster.Cluster) string {
	key, err := shape(c.Profile())
	if err != nil {
		return ""
	}
	return key + "-tokenless"
}

// Bootstrap runs on bare machines.
func (b Bootstrap) Bootstrap(ctx context.Context, c cluster.Cluster) error {
	if c.Topology().Etcd == cluster.EtcdExternal {
		if err := b.Etcd.Bootstrap(ctx, c); err != nil {
			return err
		}
		if err := b.Etcd.Ready(ctx, c); err != nil {
			return err
		}
	}
	p, err := newParams(c)
	if err != nil {
		return err
	}
	if err := prepareAll(ctx, c, p); err != nil {
		return err
	}
	controlPlanes, workers := byRole(c)
	first := controlPlanes[0]
	t := c.Topology()
	if err := b.phase("kubeadm init on "+first.Name(), func() error { return initFirst(ctx, t, first, p) }); err != nil {
		return err
	}
	if p.CAHash, err = caHash(ctx, first); err != nil {
		return err
	}
	if err := tokenless(ctx, c); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		for _, m := range controlPlanes[1:] {
			if err := b.phase("kubeadm join on "+m.Name(), func() error { return join(ctx, t, m, p) }); err != nil {
				return err
			}
		}
		return nil
	})
	for _, m := range workers {
		g.Go(func() error {
			return b.phase("kubeadm join on "+m.Name(), func() error { return join(ctx, t, m, p) })
		})
	}
	return g.Wait()
}

// tokenless takes the token volume from pods of kube-system's default service account. The kubelet gives such a volume to the pod's
// user, which a lab has only one of, and the Job by which `kubeadm upgrade` proves that pods run is one of user 999.
func tokenless(ctx context.Context, c cluster.Cluster) error {
	client, err := AdminClient(ctx, c)
	if err != nil {
		return err
	}
	patch := []byte(`{"automountServiceAccountToken":false}`)
	return cluster.Await(ctx, "kube-system's default service account", cluster.Wait{For: time.Minute}, func(ctx context.Context) error {
		_, err := client.CoreV1().ServiceAccounts(metav1.NamespaceSystem).Patch(ctx, "default", types.MergePatchType, patch, metav1.PatchOptions{})
		return err
	})
}

func (b Bootstrap) phase(label string, do func() error) error {
	done := b.Progress.Phase("%s", label)
	err := do()
	done(err)
	return err
}

func byRole(c cluster.Cluster) (controlPlanes, workers []cluster.Machine) {
	for _, m := range c.Machines() {
		switch m.Role() {
		case cluster.ControlPlane:
			controlPlanes = append(controlPlanes, m)
		case cluster.Worker:
			workers = append(workers, m)
		case cluster.Etcd:
		}
	}
	return controlPlanes, workers
}

// prepareAll installs the programs and the kubelet's unit on every Kubernetes machine.
func prepareAll(ctx context.Context, c cluster.Cluster, p params) error {
	g, ctx := errgroup.WithContext(ctx)
	controlPlanes, workers := byRole(c)
	for _, m := range append(controlPlanes, workers...) {
		g.Go(func() error { return prepare(ctx, c.Topology(), m, p) })
	}
	return g.Wait()
}

const unitTemplate = "kubelet.service.tmpl"

func prepare(ctx context.Context, t cluster.Topology, m cluster.Machine, p params) error {
	unit, err := render(p, unitTemplate)
	if err != nil {
		return err
	}
	inst, err := cluster.As[cluster.Installer](m)
	if err != nil {
		return err
	}
	err = inst.Install(ctx, release.Kubernetes, t.Version)
	if t.Etcd == cluster.EtcdExternal {
		err = errors.Join(err, inst.Install(ctx, release.Etcd, t.EtcdVersion))
	}
	if err != nil {
		return err
	}
	if err := m.WriteFile(ctx, "/etc/systemd/system/kubelet.service", unit, 0o644); err != nil {
		return err
	}
	_, err = m.Exec(ctx, cluster.Command{Args: []string{"systemctl", "enable", "kubelet"}})
	return err
}

func initFirst(ctx context.Context, t cluster.Topology, m cluster.Machine, p params) error {
	if err := run(ctx, m, p, "init", []string{"init.yaml.tmpl", "cluster.yaml.tmpl"}, "--upload-certs"); err != nil {
		return err
	}
	return installEtcd(ctx, t, m)
}

func join(ctx context.Context, t cluster.Topology, m cluster.Machine, p params) error {
	if err := run(ctx, m, p, "join", []string{"join.yaml.tmpl"}); err != nil {
		return err
	}
	return installEtcd(ctx, t, m)
}

// tokenLife is how long the token of one join is good for.
const tokenLife = "15m"

// Join makes a bare machine that is powered on a worker at the version, or a control plane, with a new member of etcd. A join that was cut off is not gone on
// with: start from an empty disk.
func Join(ctx context.Context, c cluster.Cluster, m cluster.Machine, version string) error {
	t := c.Topology()
	t.Version = version
	p, err := newParams(c)
	if err != nil {
		return err
	}
	if err := prepare(ctx, t, m, p); err != nil {
		return err
	}
	var errs []error
	controlPlanes, _ := byRole(c)
	controlPlanes = slices.DeleteFunc(controlPlanes, func(cp cluster.Machine) bool { return cp.Name() == m.Name() })
	for _, cp := range controlPlanes { // any of them can make a token
		if p.CAHash, err = caHash(ctx, cp); err == nil {
			p.Token, err = newToken(ctx, cp)
		}
		if err == nil && m.Role() == cluster.ControlPlane {
			_, err = cp.Exec(ctx, cluster.Command{Args: []string{"kubeadm", "init", "phase", "upload-certs", "--upload-certs", "--certificate-key", p.CertificateKey}})
		}
		if err == nil {
			return join(ctx, t, m, p)
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("join %s: no control plane gives a token: %w", m.Name(), errors.Join(errs...))
}

func newToken(ctx context.Context, m cluster.Machine) (string, error) {
	r, err := m.Exec(ctx, cluster.Command{Args: []string{"kubeadm", "token", "create", "--ttl", tokenLife}})
	return strings.TrimSpace(r.Stdout), err
}

func run(ctx context.Context, m cluster.Machine, p params, verb string, files []string, flags ...string) error {
	p, err := p.of(m).patched(ctx, m)
	if err != nil {
		return err
	}
	config, err := render(p, files...)
	if err != nil {
		return err
	}
	path := "/etc/kubernetes/drydock-" + verb + ".yaml"
	if err := m.WriteFile(ctx, path, config, 0o600); err != nil {
		return err
	}
	args := append([]string{"kubeadm", verb, "--config", path}, flags...)
	_, err = m.Exec(ctx, cluster.Command{Args: args})
	return err
}

// caHash is the public-key pin kubeadm's token discovery asks for: SHA-256 of the CA's SubjectPublicKeyInfo.
func caHash(ctx context.Context, m cluster.Machine) (string, error) {
	raw, err := m.ReadFile(ctx, "/etc/kubernetes/pki/ca.crt")
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return "", fmt.Errorf("%s: /etc/kubernetes/pki/ca.crt holds no certificate", m.Name())
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", fmt.Errorf("%s: CA: %w", m.Name(), err)
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}
