package proxy

import (
	"net/netip"
	"testing"
)

func TestTheProxyStandsBeforeTheNamesOfAzure(t *testing.T) {
	proxy, err := New(Options{})
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

func TestAddressesThatAnswerThisMachineAloneAreGuarded(t *testing.T) {
	for address, guarded := range map[string]bool{
		"169.254.1.1": true, "::ffff:169.254.169.254": true, "fe80::1%eth0": true, "64:ff9b::a9fe:a9fe": true, "fd00:ec2::254": true, "ff02::1": true, "::": true,
		"20.50.1.1": false, "10.0.0.1": false, "2603:1030::1": false,
	} {
		if guardedAddress(netip.MustParseAddr(address), true) != guarded {
			t.Errorf("%s: guarded is %v", address, !guarded)
		}
	}
	if guardedAddress(netip.MustParseAddr("127.0.0.1"), false) {
		t.Error("a reverse proxy cannot lead to the machine's own twin")
	}
}
