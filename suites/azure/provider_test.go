package azure

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"drydock.dev/drydock/harness/azure"
)

// furnish makes what a cluster's provider finds in its resource group: scale sets, a network, a security group, a disk.
func (t *twin) furnish(ctx context.Context, admin *azure.Client) {
	GinkgoHelper()
	for typ, retryAfter := range map[string]string{
		"Microsoft.Compute/virtualMachineScaleSets": "-1s", "Microsoft.Compute/virtualMachineScaleSets/virtualMachines": "1s", "Microsoft.Network/loadBalancers": "1s",
		"Microsoft.Network/publicIPAddresses": "1s", "Microsoft.Network/networkSecurityGroups": "1s", "Microsoft.Network/virtualNetworks": "-1s", "Microsoft.Compute/disks": "-1s",
	} {
		t.control(ctx, http.MethodPost, "operations", map[string]any{"type": typ, "lasts": "10ms", "retryAfter": retryAfter}, nil)
	}
	type m = map[string]any
	profile := func(prefix string) m {
		ip := m{"name": "ipconfig", "properties": m{"primary": true}}
		return m{"osProfile": m{"computerNamePrefix": prefix}, "networkProfile": m{"networkInterfaceConfigurations": []any{m{"name": "nic", "properties": m{"primary": true, "ipConfigurations": []any{ip}}}}}}
	}
	for path, body := range map[string]m{
		"Microsoft.Compute/virtualMachineScaleSets/vmss-000": {"location": "westeurope", "sku": m{"name": "Standard_D2s_v3", "capacity": 2}, "properties": m{"virtualMachineProfile": profile("vmss-000")}},
		"Microsoft.Network/networkSecurityGroups/nsg":        {"location": "westeurope", "properties": m{}},
		"Microsoft.Network/virtualNetworks/net":              {"location": "westeurope", "properties": m{"subnets": []any{m{"name": "default", "properties": m{"addressPrefix": "10.0.0.0/8"}}}}},
		"Microsoft.Compute/disks/data":                       {"location": "westeurope", "properties": m{"creationData": m{"createOption": "Empty"}, "diskSizeGB": 4}},
	} {
		Expect(admin.Do(ctx, http.MethodPut, "resourceGroups/g/providers/"+path, body, nil)).To(Succeed(), path)
	}
}

var _ = DescribeTable("a real cloud provider attaches a disk and reconciles a load balancer", Label("tier: full", "needs: subjects"),
	func(ctx context.Context, subject string) {
		program, err := suite.Host.Subjects().Build(ctx, subject)
		Expect(err).NotTo(HaveOccurred())
		t := start(0)
		admin := t.as(ctx, "admin")
		t.furnish(ctx, admin)
		cmd := exec.CommandContext(ctx, program, "--ready-file", t.file("ready.json"), "--tenant", "adfs")
		cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+t.file("ca.pem"))
		cmd.Stdin = strings.NewReader("node vmss-000000001\ndisk vmss-000000000 data\nbalance 000000000001 vmss-000000000 vmss-000000001\nnode nobody\n")
		cmd.Stderr = GinkgoWriter
		out, err := cmd.Output()
		Expect(err).NotTo(HaveOccurred())
		var failures []string
		for line := range strings.Lines(string(out)) {
			var a struct{ Command, Error string }
			Expect(json.Unmarshal([]byte(line), &a)).To(Succeed())
			if a.Error != "" {
				failures = append(failures, a.Command)
			}
		}
		Expect(failures).To(HaveExactElements("node nobody"), "%s", out)

		var disk struct{ ManagedBy string }
		Expect(admin.Do(ctx, http.MethodGet, "resourceGroups/g/providers/Microsoft.Compute/disks/data", nil, &disk)).To(Succeed())
		Expect(disk.ManagedBy).To(HaveSuffix("/virtualMachineScaleSets/vmss-000/virtualMachines/0"))
		var balancer struct {
			Properties struct{ LoadBalancingRules, FrontendIPConfigurations []json.RawMessage }
		}
		Expect(admin.Do(ctx, http.MethodGet, "resourceGroups/g/providers/Microsoft.Network/loadBalancers/kubernetes", nil, &balancer)).To(Succeed())
		Expect(balancer.Properties.LoadBalancingRules).NotTo(BeEmpty())
		Expect(balancer.Properties.FrontendIPConfigurations).NotTo(BeEmpty())
		var group struct {
			Properties struct{ SecurityRules []json.RawMessage }
		}
		Expect(admin.Do(ctx, http.MethodGet, "resourceGroups/g/providers/Microsoft.Network/networkSecurityGroups/nsg", nil, &group)).To(Succeed())
		Expect(group.Properties.SecurityRules).NotTo(BeEmpty())
	},
	Entry(nil, "legacy-v0.17.4", NodeTimeout(20*time.Minute)),
	Entry(nil, "legacy-v0.18.2", NodeTimeout(20*time.Minute)),
	Entry(nil, "cloud-provider-azure", NodeTimeout(20*time.Minute)),
)
