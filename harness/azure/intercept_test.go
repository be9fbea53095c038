package azure

import "testing"

func TestTheProxyStandsBeforeTheNamesOfAzure(t *testing.T) {
	proxy, err := NewProxy(ProxyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{
		"management.azure.com": true, "management.azure.com:443": true, "Management.Azure.com.": true, "westeurope.management.azure.com": true, "login.microsoftonline.com:443": true, "169.254.169.254": true,
		"azure.com": false, "management.azure.com.evil.example": false, "xmanagement.azure.com": false, "api.github.com:443": false, "[::1]:443": false,
	} {
		if proxy.intercepts(host) != want {
			t.Errorf("%s: intercepted is %v", host, !want)
		}
	}
}
