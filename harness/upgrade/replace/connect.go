package replace

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/upgrade/replace/manager"
)

// Principal is who Drydock is to a Resource Manager that takes any.
const Principal = "drydock-replace"

// open makes a client of the Resource Manager that a ready file describes, for a resource group. What is called before a step has a deadline for its calls, and
// before anything is deleted, has that much time each.
func open(readyFile, group string, within time.Duration) (*manager.Client, error) {
	ready, err := azure.ReadReady(readyFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pem, err := os.ReadFile(ready.CA)
	if err != nil || !pool.AppendCertsFromPEM(pem) {
		return nil, cluster.Usagef("the Resource Manager's certificate authority %q, which %s names: %w", ready.CA, readyFile, err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}}
	return manager.New(manager.Options{
		Endpoint: ready.Endpoint, Authority: ready.Authority, Subscription: ready.Subscription, Group: group, Transport: client, Every: 2 * time.Second, Within: within,
		Credential: &secret{client: client, url: ready.Authority + "/" + ready.Tenant + "/oauth2/v2.0/token", audience: ready.Endpoint},
	})
}

// secret gets tokens as a service principal does. The SDK's own credential would do, and brings two libraries for logging people in.
type secret struct {
	client        *http.Client
	url, audience string
}

// GetToken is azcore's; it keeps the token itself.
func (s *secret) GetToken(ctx context.Context, _ policy.TokenRequestOptions) (out azcore.AccessToken, err error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {Principal}, "client_secret": {"-"}, "scope": {s.audience + "/.default"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, strings.NewReader(form.Encode()))
	if err != nil {
		return out, fmt.Errorf("token: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := s.client.Do(req)
	if err != nil {
		return out, fmt.Errorf("token: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	var body struct {
		Token   string `json:"access_token"`
		Expires int    `json:"expires_in"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || body.Token == "" {
		return out, fmt.Errorf("token: the answer is %s and has none: %w", resp.Status, err)
	}
	return azcore.AccessToken{Token: body.Token, ExpiresOn: time.Now().Add(time.Duration(body.Expires) * time.Second)}, nil
}
