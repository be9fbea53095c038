// Command azcore drives a twin with the unmodified SDK, one case a run, and prints what the SDK made of it as JSON.
// It is a program of its own so that the SDK is never linked into Drydock.
package main

import (
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
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v7"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v7"
)

type ready struct{ Endpoint, Authority, Tenant, Subscription, Control, ControlToken string }

// result is what the SDK made of the case.
type result struct {
	Seconds float64 `json:"seconds"`
	Error   string  `json:"error,omitempty"` // the code of the service's error, or what went wrong else
	Status  int     `json:"status,omitempty"`
	Items   int     `json:"items,omitempty"`
	Pages   int     `json:"pages,omitempty"`
}

func main() {
	file := flag.String("ready-file", "", "the twin's ready file")
	group := flag.String("group", "g", "resource group")
	name := flag.String("vm", "vm-1", "virtual machine")
	limit := flag.Duration("for", time.Minute, "give up after")
	frequency := flag.Duration("frequency", time.Second, "of polls that nothing is told of; 0: the SDK's own")
	virtual := flag.Bool("virtual", false, "wait by the twin's clock, which is put forward, and not by the wall's")
	public := flag.Bool("public", false, "be a client of the public cloud, of which nothing is said: the ready file tells tenant and subscription")
	flag.Parse()
	if err := run(*file, *group, *name, *limit, *frequency, *virtual, *public, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(file, group, name string, limit, frequency time.Duration, virtual, public bool, what string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var r ready
	if err := json.Unmarshal(raw, &r); err != nil {
		return err
	}
	where := cloud.Configuration{
		ActiveDirectoryAuthorityHost: r.Authority + "/",
		Services:                     map[cloud.ServiceName]cloud.ServiceConfiguration{cloud.ResourceManager: {Endpoint: r.Endpoint, Audience: "https://management.azure.com/"}},
	}
	if public {
		where = cloud.Configuration{}
	}
	options := &arm.ClientOptions{ClientOptions: policy.ClientOptions{Cloud: where}}
	if virtual {
		options.Transport = &virtually{ready: r, frequency: frequency}
	}
	cred, err := azidentity.NewClientSecretCredential(r.Tenant, "11111111-1111-4111-8111-111111111111", "secret", &azidentity.ClientSecretCredentialOptions{
		ClientOptions: policy.ClientOptions{Cloud: where}, DisableInstanceDiscovery: !public,
	})
	if err != nil {
		return err
	}
	vms, err := armcompute.NewVirtualMachinesClient(r.Subscription, cred, options)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	out := result{}
	begun := time.Now()
	switch what {
	case "get":
		_, err = vms.Get(ctx, group, name, nil)
	case "list":
		pager := vms.NewListAllPager(nil)
		for pager.More() && err == nil {
			var page armcompute.VirtualMachinesClientListAllResponse
			if page, err = pager.NextPage(ctx); err == nil {
				out.Items += len(page.Value)
				out.Pages++
			}
		}
	case "delete":
		var poller *runtime.Poller[armcompute.VirtualMachinesClientDeleteResponse]
		if poller, err = vms.BeginDelete(ctx, group, name, nil); err == nil {
			_, err = poller.PollUntilDone(ctx, &runtime.PollUntilDoneOptions{Frequency: frequency})
		}
	case "address":
		err = address(ctx, r.Subscription, group, cred, options, frequency)
	case "walk":
		err = walk(ctx, vms, group, name)
	default:
		return fmt.Errorf("case %q; known: get, list, delete, address, walk", what)
	}
	out.Seconds = time.Since(begun).Seconds()
	var answer *azcore.ResponseError
	switch {
	case errors.As(err, &answer):
		out.Error, out.Status = answer.ErrorCode, answer.StatusCode
	case errors.Is(err, context.DeadlineExceeded):
		out.Error, out.Status = "deadline", http.StatusRequestTimeout
	case err != nil:
		out.Error = err.Error()
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

// address makes a public IP address, reads it, changes it with its etag and deletes it.
func address(ctx context.Context, subscription, group string, cred azcore.TokenCredential, o *arm.ClientOptions, frequency time.Duration) error {
	c, err := armnetwork.NewPublicIPAddressesClient(subscription, cred, o)
	if err != nil {
		return err
	}
	const name = "address"
	every := &runtime.PollUntilDoneOptions{Frequency: frequency}
	made, err := c.BeginCreateOrUpdate(ctx, group, name, armnetwork.PublicIPAddress{Location: to.Ptr("westeurope")}, nil)
	if err != nil {
		return err
	}
	if _, err := made.PollUntilDone(ctx, every); err != nil {
		return err
	}
	got, err := c.Get(ctx, group, name, nil)
	if err != nil {
		return err
	}
	if got.Properties == nil || got.Properties.IPAddress == nil || got.Etag == nil || *got.Properties.ProvisioningState != armnetwork.ProvisioningStateSucceeded {
		return errors.New("the address lacks its properties")
	}
	if _, err := c.UpdateTags(ctx, group, name, armnetwork.TagsObject{Tags: map[string]*string{"a": to.Ptr("b")}}, nil); err != nil {
		return err
	}
	gone, err := c.BeginDelete(ctx, group, name, nil)
	if err != nil {
		return err
	}
	_, err = gone.PollUntilDone(ctx, every)
	return err
}
