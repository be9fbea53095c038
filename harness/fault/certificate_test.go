package fault

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"testing"
	"time"

	"k8s.io/client-go/util/keyutil"

	"drydock.dev/drydock/harness/kubeadm"
)

// What takes a certificate's place differs from it in its dates alone: another reason to refuse it would pass for the one that is meant.
func TestAnExpiredCertificateIsNothingElse(t *testing.T) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"kubernetes"},
		IPAddresses: []net.IP{net.IPv4(10, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	made := func(c *x509.Certificate, public any) []byte {
		raw, err := x509.CreateCertificate(rand.Reader, c, ca, public, caKey)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
	}
	caPEM, certPEM := made(ca, caKey.Public()), made(cert, key.Public())
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(caKey)
	if err != nil {
		t.Fatal(err)
	}
	out, err := expired(certPEM, caPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	got, err := kubeadm.Certificate(out)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(caPEM)
	var invalid x509.CertificateInvalidError
	_, err = got.Verify(x509.VerifyOptions{Roots: roots, DNSName: "kubernetes"})
	if !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
		t.Errorf("it is refused as %v", err)
	}
	if err := got.VerifyHostname("10.0.0.1"); err != nil {
		t.Error(err)
	}
	if !key.PublicKey.Equal(got.PublicKey) {
		t.Error("it has another key")
	}
	if err := got.CheckSignatureFrom(mustParse(t, caPEM)); err != nil {
		t.Error(err)
	}
	for name, files := range map[string][3][]byte{"no certificate": {nil, caPEM, keyPEM}, "no authority": {certPEM, nil, keyPEM}, "no key": {certPEM, caPEM, nil}} {
		if _, err := expired(files[0], files[1], files[2]); err == nil {
			t.Errorf("%s: it was made", name)
		}
	}
}

func mustParse(t *testing.T, raw []byte) *x509.Certificate {
	t.Helper()
	c, err := kubeadm.Certificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
