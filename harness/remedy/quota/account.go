// Package quota reads what Azure Resource Manager has left for a cluster's components: by one cheap call at a time, as the components' own account, from the
// headers of its answer. It never hurries: whoever was told to come back later comes back then.
package quota

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure"
)

// Account is who a component is to the cloud and where that is, as its own configuration says.
type Account struct {
	Endpoint     string // of Resource Manager
	Authority    string // of the token service
	Audience     string
	Tenant       string
	Subscription string
	Group        string
	Client       string
	ScaleSets    bool   // its machines are in scale sets, so that their lists are what it asks for
	CA           []byte // an authority that is trusted besides the host's, PEM; may be nil

	secret string
}

// The public cloud (go-autorest's azure.PublicCloud).
const (
	publicEndpoint  = "https://management.azure.com"
	publicAuthority = "https://login.microsoftonline.com"
)

// ReadAccount reads the file that a component's --cloud-config names, and the one that describes a cloud other than the public one
// (AZURE_ENVIRONMENT_FILEPATH), which may be nil. An account without a secret of its own, as a machine's managed identity, is an error: its tokens are
// given to its machine alone.
func ReadAccount(config, environment []byte) (Account, error) {
	var c struct {
		Cloud, TenantID, SubscriptionID, ResourceGroup, VMType string
		AADClientID, AADClientSecret                           string
		UseManagedIdentityExtension                            bool
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return Account{}, fmt.Errorf("cloud config: %w", err)
	}
	a := Account{
		Endpoint: publicEndpoint, Authority: publicAuthority, Tenant: c.TenantID, Subscription: c.SubscriptionID, Group: c.ResourceGroup, Client: c.AADClientID,
		ScaleSets: strings.EqualFold(c.VMType, "vmss"), secret: c.AADClientSecret,
	}
	if environment != nil {
		var e struct{ ResourceManagerEndpoint, ActiveDirectoryEndpoint, TokenAudience string }
		if err := json.Unmarshal(environment, &e); err != nil {
			return Account{}, fmt.Errorf("cloud environment: %w", err)
		}
		a.Endpoint, a.Authority, a.Audience = e.ResourceManagerEndpoint, e.ActiveDirectoryEndpoint, e.TokenAudience
	} else if c.Cloud != "" && !strings.EqualFold(c.Cloud, "AzurePublicCloud") {
		return Account{}, fmt.Errorf("cloud config: it is for the cloud %s, whose addresses no file tells (AZURE_ENVIRONMENT_FILEPATH)", c.Cloud)
	}
	a.Endpoint, a.Authority = strings.TrimSuffix(a.Endpoint, "/"), strings.TrimSuffix(a.Authority, "/")
	if a.Audience == "" {
		a.Audience = a.Endpoint + "/"
	}
	switch {
	case c.UseManagedIdentityExtension:
		return Account{}, errors.New("cloud config: it asks as its machine's managed identity, whose tokens are given to the machine alone")
	case a.Client == "" || a.secret == "":
		return Account{}, errors.New("cloud config: it has no aadClientId with a aadClientSecret")
	case a.Tenant == "" || a.Subscription == "" || a.Group == "":
		return Account{}, errors.New("cloud config: tenantId, subscriptionId or resourceGroup is missing")
	case !strings.HasPrefix(a.Endpoint, "https://") || !strings.HasPrefix(a.Authority, "https://"):
		return Account{}, fmt.Errorf("cloud config: %q and %q are no addresses of a cloud", a.Endpoint, a.Authority)
	}
	return a, nil
}

// atTwin is who asks a twin: it takes anybody, and these calls are to be told from those of the components, which may be waiting for what they were told.
const atTwin = "drydock-remedy"

// Via is the account at the same cloud by other addresses: a twin's ready file, where this host reaches it by others than the machines do.
func (a Account) Via(readyFile string) (Account, error) {
	r, err := azure.ReadReady(readyFile)
	if err != nil {
		return a, err
	}
	a.Endpoint, a.Authority, a.Client = r.Endpoint, r.Authority, atTwin
	if r.CA == "" {
		return a, nil
	}
	if a.CA, err = os.ReadFile(r.CA); err != nil {
		return a, fmt.Errorf("authority of the twin: %w", err)
	}
	return a, nil
}

// askWithin is how long one call may take, connection and all.
const askWithin = 20 * time.Second

func (a Account) client() (*http.Client, error) {
	t := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // net/http documents its type
	if a.CA != nil {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(a.CA) {
			return nil, errors.New("the cloud's authority is no certificate")
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: t, Timeout: askWithin}, nil
}
