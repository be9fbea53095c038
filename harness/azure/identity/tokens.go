package identity

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
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
	key    []byte
	good   sync.Map // token -> principal and end, of those that were checked
}

type goodToken struct {
	principal string
	ends      time.Time
}

func newTokens(tenant string) (*Tokens, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	return &Tokens{Now: time.Now, tenant: tenant, key: key}, nil
}

type claims struct {
	jwt.RegisteredClaims
	App    string `json:"appid"`
	Object string `json:"oid"`
	Tenant string `json:"tid"`
}

// Issue makes a token for a client.
func (t *Tokens) Issue(client, audience, issuer string) (string, error) {
	now := t.Now()
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Audience: jwt.ClaimStrings{audience}, Issuer: issuer, Subject: client,
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(tokenLife)),
		},
		App: client, Object: client, Tenant: t.tenant,
	}).SignedString(t.key)
}

// Check tells the principal of a request, or the error and the challenge that a client learns its tenant from. Of a refused token it is who the token
// says it is, for the call log: who was refused is evidence as well.
func (t *Tokens) Check(r *http.Request, authority string) (string, *arm.Error) {
	header := r.Header.Get("Authorization")
	token, ok := arm.Bearer(header)
	if !ok || token == "" {
		return "", t.refuse(authority, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.", "")
	}
	now := t.Now()
	if known, ok := t.good.Load(token); ok {
		if g, ok := known.(goodToken); ok && now.Before(g.ends) {
			return g.principal, nil
		}
		t.good.Delete(token)
	}
	var c claims
	_, err := jwt.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return t.key, nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithTimeFunc(t.Now), jwt.WithExpirationRequired())
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return c.Object, t.refuse(authority, "ExpiredAuthenticationToken", fmt.Sprintf("The access token expiry UTC time '%s' is earlier than current UTC time '%s'.",
			c.ExpiresAt.UTC().Format("1/2/2006 3:04:05 PM"), now.UTC().Format("1/2/2006 3:04:05 PM")), "invalid_token")
	case err != nil:
		return PrincipalOf(header), t.refuse(authority, "InvalidAuthenticationToken", "The access token is invalid.", "invalid_token")
	}
	t.good.Store(token, goodToken{c.Object, c.ExpiresAt.Time})
	return c.Object, nil
}

func (t *Tokens) refuse(authority, code, message, reason string) *arm.Error {
	e := arm.Gatewayf(http.StatusUnauthorized, code, "%s", message)
	challenge := fmt.Sprintf(`Bearer authorization_uri="%s/%s"`, strings.TrimSuffix(authority, "/"), t.tenant)
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
