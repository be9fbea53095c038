package fault

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/util/keyutil"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
)

// A kubelet's file holds certificate and key: what takes its place is the same client by the same key, and no longer.
func TestAKubeletWithAnExpiredCertificateIsWhoItWas(t *testing.T) {
	pair := func() (*ecdsa.PrivateKey, []byte) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := keyutil.MarshalPrivateKeyToPEM(key)
		if err != nil {
			t.Fatal(err)
		}
		return key, raw
	}
	caKey, caKeyPEM := pair()
	key, keyPEM := pair()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		Subject: pkix.Name{CommonName: "system:node:worker-1", Organization: []string{"system:nodes"}}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	made := func(c *x509.Certificate, public any) []byte {
		raw, err := x509.CreateCertificate(rand.Reader, c, ca, public, caKey)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
	}
	caPEM, certPEM := made(ca, caKey.Public()), made(cert, key.Public())
	out, err := expiredClient(slices.Concat(certPEM, keyPEM), caPEM, caKeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	got, err := tls.X509KeyPair(out, out)
	if err != nil {
		t.Fatal(err)
	}
	if !key.Equal(got.PrivateKey) || len(got.Certificate) != 1 {
		t.Errorf("another key, or %d certificates", len(got.Certificate))
	}
	if s := got.Leaf.Subject.String(); s != cert.Subject.String() {
		t.Errorf("it is of %s", s)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(caPEM)
	var invalid x509.CertificateInvalidError
	_, err = got.Leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
		t.Errorf("it is refused as %v", err)
	}
	for name, file := range map[string][]byte{"nothing": nil, "no key": certPEM, "no certificate": keyPEM} {
		if _, err := expiredClient(file, caPEM, caKeyPEM); err == nil {
			t.Errorf("%s: it was made", name)
		}
	}
}

// Whose certificate it is says where it can be done and what it takes.
func TestWhoseCertificateExpires(t *testing.T) {
	top := cluster.Topology{Name: "a", ControlPlanes: 1, Workers: 1, Version: "v1.36.3"}.Complete()
	for _, c := range []struct {
		service, target string
		touches         []string
		want            string // of the error; empty: it is fine
	}{
		{"", "control-plane-1", aroundServer(), ""},
		{observe.APIServer, "control-plane-1", aroundServer(), ""},
		{observe.Kubelet, "control-plane-1", []string{observe.Kubelet}, ""},
		{observe.Kubelet, "worker-1", []string{observe.Kubelet}, ""},
		{"", "worker-1", nil, "kube-apiserver does not run on worker-1"},
		{observe.Scheduler, "control-plane-1", nil, `service is "kube-scheduler"; known: kube-apiserver`},
	} {
		s, err := NewSpec("certificateExpired", c.target, time.Second, Params{Service: c.service}, top, seeded())
		var usage *cluster.UsageError
		switch {
		case c.want == "" && (err != nil || !slices.Equal(s.Touches(), c.touches)):
			t.Errorf("%q on %s: touches %v, %v", c.service, c.target, s.Touches(), err)
		case c.want != "" && (!errors.As(err, &usage) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%q on %s: %v, want %q", c.service, c.target, err, c.want)
		}
	}
}
