// Command calls makes every call of the table with Azure's own Go SDK against a running twin, and prints what became of each as JSON.
// The clients are generated, the calls made by reflection: nothing in here knows any one of them. What they are given is in the bodies' file.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// ready is what the twin says of itself. Its clock must be a virtual one.
type ready struct{ Endpoint, Authority, Tenant, Subscription, Control, ControlToken string }

func main() {
	file := flag.String("ready-file", "", "the twin's ready file")
	table := flag.String("table", "", "operations.tsv")
	bodies := flag.String("bodies", "", "bodies.yaml")
	limit := flag.Duration("for", 5*time.Minute, "give up after")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), *limit)
	defer cancel()
	if err := run(ctx, *file, *table, *bodies); err != nil {
		fmt.Fprintln(os.Stderr, "calls:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, file, table, bodies string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var r ready
	if err := json.Unmarshal(raw, &r); err != nil {
		return err
	}
	operations, err := readTable(table)
	if err != nil {
		return err
	}
	w, err := readWorld(bodies, r.Subscription)
	if err != nil {
		return err
	}
	c, err := newCaller(r, w, operations)
	if err != nil {
		return err
	}
	var records []record
	for _, o := range w.order(operations) {
		if err := r.advance(ctx); err != nil {
			return err
		}
		records = append(records, c.call(ctx, o))
		if ctx.Err() != nil {
			return fmt.Errorf("at %s: %w", o.name(), ctx.Err())
		}
	}
	return json.NewEncoder(os.Stdout).Encode(records)
}

// credentials are a service principal's, as anyone's are; the SDK's retries are switched off so that it hides nothing.
func (r ready) credentials(seen *exchange) (azcore.TokenCredential, *arm.ClientOptions, error) {
	where := cloud.Configuration{
		ActiveDirectoryAuthorityHost: r.Authority + "/",
		Services:                     map[cloud.ServiceName]cloud.ServiceConfiguration{cloud.ResourceManager: {Endpoint: r.Endpoint, Audience: "https://management.azure.com/"}},
	}
	options := policy.ClientOptions{Cloud: where, Retry: policy.RetryOptions{MaxRetries: -1}}
	cred, err := azidentity.NewClientSecretCredential(r.Tenant, "11111111-1111-4111-8111-111111111111", "secret",
		&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
	options.PerRetryPolicies = []policy.Policy{seen}
	return cred, &arm.ClientOptions{ClientOptions: options}, err
}

// step is how far the clock goes before each call and each poll: budgets are full again and operations have ended.
const step = "1h"

// advance moves the twin's clock.
func (r ready) advance(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.Control+"/_twin/clock", bytes.NewReader([]byte(`{"advance":"`+step+`"}`)))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+r.ControlToken)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the twin's clock: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return errors.New("the twin's clock: " + resp.Status)
	}
	return nil
}
