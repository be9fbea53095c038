package azure

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
)

// Client calls a twin as a principal, over TLS as everybody does. It never retries: what it is told is what was answered.
type Client struct {
	ready Ready
	http  *http.Client
	token string
}

// NewClient asks for a token.
func NewClient(ctx context.Context, r Ready, ca []byte, principal string) (*Client, error) {
	trusting, err := Trusting(ca)
	if err != nil {
		return nil, err
	}
	token, _, err := r.Token(ctx, trusting, principal, "https://management.azure.com")
	if err != nil {
		return nil, err
	}
	return &Client{ready: r, http: trusting, token: token}, nil
}

// Trusting is a client that trusts one certificate authority, PEM, and sends no token by itself.
func Trusting(ca []byte) (*http.Client, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("there is no certificate in it")
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}}, nil
}

// Token gets a token as a service principal does, for one audience, and says when it expires.
func (r Ready) Token(ctx context.Context, c *http.Client, principal, audience string) (token string, expires time.Time, err error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {principal}, "client_secret": {"-"}, "scope": {audience + "/.default"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.Authority+"/"+r.Tenant+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", expires, fmt.Errorf("token: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var body struct {
		Token   string `json:"access_token"`
		Expires int    `json:"expires_in"`
	}
	asked := time.Now()
	if err := do(c, req, &body); err != nil {
		return "", expires, fmt.Errorf("token: %w", err)
	}
	if body.Token == "" {
		return "", expires, fmt.Errorf("token: %s answers without one", req.URL)
	}
	return body.Token, asked.Add(time.Duration(body.Expires) * time.Second), nil
}

// Do calls a path below the subscription. An answer from 400 on is an *Error.
func (c *Client) Do(ctx context.Context, method, path string, body, into any) error {
	var content io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
		content = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.ready.Endpoint+"/subscriptions/"+c.ready.Subscription+"/"+path+"?api-version=2024-03-01", content)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/json")
	return do(c.http, req, into)
}

func do(c *http.Client, req *http.Request, into any) error {
	resp, err := c.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", req.Method, req.URL.Path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", req.Method, req.URL.Path, err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return readError(resp, raw)
	}
	if into == nil || len(raw) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s %s: %w", req.Method, req.URL.Path, err)
	}
	return nil
}

// readError reads what was answered, with its headers in lower case.
func readError(resp *http.Response, raw []byte) *arm.Error {
	var body struct {
		Error struct {
			Code, Message, Target string
			Details               []struct{ Code, Message, Target string }
		}
	}
	_ = json.Unmarshal(raw, &body)
	e := &arm.Error{Status: resp.StatusCode, Code: body.Error.Code, Message: body.Error.Message, Target: body.Error.Target, Header: map[string]string{}}
	for _, d := range body.Error.Details {
		e.Details = append(e.Details, arm.Error{Code: d.Code, Message: d.Message, Target: d.Target})
	}
	for name := range resp.Header {
		e.Header[strings.ToLower(name)] = resp.Header.Get(name)
	}
	e.Gateway = e.Header["x-ms-failure-cause"] == "gateway"
	return e
}
