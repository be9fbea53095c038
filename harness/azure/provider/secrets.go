package provider

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// secret is a key that follows from names, so that the same twin gives the same resource the same one and nothing has to keep it.
func secret(of ...string) string {
	sum := sha256.Sum256([]byte("secret|" + strings.ToLower(strings.Join(of, "|"))))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
