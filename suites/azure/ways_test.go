package azure

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/subject"
)

// plainly is the SDK as a client of the public cloud: it is told of no endpoint.
func (t *twin) plainly() []string {
	return []string{subjects["azcore"], "--public", "--ready-file", t.file("ready.json"), "--vm", "vm-00001", "list"}
}

// said runs a program and gives what it says on its standard output.
func said(ctx context.Context, env []string, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = GinkgoWriter
	raw, err := cmd.Output()
	return string(raw), err
}

// inside is a command that runs in the twin's surroundings.
func (t *twin) inside(argv ...string) []string {
	return append([]string{suite.Host.Program, "arm", "exec", "--ready-file", t.file("ready.json"), "--"}, argv...)
}

// azRows are commands of az's tutorials, in this order, after the group tutorial, its network v and its subnet s are there. Some are sent as templates that az
// makes: what those take for granted is looked at as well.
func azRows() []string {
	return []string{
		"account list-locations",
		"provider register -n Microsoft.Compute",
		"provider show -n Microsoft.Network",
		"vm list-sizes -l westeurope",
		"vm list-usage -l westeurope",
		"vm list-skus -l westeurope",
		"disk create -g tutorial -n d --size-gb 8",
		"disk grant-access -g tutorial -n d --duration-in-seconds 60",
		"disk revoke-access -g tutorial -n d",
		"storage account create -g tutorial -n drydocktutorial --sku Standard_LRS",
		"storage account keys list -g tutorial -n drydocktutorial",
		"network lb create -g tutorial -n lb --backend-pool-name p",
		"network vnet create -g tutorial -n w --address-prefix 10.1.0.0/16",
		"network vnet peering create -g tutorial -n vw --vnet-name v --remote-vnet w --allow-vnet-access",
		"vm create -g tutorial -n whole --image Canonical:UbuntuServer:18.04-LTS:latest --admin-username me --generate-ssh-keys",
		"vm disk attach -g tutorial --vm-name whole --name d",
		"vm open-port -g tutorial -n whole --port 80",
		"vm run-command invoke -g tutorial -n whole --command-id RunShellScript --scripts hostname",
		"vm resize -g tutorial -n whole --size Standard_D2s_v3",
		"vm list -g tutorial -d",
		"vmss create -g tutorial -n ss --image Canonical:UbuntuServer:18.04-LTS:latest --admin-username me --generate-ssh-keys --instance-count 2",
		"vmss scale -g tutorial -n ss --new-capacity 3",
		"vmss nic list -g tutorial --vmss-name ss",
		"resource list -g tutorial",
	}
}

var _ = Describe("an unmodified client of the public cloud", Label("needs: arm"), func() {
	everything := MatchJSON(`{"items": 3, "pages": 1}`)
	items := func(raw string) string { // its time is another every time
		var o outcome
		Expect(json.Unmarshal([]byte(raw), &o)).To(Succeed(), raw)
		Expect(o.Error).To(BeEmpty())
		return fmt.Sprintf(`{"items": %d, "pages": %d}`, o.Items, o.Pages)
	}

	It("of the SDK for Go finds the twin by what `drydock arm serve` prints", Label("tier: quick"), func(ctx context.Context) {
		build(ctx)
		t := start(3)
		Expect(said(ctx, t.Environment(), t.plainly()...)).To(WithTransform(items, everything))
		Expect(t.calls(ctx)).To(HaveEach(And(HaveField("Operation", "LIST Microsoft.Compute/virtualMachines"), HaveField("Principal", Not(BeEmpty())))))
	}, NodeTimeout(5*time.Minute))

	It("finds it in `drydock arm exec`, which no proxy is needed for, and nothing else", Label("tier: quick"), func(ctx context.Context) {
		build(ctx)
		t := start(3)
		Expect(said(ctx, nil, t.inside(t.plainly()...)...)).To(WithTransform(items, everything))
		other := start(1)
		outside := []string{subjects["azcore"], "--ready-file", other.file("ready.json"), "get"} // by the address it listens on
		raw, err := said(ctx, []string{"SSL_CERT_FILE=" + other.file("ca.pem")}, t.inside(outside...)...)
		Expect(err).NotTo(HaveOccurred())
		Expect(raw).To(ContainSubstring("connection refused"))
		Expect(other.calls(ctx)).To(BeEmpty())
	}, NodeTimeout(5*time.Minute))

	It("called az, of Debian, does what its tutorials do, and meets capacity faults in words it prints", Label("tier: full"), func(ctx context.Context) {
		program, err := subject.Az(subject.AzDir(suite.Host.CacheDir))
		if err != nil {
			Skip(err.Error())
		}
		timings := filepath.Join(GinkgoT().TempDir(), "timings.yaml")
		Expect(os.WriteFile(timings, moments(), 0o600)).To(Succeed())
		t := start(0, "--timings", timings)
		home := GinkgoT().TempDir()
		env := append(t.Environment(), "HOME="+home, "AZURE_CONFIG_DIR="+filepath.Join(home, ".azure"), "AZURE_CORE_COLLECT_TELEMETRY=no", "AZURE_CORE_ONLY_SHOW_ERRORS=1")
		az := func(args ...string) (map[string]any, error) {
			cmd := exec.CommandContext(ctx, program, append(args, "--output", "json")...)
			cmd.Env = append(os.Environ(), env...)
			raw, err := cmd.CombinedOutput()
			GinkgoWriter.Printf("$ az %v\n%s\n", args, raw)
			if err != nil {
				return nil, fmt.Errorf("az %v: %w: %s", args, err, raw)
			}
			var body map[string]any
			_ = json.Unmarshal(raw, &body) // a list, or nothing, is read by nobody
			return body, nil
		}
		must := func(args ...string) map[string]any {
			GinkgoHelper()
			body, err := az(args...)
			Expect(err).NotTo(HaveOccurred())
			return body
		}
		const me = "11111111-1111-4111-8111-111111111111"
		must("login", "--service-principal", "-u", me, "-p", "any", "--tenant", t.Tenant)
		// Debian's az wants versions for its latest profile that Debian's SDK has not; this one, of Azure Stack, is whole.
		must("cloud", "set", "--name", "AzureCloud", "--profile", "2020-09-01-hybrid")
		Expect(must("account", "show")).To(HaveKeyWithValue("id", t.Subscription))
		must("group", "create", "--name", "tutorial", "--location", "westeurope")
		must("network", "vnet", "create", "-g", "tutorial", "-n", "v", "--address-prefix", "10.0.0.0/16", "--subnet-name", "s", "--subnet-prefix", "10.0.0.0/24")
		must("network", "nic", "create", "-g", "tutorial", "-n", "nic", "--vnet-name", "v", "--subnet", "s")
		machine := []string{"vm", "create", "-g", "tutorial", "-n", "m", "--nics", "nic", "--image", "Canonical:UbuntuServer:18.04-LTS:latest", "--admin-username", "me", "--generate-ssh-keys"}
		t.control(ctx, http.MethodPost, "faults", map[string]any{"kind": "skuNotAvailable", "location": "westeurope"}, nil)
		_, err = az(machine...)
		Expect(err).To(MatchError(ContainSubstring("Following SKUs have failed for Capacity Restrictions: Standard_DS1_v2")))
		t.control(ctx, http.MethodDelete, "faults", nil, nil)
		must(machine...)
		Expect(must("vm", "show", "-g", "tutorial", "-n", "m")).To(HaveKeyWithValue("provisioningState", arm.Succeeded))
		must("vm", "delete", "-g", "tutorial", "-n", "m", "--yes")
		for _, row := range azRows() {
			must(strings.Fields(row)...)
		}
		must("lock", "create", "-g", "tutorial", "-n", "keep", "--lock-type", "CanNotDelete")
		_, err = az("group", "delete", "-n", "tutorial", "--yes")
		Expect(err).To(MatchError(ContainSubstring("ScopeLocked")))
		must("lock", "delete", "-g", "tutorial", "-n", "keep")
		must("group", "delete", "-n", "tutorial", "--yes")
		Expect(t.calls(ctx)).NotTo(ContainElement(HaveField("Status", http.StatusNotImplemented)))
		Expect(t.calls(ctx)).To(ContainElement(And(HaveField("Operation", "DELETE Microsoft.Compute/virtualMachines"), HaveField("Principal", me))))
	}, NodeTimeout(45*time.Minute))
})
