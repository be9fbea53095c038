package replace

import (
	"context"
	"net/http"
	"os"
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
	var client *http.Client
	pem, err := os.ReadFile(ready.CA)
	if err == nil {
		client, err = azure.Trusting(pem)
	}
	if err != nil {
		return nil, cluster.Usagef("the Resource Manager's certificate authority %q, which %s names: %w", ready.CA, readyFile, err)
	}
	return manager.New(manager.Options{
		Endpoint: ready.Endpoint, Authority: ready.Authority, Subscription: ready.Subscription, Group: group, Transport: client, Every: 2 * time.Second, Within: within,
		Credential: &secret{client: client, ready: ready},
	})
}

// secret gets tokens as a service principal does. The SDK's own credential would do, and brings two libraries for logging people in.
type secret struct {
	client *http.Client
	ready  azure.Ready
}

// GetToken is azcore's; it keeps the token itself.
func (s *secret) GetToken(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, expires, err := s.ready.Token(ctx, s.client, Principal, s.ready.Endpoint)
	return azcore.AccessToken{Token: token, ExpiresOn: expires}, err
}
