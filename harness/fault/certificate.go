package fault

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/client-go/util/keyutil"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// certificateExpired has an API server serve a certificate that has run out: the same names, the same key, signed by the cluster's authority. The server
// takes it up by itself, as it does a renewed one. Connections that are there go on.
type certificateExpired struct{}

// Where kubeadm keeps them.
const (
	servingCert = "/etc/kubernetes/pki/apiserver.crt"
	authority   = "/etc/kubernetes/pki/ca.crt"
	authorKey   = "/etc/kubernetes/pki/ca.key"
)

// expiredFor is how long ago the certificate ran out: no two clocks differ by so much.
const expiredFor = time.Hour

func (*certificateExpired) Inject(ctx context.Context, e *Env, machines []string) error {
	return capability(ctx, e, machines, func(ctx context.Context, m cluster.Machine, k cluster.Keeper) error {
		old, err := expiredManaged(ctx, m, kubeadm.Managed{File: servingCert, Authority: authority, Key: authorKey})
		if err != nil {
			return fmt.Errorf("%s: %s: %w", m.Name(), servingCert, err)
		}
		return k.Replace(ctx, servingCert, old)
	})
}

// ofCertificate is whose certificate it is.
func ofCertificate(p Params) string {
	if p.Service == "" {
		return observe.APIServer
	}
	return p.Service
}

func validCertificate(p Params) error {
	if of := ofCertificate(p); of != observe.APIServer && of != observe.Kubelet {
		return fmt.Errorf("service is %q; known: %s, whose certificate is what it serves with, and %s, whose is what the API server knows it by", of, observe.APIServer, observe.Kubelet)
	}
	return nil
}

// fitsCertificate refuses machines that have no such service.
func fitsCertificate(s Spec, t cluster.Topology) error {
	of, err := findService(ofCertificate(s.Params))
	if err != nil {
		return err
	}
	return of.fits(s, t)
}

func touchesCertificate(p Params) []string {
	of, _ := findService(ofCertificate(p)) // what is unknown was refused
	return of.touches
}

func newCertificate(s Spec) Fault {
	if ofCertificate(s.Params) == observe.Kubelet {
		return &kubeletCertificateExpired{}
	}
	return &certificateExpired{}
}

// expired makes of a certificate one that has run out, signed by the authority; all of them in PEM.
func expired(good, ca, caKey []byte) ([]byte, error) {
	cert, err := kubeadm.Certificate(good)
	if err != nil {
		return nil, err
	}
	signer, err := kubeadm.Certificate(ca)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", authority, err)
	}
	key, err := keyutil.ParsePrivateKeyPEM(caKey)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", authorKey, err)
	}
	cert.NotAfter = time.Now().Add(-expiredFor)
	cert.NotBefore = cert.NotAfter.Add(-365 * 24 * time.Hour)
	cert.SignatureAlgorithm = 0 // the authority's key may be of another kind
	raw, err := x509.CreateCertificate(rand.Reader, cert, signer, cert.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("sign an expired certificate: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), nil
}

func (*certificateExpired) Recover(ctx context.Context, e *Env, machines []string) error {
	return capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, k cluster.Keeper) error {
		return k.PutBack(ctx, servingCert)
	})
}

// handshake shakes hands with a machine's API server as any client does that trusts the cluster's authority and no more.
func handshake(ctx context.Context, e *Env, machine string) (until time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, look)
	defer cancel()
	m, err := e.Cluster.Machine(machine)
	if err != nil {
		return until, err
	}
	cfg, err := kubeadm.RESTConfig(ctx, e.Cluster)
	if err != nil {
		return until, err
	}
	return kubeadm.ServedUntil(ctx, e.Cluster, m, kubeadm.APIPort, cfg.CAData)
}

// Effective: whoever shakes hands with the machines' API servers is shown a certificate that has run out, and by the others one that has not.
func (*certificateExpired) Effective(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	var out []plan.Evidence
	for _, m := range machines {
		until, err := handshake(ctx, e, m)
		var invalid x509.CertificateInvalidError
		switch {
		case err == nil:
			return nil, fmt.Errorf("the API server on %s shows a certificate that is good until %s", m, until.Format(time.DateOnly))
		case !errors.As(err, &invalid) || invalid.Reason != x509.Expired:
			return nil, fmt.Errorf("whether the certificate on %s has expired is not known: %w", m, err)
		}
		out = append(out, saw("TLS handshake", "%v; it ran out at %s", err, invalid.Cert.NotAfter.Format(time.DateTime)))
	}
	others := 0
	for _, m := range e.without(e.Cluster.Topology().ControlPlaneMachines()) {
		if slices.Contains(machines, m) {
			continue
		}
		others++
		until, err := handshake(ctx, e, m)
		if err != nil {
			return nil, controlError{fmt.Errorf("it should not be affected, and: %w", err)}
		}
		out = append(out, saw("TLS handshake", "the API server on %s, which is not affected, shows a certificate that is good until %s", m, until.Format(time.DateOnly)))
	}
	if others > 0 {
		return out, nil
	}
	server, err := findService(observe.APIServer)
	if err != nil {
		return nil, err
	}
	return server.unaffected(ctx, e, machines, out)
}

// Recovered: the certificates are good again, and who needed them is there.
func (*certificateExpired) Recovered(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	var out []plan.Evidence
	for _, m := range machines {
		until, err := handshake(ctx, e, m)
		if err != nil {
			return nil, err
		}
		out = append(out, saw("TLS handshake", "the API server on %s shows a certificate that is good until %s", m, until.Format(time.DateOnly)))
	}
	back, err := served(ctx, e, machines)
	return append(out, back...), err
}
