package certificate

import (
	"bytes"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/crypto/ssh"

	"drydock.dev/drydock/harness/cluster"
)

// Namespace is what a certificate's signature is for (PROTOCOL.sshsig of OpenSSH): one made for something else is none.
const Namespace = "certificate@drydock.dev"

const (
	magic      = "SSHSIG"
	begin      = "-----BEGIN SSH SIGNATURE-----\n"
	end        = "-----END SSH SIGNATURE-----\n"
	wide       = 70 // of a line, as OpenSSH writes them
	hashed     = "sha512"
	sigVersion = 1
)

// signedData is what is signed, after the magic.
type signedData struct {
	Namespace, Reserved, Hash string
	Sum                       []byte
}

// blob is a signature as it is armoured, after the magic.
type blob struct {
	Version                   uint32
	Key                       []byte
	Namespace, Reserved, Hash string
	Signature                 []byte
}

func toSign(message []byte) []byte {
	sum := sha512.Sum512(message)
	return append([]byte(magic), ssh.Marshal(signedData{Namespace: Namespace, Hash: hashed, Sum: sum[:]})...)
}

// Sign makes a signature that `ssh-keygen -Y verify` takes as well.
func Sign(key ssh.Signer, message []byte) ([]byte, error) {
	sig, err := key.Sign(rand.Reader, toSign(message))
	if err != nil {
		return nil, fmt.Errorf("sign the certificate: %w", err)
	}
	b := blob{Version: sigVersion, Key: key.PublicKey().Marshal(), Namespace: Namespace, Hash: hashed, Signature: ssh.Marshal(sig)}
	return armour(append([]byte(magic), ssh.Marshal(b)...)), nil
}

// armour writes a signature as OpenSSH does.
func armour(raw []byte) []byte {
	out := []byte(begin)
	for line := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString(raw)), wide) {
		out = append(append(out, line...), '\n')
	}
	return append(out, end...)
}

// Signer is whose key has signed the message.
func Signer(armoured, message []byte) (ssh.PublicKey, error) {
	body, begun := bytes.CutPrefix(armoured, []byte(begin))
	body, ended := bytes.CutSuffix(body, []byte(end))
	whole, err := base64.StdEncoding.DecodeString(string(body)) // which leaves the ends of lines out
	if err != nil || !begun || !ended || !bytes.Equal(armour(whole), armoured) {
		return nil, errors.New("it is no SSH signature as OpenSSH writes one")
	}
	raw, ok := bytes.CutPrefix(whole, []byte(magic))
	var b blob
	if err := ssh.Unmarshal(raw, &b); err != nil || !ok {
		return nil, errors.New("it is no SSH signature")
	}
	if b.Version != sigVersion || b.Namespace != Namespace || b.Reserved != "" || b.Hash != hashed {
		return nil, fmt.Errorf("it is of version %d, for %q, by %s; wanted version %d, for %q, by %s", b.Version, b.Namespace, b.Hash, sigVersion, Namespace, hashed)
	}
	key, err := ssh.ParsePublicKey(b.Key)
	if err != nil {
		return nil, fmt.Errorf("its key: %w", err)
	}
	if key.Type() != ssh.KeyAlgoED25519 {
		return nil, fmt.Errorf("its key is of type %s, want %s", key.Type(), ssh.KeyAlgoED25519)
	}
	var sig ssh.Signature
	if err := ssh.Unmarshal(b.Signature, &sig); err != nil {
		return nil, fmt.Errorf("it is no SSH signature: %w", err)
	}
	if err := key.Verify(toSign(message), &sig); err != nil {
		return nil, fmt.Errorf("it is not of this certificate: %w", err)
	}
	return key, nil
}

// ReadSigner reads a private key to sign with: ssh-ed25519, in a file of its own, without a passphrase. Any other is a UsageError.
func ReadSigner(file string) (ssh.Signer, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, cluster.Usagef("--sign-key: %w", err)
	}
	key, err := ssh.ParsePrivateKey(raw)
	var locked *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &locked):
		return nil, cluster.Usagef("--sign-key: %s has a passphrase: give a key without one, or sign yourself, `ssh-keygen -Y sign -n %s -f KEY DIR/%s`", file, Namespace, Name)
	case err != nil:
		return nil, cluster.Usagef("--sign-key: %s is no private key (make one: `ssh-keygen -t ed25519 -f FILE`): %w", file, err)
	case key.PublicKey().Type() != ssh.KeyAlgoED25519:
		return nil, cluster.Usagef("--sign-key: %s is of type %s, want %s: `ssh-keygen -t ed25519 -f FILE` makes one", file, key.PublicKey().Type(), ssh.KeyAlgoED25519)
	}
	return key, nil
}

// ReadKeys reads public keys, one a line as in FILE.pub and authorized_keys; none is a UsageError.
func ReadKeys(file string) ([]ssh.PublicKey, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, cluster.Usagef("--key: %w", err)
	}
	var out []ssh.PublicKey
	for len(bytes.TrimSpace(raw)) > 0 {
		key, _, _, rest, err := ssh.ParseAuthorizedKey(raw)
		if err != nil {
			return nil, cluster.Usagef("--key: %s: line %d on is no public key (want those of FILE.pub): %w", file, len(out)+1, err)
		}
		out, raw = append(out, key), rest
	}
	if len(out) == 0 {
		return nil, cluster.Usagef("--key: %s has no public key in it", file)
	}
	return out, nil
}
