package azure

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
)

// twin is one that runs as a process, as a user starts it.
type twin struct {
	azure.Ready
	dir string
	ca  []byte
}

// start runs `drydock arm serve` with a group and machines in it.
func start(machines int, args ...string) *twin {
	GinkgoHelper()
	t := &twin{dir: GinkgoT().TempDir()}
	state := azure.State{}
	add := func(body map[string]any) {
		raw, err := json.Marshal(body)
		Expect(err).NotTo(HaveOccurred())
		state.Resources = append(state.Resources, raw)
	}
	group := "/subscriptions/" + azure.DefaultSubscription + "/resourceGroups/g"
	add(map[string]any{"id": group, "name": "g", "location": "westeurope", "properties": map[string]any{"provisioningState": "Succeeded"}})
	for i := range machines {
		name := fmt.Sprintf("vm-%05d", i+1)
		add(map[string]any{
			"id": group + "/providers/Microsoft.Compute/virtualMachines/" + name, "name": name, "type": "Microsoft.Compute/virtualMachines", "location": "westeurope",
			"properties": map[string]any{"provisioningState": "Succeeded", "hardwareProfile": map[string]any{"vmSize": "Standard_D2s_v3"}},
		})
	}
	raw, err := json.Marshal(state)
	Expect(err).NotTo(HaveOccurred())
	Expect(os.WriteFile(t.file("state.json"), raw, 0o600)).To(Succeed())
	t.run("serve", append(args, "--state", t.file("state.json"))...)
	return t
}

// behind runs `drydock arm proxy` before a twin.
func behind(real *twin, args ...string) *twin {
	GinkgoHelper()
	t := &twin{dir: GinkgoT().TempDir()}
	t.run("proxy", append(args, "--to", real.Endpoint, "--to-ca", real.file("ca.pem"))...)
	return t
}

// run starts the program and waits for its ready file.
func (t *twin) run(what string, args ...string) {
	GinkgoHelper()
	cmd := exec.Command(suite.Host.Program, append([]string{"arm", what, "--ca-out", t.file("ca.pem"), "--ready-file", t.file("ready.json")}, args...)...) //nolint:noctx // ended by DeferCleanup
	cmd.Stdout, cmd.Stderr = GinkgoWriter, GinkgoWriter
	Expect(cmd.Start()).To(Succeed())
	DeferCleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		Expect(t.file("ready.json")).NotTo(BeAnExistingFile(), "the ready file of a twin that has ended")
	})
	Eventually(t.file).WithArguments("ready.json").WithTimeout(20*time.Second).WithPolling(20*time.Millisecond).Should(BeAnExistingFile(), "the ready file")
	raw, err := os.ReadFile(t.file("ready.json"))
	Expect(err).NotTo(HaveOccurred())
	Expect(json.Unmarshal(raw, &t.Ready)).To(Succeed())
	t.ca, err = os.ReadFile(t.file("ca.pem"))
	Expect(err).NotTo(HaveOccurred())
}

func (t *twin) file(name string) string { return filepath.Join(t.dir, name) }

// as is a client of the twin for a principal.
func (t *twin) as(ctx context.Context, principal string) *azure.Client {
	GinkgoHelper()
	c, err := azure.NewClient(ctx, t.Ready, t.ca, principal)
	Expect(err).NotTo(HaveOccurred())
	return c
}

// get reads a path below the subscription; nil: it was answered 200.
func get(ctx context.Context, c *azure.Client, path string) error {
	return c.Do(ctx, http.MethodGet, path, nil, nil)
}

// tooMany is a 429 of the gateway, or of a provider.
func tooMany(gateway bool) OmegaMatcher {
	return And(HaveField("Status", http.StatusTooManyRequests), HaveField("Gateway", gateway))
}

// control asks the twin's control listener.
func (t *twin) control(ctx context.Context, method, path string, body, into any) {
	GinkgoHelper()
	Expect(t.AskControl(ctx, method, path, body, into)).To(Succeed())
}

// calls is the call log of the Resource Manager: without what clients ask for their tokens, and the metadata service.
func (t *twin) calls(ctx context.Context) []arm.Call {
	GinkgoHelper()
	var log struct{ Calls []arm.Call }
	t.control(ctx, http.MethodGet, "calls", nil, &log)
	return slices.DeleteFunc(log.Calls, func(c arm.Call) bool {
		return strings.Contains(c.Operation, " identity/") || strings.Contains(c.Operation, " imds/")
	})
}

// outcome is what a subject says of itself.
type outcome struct {
	Seconds float64
	Error   string
	Status  int
	Items   int
	Pages   int
}

// drive runs the SDK's program on a case.
func (t *twin) drive(ctx context.Context, args ...string) (outcome, error) {
	cmd := exec.CommandContext(ctx, subjects["azcore"], append([]string{"--ready-file", t.file("ready.json"), "--vm", "vm-00001"}, args...)...)
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+t.file("ca.pem"))
	var out outcome
	raw, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("azcore: %w", err)
	}
	err = json.Unmarshal(raw, &out)
	return out, err
}
