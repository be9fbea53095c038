package kubeadm

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"drydock.dev/drydock/harness/cluster"
)

// Where kubeadm has a kubelet keep its client certificate and key, a link to the newest, and the kubeconfig that names the link.
const (
	KubeletClient = "/var/lib/kubelet/pki/kubelet-client-current.pem"
	KubeletConfig = "/etc/kubernetes/kubelet.conf"
)

// keptConfig is a kubelet's kubeconfig while it has another for the time of a renewal. Its directory is the kubelet's own, which nobody reads all files of.
const keptConfig = "/var/lib/kubelet/pki/kubelet.conf.drydock-kept"

// Certificate is the first certificate in PEM.
func Certificate(raw []byte) (*x509.Certificate, error) {
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
	}
	return nil, errors.New("it holds no certificate")
}

// KubeletUntil is when the client certificate of a machine's kubelet runs out, or has; fs.ErrNotExist where there is none.
func KubeletUntil(ctx context.Context, m cluster.Machine) (time.Time, error) {
	raw, err := m.ReadFile(ctx, KubeletClient)
	if err != nil {
		return time.Time{}, err
	}
	cert, err := Certificate(raw)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %s: %w", m.Name(), KubeletClient, err)
	}
	return cert.NotAfter, nil
}

// takenWithin is how long a kubelet may take to start and to keep the certificate that it was given.
const takenWithin = time.Minute

// RenewKubelet gives a kubelet a new client certificate, as "Troubleshooting kubeadm" of Kubernetes has it for one whose own rotation has failed: a control
// plane signs one, the kubelet starts with a kubeconfig that holds it, keeps it as its own, and gets its kubeconfig back. The old certificate stays where the
// kubelet had put it; only the link to it goes. After an interrupt a second call goes on.
func RenewKubelet(ctx context.Context, c cluster.Cluster, m cluster.Machine) error {
	if until, err := KubeletUntil(ctx, m); err == nil && time.Now().Before(until) {
		return putBackConfig(ctx, m) // the kubelet has taken it, and whoever gave it was interrupted
	}
	was, err := keepConfig(ctx, m)
	if err != nil {
		return err
	}
	signed, err := signNode(ctx, c, m.Name())
	if err != nil {
		return err
	}
	given, err := withCertificate(was, signed)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", m.Name(), KubeletConfig, err)
	}
	if err := m.WriteFile(ctx, KubeletConfig, given, 0o600); err != nil {
		return err
	}
	script := `if [ -L "$0" ]; then rm -f -- "$0"; elif [ -e "$0" ]; then mv -- "$0" "$0.replaced-$(date +%s)"; fi; systemctl restart kubelet`
	if _, err := m.Exec(ctx, cluster.Command{Args: []string{"/bin/sh", "-ec", script, KubeletClient}}); err != nil {
		return err
	}
	err = cluster.Await(ctx, "the kubelet on "+m.Name()+" to take its new certificate", cluster.Wait{For: takenWithin}, func(ctx context.Context) error {
		_, err := KubeletUntil(ctx, m)
		return err
	})
	if err != nil {
		return err
	}
	return putBackConfig(ctx, m)
}

// IsRenewing reports whether a renewal was begun and not finished.
func IsRenewing(ctx context.Context, m cluster.Machine) (bool, error) {
	_, err := m.ReadFile(ctx, keptConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// keepConfig keeps the kubelet's kubeconfig beside, once, and gives it as it was.
func keepConfig(ctx context.Context, m cluster.Machine) ([]byte, error) {
	raw, err := m.ReadFile(ctx, keptConfig)
	if !errors.Is(err, fs.ErrNotExist) {
		return raw, err
	}
	if raw, err = m.ReadFile(ctx, KubeletConfig); err != nil {
		return nil, err
	}
	return raw, m.WriteFile(ctx, keptConfig, raw, 0o600)
}

// putBackConfig gives the kubelet its own kubeconfig back, which it reads at its next start.
func putBackConfig(ctx context.Context, m cluster.Machine) error {
	_, err := m.Exec(ctx, cluster.Command{Args: []string{"/bin/sh", "-ec", `if [ -e "$0" ]; then mv -f -- "$0" "$1"; fi`, keptConfig, KubeletConfig}})
	return err
}

// signNode has a control plane sign a client certificate for a node, and gives the kubeconfig with it.
func signNode(ctx context.Context, c cluster.Cluster, node string) (*api.Config, error) {
	controlPlanes, _ := byRole(c)
	var errs []error
	for _, cp := range controlPlanes { // any of them can that has the authority's key
		out, err := signOn(ctx, cp, node)
		if err == nil {
			return out, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("no control plane signs a certificate for %s: %w", node, errors.Join(errs...))
}

// signOn says what kubeadm would else look for: its version on the internet, and the machine's address by its default route.
func signOn(ctx context.Context, cp cluster.Machine, node string) (*api.Config, error) {
	const within = 30 * time.Second
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	const script = `conf=$(mktemp); trap 'rm -f "$conf"' EXIT
cat >"$conf" <<END
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: $1}
nodeRegistration: {name: $2}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: $(kubeadm version -o short)
END
kubeadm kubeconfig user --config "$conf" --org system:nodes --client-name "system:node:$3"`
	r, err := cp.Exec(ctx, cluster.Command{Args: []string{"/bin/sh", "-ec", script, "sh", cp.Addr().String(), cp.Name(), node}})
	if err != nil {
		return nil, err
	}
	out := []byte(r.Stdout)
	if i := bytes.Index(out, []byte("apiVersion:")); i > 0 { // what it says before
		out = out[i:]
	}
	cfg, err := clientcmd.Load(out)
	if err != nil {
		return nil, fmt.Errorf("%s: kubeadm kubeconfig user: %w", cp.Name(), err)
	}
	return cfg, nil
}

// withCertificate is a kubeconfig that shows the certificate of another.
func withCertificate(raw []byte, signed *api.Config) ([]byte, error) {
	var shown *api.AuthInfo
	for _, a := range signed.AuthInfos {
		if len(a.ClientCertificateData) > 0 && len(a.ClientKeyData) > 0 {
			shown = a
		}
	}
	if shown == nil {
		return nil, errors.New("what was signed holds no certificate and key")
	}
	cfg, err := clientcmd.Load(raw)
	if err != nil {
		return nil, err
	}
	if len(cfg.AuthInfos) == 0 {
		return nil, fmt.Errorf("%s names no user", path.Base(KubeletConfig))
	}
	for _, a := range cfg.AuthInfos {
		a.ClientCertificate, a.ClientKey = "", ""
		a.ClientCertificateData, a.ClientKeyData = shown.ClientCertificateData, shown.ClientKeyData
	}
	return clientcmd.Write(*cfg)
}
