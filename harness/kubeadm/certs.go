package kubeadm

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path"
	"strconv"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"drydock.dev/drydock/harness/cluster"
)

// configDir is where kubeadm keeps a machine's kubeconfigs.
const configDir = "/etc/kubernetes"

// Managed is a certificate that kubeadm keeps on a control plane, in a file of its own or in a kubeconfig.
type Managed struct {
	Name      string // as kubeadm calls it
	File      string // full path
	Authority string // full path of the one that signs it
	Key       string // of that
}

// IsConfig reports whether it is in a kubeconfig.
func (m Managed) IsConfig() bool { return strings.HasSuffix(m.File, ".conf") }

// ManagedCertificates are those that `kubeadm certs renew all` renews on a control plane. Not every one need be there.
func ManagedCertificates(t cluster.Topology) []Managed {
	signed := func(authority, file, name string) Managed {
		return Managed{Name: name, File: file, Authority: path.Join(pkiDir, authority+".crt"), Key: path.Join(pkiDir, authority+".key")}
	}
	var out []Managed
	for _, name := range []string{"admin.conf", "super-admin.conf", "controller-manager.conf", "scheduler.conf"} {
		out = append(out, signed("ca", path.Join(configDir, name), name))
	}
	for _, name := range []string{"apiserver", "apiserver-kubelet-client"} {
		out = append(out, signed("ca", path.Join(pkiDir, name+".crt"), name))
	}
	out = append(out, signed("front-proxy-ca", path.Join(pkiDir, "front-proxy-client.crt"), "front-proxy-client"))
	if t.Etcd != cluster.EtcdStacked {
		return out
	}
	out = append(out, signed("etcd/ca", path.Join(pkiDir, "apiserver-etcd-client.crt"), "apiserver-etcd-client"))
	for _, name := range []string{"server", "peer", "healthcheck-client"} {
		out = append(out, signed("etcd/ca", path.Join(pkiDir, "etcd", name+".crt"), "etcd-"+name))
	}
	return out
}

// CertificatesOf are the files that a static pod loads at its start, of those that kubeadm renews.
func CertificatesOf(t cluster.Topology, pod string) []string {
	uses := map[string][]string{
		"etcd":                    {"etcd-server", "etcd-peer"},
		"kube-apiserver":          {"apiserver", "apiserver-kubelet-client", "apiserver-etcd-client", "front-proxy-client"},
		"kube-controller-manager": {"controller-manager.conf"},
		"kube-scheduler":          {"scheduler.conf"},
	}
	var out []string
	for _, m := range ManagedCertificates(t) {
		for _, name := range uses[pod] {
			if m.Name == name {
				out = append(out, m.File)
			}
		}
	}
	return out
}

// Expiration is when one of them runs out, as kubeadm says.
type Expiration struct {
	Name     string    `json:"name"`
	Until    time.Time `json:"expirationDate"`
	External bool      `json:"externallyManaged"` // it was signed by an authority whose key is not there
	Missing  bool      `json:"missing"`
}

// Expirations asks kubeadm on a control plane about all certificates it keeps there, and about the authorities. It needs no API server: without one kubeadm
// goes by its own defaults.
func Expirations(ctx context.Context, m cluster.Machine) (certificates, authorities []Expiration, err error) {
	r, err := m.Exec(ctx, cluster.Command{Args: []string{"kubeadm", "certs", "check-expiration", "-o", "json"}})
	if err != nil {
		return nil, nil, err
	}
	return parseExpirations(m.Name(), []byte(r.Stdout))
}

func parseExpirations(machine string, out []byte) (certificates, authorities []Expiration, err error) {
	var info struct {
		Certificates []Expiration `json:"certificates"`
		Authorities  []Expiration `json:"certificateAuthorities"`
	}
	begin := bytes.IndexByte(out, '{') // it may say something before
	if begin < 0 {
		return nil, nil, fmt.Errorf("%s: kubeadm certs check-expiration told nothing: %.300s", machine, out)
	}
	if err := json.Unmarshal(out[begin:], &info); err != nil {
		return nil, nil, fmt.Errorf("%s: kubeadm certs check-expiration: %w", machine, err)
	}
	if len(info.Certificates) == 0 || len(info.Authorities) == 0 {
		return nil, nil, fmt.Errorf("%s: kubeadm certs check-expiration knows of no certificates: %.300s", machine, out)
	}
	return info.Certificates, info.Authorities, nil
}

// RenewAll has kubeadm renew all certificates of a control plane, in files and kubeconfigs. What was there before is kept in a directory on the machine, once.
// What runs takes them up when it is started anew.
func RenewAll(ctx context.Context, t cluster.Topology, m cluster.Machine, keptIn string) error {
	script := `if [ ! -e "$0/complete" ]; then
  rm -rf "$0"; mkdir -p -m 700 "$0"
  for f in "$@"; do
    if [ -e "$f" ]; then mkdir -p "$0$(dirname "$f")"; cp -p "$f" "$0$f"; fi
  done
  sync; touch "$0/complete"
fi
kubeadm certs renew all`
	args := []string{"/bin/sh", "-ec", script, keptIn}
	for _, c := range ManagedCertificates(t) {
		args = append(args, c.File)
		if !c.IsConfig() {
			args = append(args, strings.TrimSuffix(c.File, ".crt")+".key")
		}
	}
	_, err := m.Exec(ctx, cluster.Command{Args: args})
	return err
}

// ServedUntil shakes hands with whoever listens on a port of a machine, as one who trusts that authority and no more, and tells until when the certificate is
// good that is shown. One that has run out is an error that wraps an x509.CertificateInvalidError.
func ServedUntil(ctx context.Context, c cluster.Cluster, m cluster.Machine, port int, authority []byte) (until time.Time, err error) {
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(authority) {
		return until, errors.New("the authority holds no certificate")
	}
	raw, err := c.Dial(ctx, "tcp", net.JoinHostPort(m.Addr().String(), strconv.Itoa(port)))
	if err != nil {
		return until, fmt.Errorf("port %d on %s: %w", port, m.Name(), err)
	}
	conn := tls.Client(raw, &tls.Config{RootCAs: trusted, ServerName: m.Addr().String()})
	defer func() { _ = conn.Close() }()
	if err := conn.HandshakeContext(ctx); err != nil {
		return until, fmt.Errorf("port %d on %s: %w", port, m.Name(), err)
	}
	return conn.ConnectionState().PeerCertificates[0].NotAfter, nil
}

// WhoAmI asks a control plane's own API server, past the balancer, whom it takes the owner of a kubeconfig for. pair is certificate and key in one file
// where the kubeconfig names one; nil: it holds them.
func WhoAmI(ctx context.Context, c cluster.Cluster, server cluster.Machine, kubeconfig, pair []byte) (user string, err error) {
	loaded, err := clientcmd.Load(kubeconfig)
	if err != nil {
		return "", fmt.Errorf("kubeconfig: %w", err)
	}
	if pair != nil {
		for _, a := range loaded.AuthInfos {
			a.ClientCertificate, a.ClientKey = "", ""
			a.ClientCertificateData, a.ClientKeyData = pair, pair
		}
	}
	cfg, err := clientcmd.NewDefaultClientConfig(*loaded, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return "", fmt.Errorf("kubeconfig: %w", err)
	}
	cfg.Host, cfg.Dial = ServerURL(server), c.Dial
	h, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return "", fmt.Errorf("kubeconfig: %w", err)
	}
	defer utilnet.CloseIdleConnectionsFor(h.Transport)
	client, err := kubernetes.NewForConfigAndClient(cfg, h)
	if err != nil {
		return "", fmt.Errorf("kubeconfig: %w", err)
	}
	r, err := client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("API server on %s: %w", server.Name(), err)
	}
	return r.Status.UserInfo.Username, nil
}

// AskKubelet asks a machine's kubelet for a path, as the administrator, through the machine's own API server: by the certificate that this one has for it.
func AskKubelet(ctx context.Context, c cluster.Cluster, m cluster.Machine, page string) ([]byte, error) {
	cfg, err := RESTConfig(ctx, c)
	if err != nil {
		return nil, err
	}
	cfg.Host = ServerURL(m)
	h, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("kubelet on %s: %w", m.Name(), err)
	}
	defer utilnet.CloseIdleConnectionsFor(h.Transport)
	client, err := kubernetes.NewForConfigAndClient(cfg, h)
	if err != nil {
		return nil, fmt.Errorf("kubelet on %s: %w", m.Name(), err)
	}
	return client.CoreV1().RESTClient().Get().AbsPath("/api/v1/nodes", m.Name(), "proxy", page).DoRaw(ctx)
}
