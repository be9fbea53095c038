package manager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/azuretest"
)

const (
	deleteVM   = "DELETE " + VirtualMachines
	deployment = "Microsoft.Resources/deployments"
)

// token is a credential of the twin's.
type token struct {
	twin      *azuretest.Direct
	principal string
}

func (c token) GetToken(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken, error) {
	t, err := c.twin.Token(ctx, c.principal)
	return azcore.AccessToken{Token: t, ExpiresOn: time.Now().Add(time.Hour)}, err
}

// within gives a test a twin with one machine, and a client of it, in a bubble: an hour takes no time, and nobody's clock but the bubble's is asked.
func within(t *testing.T, do func(t *testing.T, twin *azuretest.Direct, c *Client)) {
	t.Helper()
	withOptions(t, azure.Options{}, do)
}

func withOptions(t *testing.T, o azure.Options, do func(t *testing.T, twin *azuretest.Direct, c *Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		twin := azuretest.NewDirect(t, o)
		c := clientOf(t, twin, twin)
		group(t, twin)
		if err := c.Deploy(t.Context(), "first", template(t), nil); err != nil {
			t.Fatal(err)
		}
		twin.Calls().Reset()
		c.patience.spent = Spent{}
		do(t, twin, c)
	})
}

func clientOf(t *testing.T, twin *azuretest.Direct, transport policy.Transporter) *Client {
	t.Helper()
	c, err := New(Options{Endpoint: twin.URL, Authority: "https://login.microsoftonline.com", Subscription: twin.Subscription, Group: "g", Credential: token{twin, "drydock"}, Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func group(t *testing.T, twin *azuretest.Direct) {
	t.Helper()
	bearer, err := twin.Token(t.Context(), "somebody")
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, twin.URL+"/subscriptions/"+twin.Subscription+"/resourceGroups/g?api-version=2021-04-01", strings.NewReader(`{"location":"westeurope"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	req.Header.Set("Content-Type", "application/json")
	resp, err := twin.Do(req)
	if err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatal(resp, err)
	}
}

// template makes a network and a machine in it.
func template(t *testing.T) any {
	t.Helper()
	var out any
	err := json.Unmarshal([]byte(`{"$schema":"https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#","contentVersion":"1.0.0.0","resources":[
{"apiVersion":"2024-05-01","type":"Microsoft.Network/virtualNetworks","name":"net","location":"westeurope","properties":{"addressSpace":{"addressPrefixes":["10.0.0.0/8"]},"subnets":[{"name":"machines","properties":{"addressPrefix":"10.1.0.0/16"}}]}},
{"apiVersion":"2024-05-01","type":"Microsoft.Network/networkInterfaces","name":"vm-nic","location":"westeurope","dependsOn":["Microsoft.Network/virtualNetworks/net"],
 "properties":{"ipConfigurations":[{"name":"a","properties":{"primary":true,"privateIPAllocationMethod":"Static","privateIPAddress":"10.1.0.4","subnet":{"id":"[resourceId('Microsoft.Network/virtualNetworks/subnets','net','machines')]"}}}]}},
{"apiVersion":"2024-07-01","type":"Microsoft.Compute/virtualMachines","name":"vm","location":"westeurope","dependsOn":["Microsoft.Network/networkInterfaces/vm-nic"],"tags":{"orchestrator":"Kubernetes:1.35.4"},
 "properties":{"hardwareProfile":{"vmSize":"Standard_D2s_v3"},"osProfile":{"computerName":"vm","adminUsername":"a","linuxConfiguration":{"disablePasswordAuthentication":true}},
  "storageProfile":{"osDisk":{"createOption":"FromImage"}},"networkProfile":{"networkInterfaces":[{"id":"[resourceId('Microsoft.Network/networkInterfaces','vm-nic')]"}]}}}]}`), &out)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// calls lists what the twin was called for: OPERATION STATUS, polls marked.
func calls(twin *azuretest.Direct) []string {
	all, _ := twin.Calls().Since(0)
	var out []string
	for _, c := range all {
		if c.Principal != "drydock" || c.Beside() {
			continue
		}
		says := fmt.Sprintf("%s %d", c.Operation, c.Status)
		if c.Poll {
			says = "poll: " + says
		}
		out = append(out, says)
	}
	return out
}

func breakIt(t *testing.T, twin *azuretest.Direct, f azure.Fault) {
	t.Helper()
	if _, err := twin.Arm(f); err != nil {
		t.Fatal(err)
	}
}

func TestAMachineGoesPieceByPiece(t *testing.T) {
	within(t, func(t *testing.T, _ *azuretest.Direct, c *Client) {
		t.Helper()
		v, err := c.VM(t.Context(), "vm")
		if err != nil || v == nil || v.Properties.State != Succeeded || v.Tags["orchestrator"] != "Kubernetes:1.35.4" || v.OSDisk() == "" || len(v.Interfaces()) != 1 || strings.TrimSpace(v.Made()) == "" {
			t.Fatalf("%+v: %v", v, err)
		}
		n, err := c.Interface(t.Context(), v.Interfaces()[0])
		if err != nil || n.Properties.IPConfigurations[0].Properties.PrivateIPAddress != "10.1.0.4" || n.Properties.IPConfigurations[0].Properties.Subnet.ID == "" {
			t.Fatalf("%+v: %v", n, err)
		}
		if err := c.Delete(t.Context(), v.Interfaces()[0]); err == nil || !strings.Contains(err.Error(), "delete networkInterfaces/vm-nic: ") {
			t.Errorf("an interface in use: %v", err)
		}
		for _, id := range []string{v.ID, v.Interfaces()[0], v.OSDisk(), v.ID} {
			if err := c.Delete(t.Context(), id); err != nil {
				t.Error(err)
			}
		}
		if v, err := c.VM(t.Context(), "vm"); v != nil || err != nil {
			t.Errorf("%+v: %v", v, err)
		}
	})
}

// TestThrottledCallsAreWaitedFor: each cell is one that azcore gives up on, or hammers in.
func TestThrottledCallsAreWaitedFor(t *testing.T) {
	window := func(f azure.Fault) azure.Fault { f.Kind = azure.FaultThrottle; return f }
	for name, f := range map[string]azure.Fault{
		"a start, told to wait longer than azcore ever does": window(azure.Fault{Operations: []string{deleteVM}, RetryAfter: 1200, Count: 1}),
		"a start, told nothing":                              window(azure.Fault{Operations: []string{deleteVM}, RetryAfter: azure.NoRetryAfter, For: 2 * time.Minute}),
		"polls for longer than AKS Engine endures":           window(azure.Fault{Polls: true, RetryAfter: 10, For: 4 * time.Minute}),
		"polls, told to wait longer than azcore ever does":   window(azure.Fault{Polls: true, RetryAfter: 300, Count: 1}),
		"reads alone":  window(azure.Fault{OperationGroup: "gateway/reads", RetryAfter: 15, For: 5 * time.Minute}),
		"writes alone": window(azure.Fault{OperationGroup: "gateway/writes", RetryAfter: 15, For: 5 * time.Minute}),
		"everything":   window(azure.Fault{RetryAfter: 5, For: 3 * time.Minute}),
		"everything, and nobody says for how long":    window(azure.Fault{RetryAfter: azure.NoRetryAfter, For: 3 * time.Minute}),
		"no throttling, but connections that are cut": {Kind: azure.FaultReset, Count: 3},
		"no throttling, but an outage":                {Kind: azure.FaultError, For: time.Minute},
		"the deployment's start":                      window(azure.Fault{Operations: []string{"CREATE " + deployment}, RetryAfter: 90, Count: 1}),
	} {
		t.Run(name, func(t *testing.T) {
			within(t, func(t *testing.T, twin *azuretest.Direct, c *Client) {
				t.Helper()
				breakIt(t, twin, f)
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
				defer cancel()
				for range 3 { // as many calls as an upgrade makes
					if err := c.Delete(ctx, c.ID(VirtualMachines, "vm")); err != nil {
						t.Fatal(err)
					}
					if err := c.Deploy(ctx, "again", template(t), nil); err != nil {
						t.Fatal(err)
					}
				}
				if got, spent := calls(twin), c.Spent(); spent.Refused == 0 || len(got) != spent.Sent || spent.Refused > 7 {
					t.Errorf("%s, and the twin was called %d times: %s", spent, len(got), strings.Join(got, "\n"))
				}
			})
		})
	}
}

func TestAHostileManagerIsNotProvoked(t *testing.T) {
	withOptions(t, azure.Options{Hostile: true}, func(t *testing.T, twin *azuretest.Direct, c *Client) {
		t.Helper()
		breakIt(t, twin, azure.Fault{Kind: azure.FaultLoad, Operations: []string{"GET " + VirtualMachines}, PerMinute: 60_000, Clusters: 20, Location: azure.DefaultRegion, For: 5 * time.Minute})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		for range 40 {
			if _, err := c.VM(ctx, "vm"); err != nil {
				t.Fatal(err)
			}
			if err := pause(ctx, 10*time.Second); err != nil {
				t.Fatal(err)
			}
		}
		if spent := c.Spent(); spent.Refused == 0 || spent.Amplification() > 1.1 {
			t.Errorf("%s", spent)
		}
	})
}

func TestItStopsBeforeTheBudgetIsGone(t *testing.T) {
	within(t, func(t *testing.T, twin *azuretest.Direct, c *Client) {
		t.Helper()
		breakIt(t, twin, azure.Fault{Kind: azure.FaultThrottle, RetryAfter: 1})
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		err := c.Delete(ctx, c.ID(VirtualMachines, "vm"))
		var stopped *StoppedError
		if !errors.As(err, &stopped) || stopped.Spent.Refused != reserve+1 || len(calls(twin)) != reserve+1 || !strings.Contains(err.Error(), "What to do") {
			t.Errorf("%v: %s", err, strings.Join(calls(twin), "\n"))
		}
		if took := time.Since(begun); took < 10*time.Minute {
			t.Errorf("it hammers: %d calls in %s", reserve+1, took)
		}
	})
}

func TestNobodySleepsPastTheDeadlineOfAStep(t *testing.T) {
	within(t, func(t *testing.T, twin *azuretest.Direct, c *Client) {
		t.Helper()
		breakIt(t, twin, azure.Fault{Kind: azure.FaultThrottle, RetryAfter: 1200})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		begun := time.Now()
		err := c.Delete(ctx, c.ID(VirtualMachines, "vm"))
		var stopped *StoppedError
		if !errors.As(err, &stopped) || stopped.Wait < 1200*time.Second || time.Since(begun) > time.Second || !strings.Contains(err.Error(), "wait for 20m1s at least") {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
	})
}

func TestAFailedDeploymentSaysWhatOfItFailed(t *testing.T) {
	within(t, func(t *testing.T, twin *azuretest.Direct, c *Client) {
		t.Helper()
		if err := c.Delete(t.Context(), c.ID(VirtualMachines, "vm")); err != nil {
			t.Fatal(err)
		}
		breakIt(t, twin, azure.Fault{Kind: azure.FaultFail, Operations: []string{"CREATE " + VirtualMachines}, Code: "OSProvisioningTimedOut", Message: "it does not boot", Count: 1})
		err := c.Deploy(t.Context(), "again", template(t), nil)
		if !DeploymentFailed(err) || !strings.Contains(err.Error(), "virtualMachines/vm: ") || !strings.Contains(err.Error(), "it does not boot") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v", err)
		}
		if there, err := c.AwaitDeployment(t.Context(), "again"); !there || !DeploymentFailed(err) || !strings.Contains(err.Error(), "it does not boot") {
			t.Errorf("seen again: %t %v", there, err)
		}
		if there, err := c.AwaitDeployment(t.Context(), "none"); there || err != nil {
			t.Errorf("none: %t %v", there, err)
		}
		var broken any
		_ = json.Unmarshal([]byte(`{"$schema":"x","resources":[{"type":"Microsoft.Compute/virtualMachines"}]}`), &broken)
		if err := c.Deploy(t.Context(), "broken", broken, nil); err == nil || DeploymentFailed(err) || strings.Contains(err.Error(), "\n") {
			t.Errorf("what is no template: %v", err)
		}
	})
}

// TestADeploymentThatRunsIsNotBegunAgain: a process that died after its PUT is followed by one that waits.
func TestADeploymentThatRunsIsNotBegunAgain(t *testing.T) {
	within(t, func(t *testing.T, twin *azuretest.Direct, c *Client) {
		t.Helper()
		if err := c.Delete(t.Context(), c.ID(VirtualMachines, "vm")); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		if err := c.Deploy(ctx, "again", template(t), nil); err == nil || DeploymentFailed(err) {
			t.Fatalf("it was to die: %v", err)
		}
		twin.Calls().Reset()
		if err := c.Deploy(t.Context(), "again", template(t), nil); err != nil {
			t.Error(err)
		}
		got := calls(twin)
		if got[0] != "UPDATE "+deployment+" 409" || slices.ContainsFunc(got[1:], func(s string) bool { return !strings.HasPrefix(s, "GET") }) {
			t.Errorf("%s", strings.Join(got, "\n"))
		}
	})
}

// deaf loses the answer to the first call of a method: the twin has done what it was told to.
type deaf struct {
	*azuretest.Direct
	method string
	lost   bool
}

func (d *deaf) Do(req *http.Request) (*http.Response, error) {
	resp, err := d.Direct.Do(req)
	if err == nil && !d.lost && req.Method == d.method {
		d.lost = true
		return nil, io.ErrUnexpectedEOF
	}
	return resp, err
}

// TestAnAnswerThatIsLost: a call that has begun something is made again without beginning it twice.
func TestAnAnswerThatIsLost(t *testing.T) {
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodGet} {
		within(t, func(t *testing.T, twin *azuretest.Direct, _ *Client) {
			t.Helper()
			c := clientOf(t, twin, &deaf{Direct: twin, method: method})
			if err := c.Delete(t.Context(), c.ID(VirtualMachines, "vm")); err != nil {
				t.Errorf("%s: %v", method, err)
			}
			if err := c.Deploy(t.Context(), "again", template(t), nil); err != nil {
				t.Errorf("%s: %v", method, err)
			}
			if v, err := c.VM(t.Context(), "vm"); err != nil || v == nil || v.Properties.State != Succeeded || c.Spent().Refused != 1 {
				t.Errorf("%s: %+v %v, %s", method, v, err, c.Spent())
			}
		})
	}
}
