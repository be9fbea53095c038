package reports

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"drydock.dev/drydock/reports/certificate"
)

// key makes one to sign with.
func key(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestOpenSSHTakesTheSignature, and its own is taken here.
func TestOpenSSHTakesTheSignature(t *testing.T) {
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("no ssh-keygen here")
	}
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "id")
	if out, err := exec.CommandContext(t.Context(), keygen, "-q", "-t", "ed25519", "-N", "", "-f", file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	k, err := certificate.ReadSigner(file)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := certificate.ReadKeys(file + ".pub")
	if err != nil || len(keys) != 1 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	message := []byte("what is certified\n")
	sig, err := certificate.Sign(k, message)
	if err != nil {
		t.Fatal(err)
	}
	signature, allowed := filepath.Join(dir, "sig"), filepath.Join(dir, "allowed")
	public := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k.PublicKey())))
	if err := errors.Join(os.WriteFile(signature, sig, 0o600), os.WriteFile(allowed, []byte("me "+public+"\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	verify := exec.CommandContext(t.Context(), keygen, "-Y", "verify", "-f", allowed, "-I", "me", "-n", certificate.Namespace, "-s", signature)
	verify.Stdin = bytes.NewReader(message)
	if out, err := verify.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	sign := exec.CommandContext(t.Context(), keygen, "-Y", "sign", "-f", file, "-n", certificate.Namespace)
	sign.Stdin = bytes.NewReader(message)
	theirs, err := sign.Output()
	if err != nil {
		t.Fatal(err)
	}
	if by, err := certificate.Signer(theirs, message); err != nil || !bytes.Equal(by.Marshal(), keys[0].Marshal()) {
		t.Errorf("%v", err)
	}
}

// TestKeysThatWillNotDo are named, with what will.
func TestKeysThatWillNotDo(t *testing.T) {
	dir := t.TempDir()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	locked, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	for says, raw := range map[string][]byte{"has a passphrase": pem.EncodeToMemory(locked), "is no private key": []byte("hello")} {
		file := filepath.Join(dir, "key")
		if err := os.WriteFile(file, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := certificate.ReadSigner(file); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
		if _, err := certificate.ReadKeys(file); err == nil {
			t.Errorf("%s: taken for a public key", says)
		}
	}
}
