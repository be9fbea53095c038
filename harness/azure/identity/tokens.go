package identity

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"drydock.dev/drydock/harness/azure/arm"
)

// tokenLife is how long a token is good for, as Entra ID says it.
const tokenLife = 3599 * time.Second

// Tokens issues and checks bearer tokens. Any client and secret gets one: its principal is the client id. They live by the wall's clock whatever
// the twin's is: a client counts the seconds it was told by its own clock, and would be refused in the middle of a token's life by any other.
type Tokens struct {
	Now    func() time.Time // the wall's clock; a test's own
	tenant string
	issuer string                  // of the tenant's tokens
	key    func() (*Signer, error) // made when the first token is asked for: it takes a moment

	mu   sync.RWMutex
	good map[string]goodToken // of those whose signature was checked, at most maxGood
}

// maxGood bounds what a client that never uses a token twice leaves behind.
const maxGood = 10_000

type goodToken struct {
	principal, audience, issuer string
	ends                        time.Time
}

// Signer is a token service's key, with the id it is published by.
type Signer struct {
	private *rsa.PrivateKey
	id      string
}

// NewSigner makes a key.
func NewSigner() (*Signer, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	sum := sha256.Sum256(x509.MarshalPKCS1PublicKey(&private.PublicKey))
	return &Signer{private, base64.RawURLEncoding.EncodeToString(sum[:20])}, nil
}

func newTokens(tenant string, key *Signer) *Tokens {
	t := &Tokens{Now: time.Now, tenant: tenant, issuer: issuer(tenant), good: map[string]goodToken{}, key: sync.OnceValues(NewSigner)}
	if key != nil {
		t.key = func() (*Signer, error) { return key, nil }
	}
	return t
}

// Keys are the public keys that tokens are signed with (RFC 7517), as jwks_uri gives them.
func (t *Tokens) Keys() (map[string]any, error) {
	k, err := t.key()
	if err != nil {
		return nil, err
	}
	public := k.private.PublicKey
	return map[string]any{"keys": []any{map[string]any{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": k.id, "x5t": k.id,
		"n": base64.RawURLEncoding.EncodeToString(public.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(public.E)).Bytes()),
	}}}, nil
}

// claims are those that a token for Resource Manager has (learn.microsoft.com, "Access token claims reference", version 1.0).
type claims struct {
	jwt.RegisteredClaims
	App      string `json:"appid"`
	Strength string `json:"appidacr"`
	Provider string `json:"idp"`
	Object   string `json:"oid"`
	Tenant   string `json:"tid"`
	Version  string `json:"ver"`
}

// issuer is who issues a tenant's tokens.
func issuer(tenant string) string { return "https://sts.windows.net/" + tenant + "/" }

// Issue makes a token of a tenant for an audience, which is a service's URL or its id.
func (t *Tokens) Issue(client, audience, tenant string) (string, error) {
	k, err := t.key()
	if err != nil {
		return "", err
	}
	now := t.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Audience: jwt.ClaimStrings{audience}, Issuer: issuer(tenant), Subject: client,
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(tokenLife)),
		},
		App: client, Strength: "1", Provider: issuer(tenant), Object: client, Tenant: tenant, Version: "1.0",
	})
	token.Header["kid"], token.Header["x5t"] = k.id, k.id
	return token.SignedString(k.private)
}

// Check tells the principal of a request, or the error and the challenge that a client learns its tenant and the token service from.
// Of a refused token it is who the token says it is, for the call log: who was refused is evidence as well.
func (t *Tokens) Check(r *http.Request) (string, *arm.Error) {
	header := r.Header.Get("Authorization")
	token, ok := arm.Bearer(header)
	if !ok || token == "" {
		return "", t.refuse(r, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.", "")
	}
	now := t.Now()
	t.mu.RLock()
	g, known := t.good[token]
	t.mu.RUnlock()
	if !known || !now.Before(g.ends) {
		var bad *arm.Error
		if g, bad = t.verify(r, token); bad != nil {
			return g.principal, bad
		}
	}
	// The texts are in what clients report: InvalidAuthenticationTokenTenant in the blog of Azure's support, the audience's wherever somebody uses Graph's token.
	switch {
	case g.issuer != t.issuer:
		return g.principal, t.refuse(r, "InvalidAuthenticationTokenTenant", fmt.Sprintf("The access token is from the wrong issuer '%s'. It must match the tenant '%s' associated with this subscription. "+
			"Please use the authority (URL) 'https://login.windows.net/%s' to get the token. Note, if the subscription is transferred to another tenant there is no impact to the services, but information about new tenant "+
			"could take time to propagate (up to an hour). If you just transferred your subscription and see this error message, please try back later.", g.issuer, issuer(t.tenant), t.tenant), "invalid_token")
	case !accepts(r.Host, strings.TrimSuffix(g.audience, "/")):
		return g.principal, t.refuse(r, "InvalidAuthenticationTokenAudience", fmt.Sprintf("The access token has been obtained for wrong audience or resource '%s'. It should exactly match with one of the allowed audiences '%s'.",
			g.audience, strings.Join(audiences(r.Host), "','")), "invalid_token")
	}
	return g.principal, nil
}

// audiences are what a token for Resource Manager may be for, a slash at the end or none: the two that the public cloud has, and the endpoint itself, by
// whatever name that is reached but those of other services.
func audiences(host string) []string {
	all := []string{"https://management.azure.com", "https://management.core.windows.net"}
	name, _, _ := strings.Cut(strings.ToLower(host), ":")
	if slices.Contains([]string{"login.microsoftonline.com", "login.microsoft.com", "login.windows.net", "sts.windows.net", "graph.microsoft.com", "graph.windows.net"}, name) {
		return all
	}
	return append(all, "https://"+host)
}

// accepts reports whether a token may be for an audience. The first are those that nearly all are for.
func accepts(host, audience string) bool {
	return audience == "https://management.azure.com" || audience == "https://management.core.windows.net" || slices.Contains(audiences(host), audience)
}

// maxName is more than any client or service is called.
const maxName = 1024

// verify checks what a token says of itself and who has signed it; of a refused one it gives who it says it is.
func (t *Tokens) verify(r *http.Request, token string) (g goodToken, bad *arm.Error) {
	var c claims
	_, err := jwt.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) {
		k, err := t.key()
		if err != nil {
			return nil, err
		}
		return &k.private.PublicKey, nil
	}, jwt.WithValidMethods([]string{jwt.SigningMethodRS256.Alg()}), jwt.WithTimeFunc(t.Now), jwt.WithExpirationRequired())
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return goodToken{principal: c.Object}, t.refuse(r, "ExpiredAuthenticationToken", fmt.Sprintf("The access token expiry UTC time '%s' is earlier than current UTC time '%s'.",
			c.ExpiresAt.UTC().Format("1/2/2006 3:04:05 PM"), t.Now().UTC().Format("1/2/2006 3:04:05 PM")), "invalid_token")
	case err != nil:
		return goodToken{principal: PrincipalOf("Bearer " + token)}, t.refuse(r, "InvalidAuthenticationToken", "The access token is invalid.", "invalid_token")
	}
	g = goodToken{principal: c.Object, audience: strings.Join(c.Audience, " "), issuer: c.Issuer, ends: c.ExpiresAt.Time}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.good) >= maxGood {
		clear(t.good) // those that are still used are checked again
	}
	t.good[token] = g
	return g, nil
}

func (t *Tokens) refuse(r *http.Request, code, message, reason string) *arm.Error {
	e := arm.Gatewayf(http.StatusUnauthorized, code, "%s", message)
	challenge := fmt.Sprintf(`Bearer authorization_uri="%s/%s"`, strings.TrimSuffix(authority(r), "/"), t.tenant)
	if reason != "" {
		challenge += fmt.Sprintf(`, error="%s", error_description="%s"`, reason, message)
	}
	e.Header = map[string]string{"WWW-Authenticate": challenge}
	return e
}

// PrincipalOf reads whose token it says it is, without checking it: for a log, and of calls through a proxy, whose tokens are the real service's to check.
func PrincipalOf(header string) string {
	token, _ := arm.Bearer(header)
	var c claims
	if _, _, err := jwt.NewParser().ParseUnverified(token, &c); err != nil {
		return ""
	}
	if c.Object != "" {
		return c.Object
	}
	return c.App
}
