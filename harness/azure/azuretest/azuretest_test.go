package azuretest_test

import (
	"net/http"
	"testing"

	"drydock.dev/drydock/harness/azure/azuretest"
)

func TestATwinIsHadInThreeLines(t *testing.T) {
	client := azuretest.New(t).Client("tool")
	if err := client.Do(t.Context(), http.MethodPut, "resourceGroups/g", map[string]any{"location": "westeurope"}, nil); err != nil {
		t.Fatal(err)
	}
}

// The SDK for Go finds a twin by its cloud configuration, and gets tokens from it as from Entra ID:
//
//	options := policy.ClientOptions{Transport: twin.HTTP(), Cloud: cloud.Configuration{
//		ActiveDirectoryAuthorityHost: twin.URL,
//		Services: map[cloud.ServiceName]cloud.ServiceConfiguration{cloud.ResourceManager: {Endpoint: twin.URL, Audience: twin.URL}},
//	}}
//	credential, err := azidentity.NewClientSecretCredential(twin.Tenant, "any", "any", &azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
//	disks, err := armcompute.NewDisksClient(twin.Subscription, credential, &arm.ClientOptions{ClientOptions: options})
func ExampleNew() {
	test := func(t *testing.T) {
		t.Helper()
		twin := azuretest.New(t)
		var group struct{ Location string }
		if err := twin.Client("tool").Do(t.Context(), http.MethodPut, "resourceGroups/g", map[string]any{"location": "westeurope"}, &group); err != nil {
			t.Fatal(err)
		}
		if calls, _ := twin.Calls().Since(0); calls[0].Operation != "CREATE resourceGroups" {
			t.Errorf("the call log says %+v", calls)
		}
	}
	_ = test // it is yours
}
