// Package manager is the Azure Resource Manager as an upgrade by replacement calls it: through the official SDK, whose own retries are off. What the SDK
// gives up on (a Retry-After above a minute, a fourth 429, a 429 on the poll of an operation that goes on without it) is waited for here, until the
// deadline of the step, and within a budget of refused calls.
package manager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armdeployments"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources/v3"
)

// Options say where the Resource Manager is, who calls it, and about which resource group.
type Options struct {
	Endpoint     string // https://management.azure.com, say
	Audience     string // of tokens; empty: the endpoint
	Authority    string // of the token service
	Subscription string
	Group        string
	Credential   azcore.TokenCredential
	Transport    policy.Transporter // nil: the SDK's own
	Every        time.Duration      // between two polls where no answer says how long to wait; 0: 10 s
	Within       time.Duration      // of a call whose context has no deadline: how long it may take, with what it is told to wait; 0: 20 min
}

// Client calls a Resource Manager about one resource group. Virtual machines, interfaces and disks are called for as generic resources: the models of all
// of Microsoft.Compute and Microsoft.Network (20 MB of source) would add nothing to the few fields that are read here.
type Client struct {
	Group string // /subscriptions/…/resourceGroups/…

	name        string
	endpoint    string
	raw         *arm.Client
	every       time.Duration
	patience    *patience
	resources   *armresources.Client
	deployments *armdeployments.DeploymentsClient
	operations  *armdeployments.DeploymentOperationsClient
}

const (
	defaultEvery  = 10 * time.Second // machines take a minute or two
	defaultWithin = 20 * time.Minute // an upgrade that is told to wait for longer before a read had better say so
)

// New makes a client; nothing is called yet.
func New(o Options) (*Client, error) {
	c := &Client{Group: "/subscriptions/" + o.Subscription + "/resourceGroups/" + o.Group, name: o.Group, endpoint: o.Endpoint, every: cmp.Or(o.Every, defaultEvery), patience: &patience{within: cmp.Or(o.Within, defaultWithin)}}
	if o.Audience == "" {
		o.Audience = o.Endpoint
	}
	options := &arm.ClientOptions{
		ClientOptions: policy.ClientOptions{
			Cloud: cloud.Configuration{
				ActiveDirectoryAuthorityHost: o.Authority, Services: map[cloud.ServiceName]cloud.ServiceConfiguration{cloud.ResourceManager: {Endpoint: o.Endpoint, Audience: o.Audience}},
			},
			Retry: policy.RetryOptions{MaxRetries: -1}, PerCallPolicies: []policy.Policy{c.patience}, Transport: o.Transport,
		},
		DisableRPRegistration: true, // who runs machines there has registered what they are made of
	}
	var err error
	if c.raw, err = arm.NewClient("drydock", "v1.0.0", o.Credential, options); err != nil {
		return nil, fmt.Errorf("resource manager: %w", err)
	}
	if c.resources, err = armresources.NewClient(o.Subscription, o.Credential, options); err != nil {
		return nil, fmt.Errorf("resource manager: %w", err)
	}
	if c.deployments, err = armdeployments.NewDeploymentsClient(o.Subscription, o.Credential, options); err != nil {
		return nil, fmt.Errorf("resource manager: %w", err)
	}
	if c.operations, err = armdeployments.NewDeploymentOperationsClient(o.Subscription, o.Credential, options); err != nil {
		return nil, fmt.Errorf("resource manager: %w", err)
	}
	return c, nil
}

// Spent is what was called so far.
func (c *Client) Spent() Spent { return c.patience.so() }

// ID is that of a resource of the group, of its type and name.
func (c *Client) ID(typ, name string) string { return c.Group + "/providers/" + typ + "/" + name }

// Short is what a resource is called in its group: TYPE/NAME.
func Short(id string) string {
	parts := strings.Split(strings.Trim(id, "/"), "/")
	return strings.Join(parts[max(0, len(parts)-2):], "/")
}

// answered is what the Resource Manager said of a call; nil: it said nothing.
func answered(err error) *azcore.ResponseError {
	var said *azcore.ResponseError
	if errors.As(err, &said) {
		return said
	}
	return nil
}

// missing reports whether there is no such resource.
func missing(err error) bool {
	said := answered(err)
	return said != nil && said.StatusCode == http.StatusNotFound
}

// wrong says what was attempted, and in one line what was answered: the SDK's own text has twenty.
func wrong(attempt string, err error) error {
	if err == nil {
		return nil
	}
	said := answered(err)
	if said == nil || said.RawResponse == nil {
		return fmt.Errorf("%s: %w", attempt, err)
	}
	return fmt.Errorf("%s: %w", attempt, &AnswerError{Status: said.StatusCode, Code: said.ErrorCode, Says: message(said.RawResponse)})
}

// AnswerError is an error that the Resource Manager answered, or that an operation ended with.
type AnswerError struct {
	Status     int
	Code, Says string
}

func (e *AnswerError) Error() string {
	if e.Status < http.StatusBadRequest { // of an operation that was answered for well and has failed
		return strings.TrimSuffix(e.Code+": "+e.Says, ": ")
	}
	return strings.TrimSuffix(fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Says), ": ")
}

// pause waits, or says why not.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
