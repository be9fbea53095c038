package azure

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/subject"
)

// moments are timings by which every operation lasts a moment: what a client does then is looked at, and not how it waits.
func moments() []byte {
	const moment = "{form: both, at: operations, retryAfter: {write: 1s, delete: 1s, poll: 1s}, create: {min: 100ms, max: 100ms}, update: {min: 100ms, max: 100ms}, delete: {min: 100ms, max: 100ms}, action: {min: 100ms, max: 100ms}}\n"
	out := "default: " + moment + "types:\n"
	for _, typ := range []string{
		"Microsoft.Compute/virtualMachines", "Microsoft.Compute/virtualMachines/extensions", "Microsoft.Compute/virtualMachineScaleSets", "Microsoft.Compute/virtualMachineScaleSets/virtualMachines",
		"Microsoft.Network/virtualNetworks", "Microsoft.Network/networkInterfaces", "Microsoft.Network/publicIPAddresses", "Microsoft.Network/loadBalancers",
	} {
		out += "  " + typ + ": " + moment
	}
	return []byte(out)
}

// tofu is OpenTofu with a configuration of testdata/tofu, in surroundings where there is no cloud but a twin.
type tofu struct {
	*twin
	program, dir string
}

// errChanges is the end of a plan that would change something.
var errChanges = errors.New("the plan has changes")

func (o *tofu) run(ctx context.Context, args ...string) (string, error) {
	home := filepath.Join(o.twin.dir, "home")
	argv := o.inside(append([]string{o.program, "-chdir=" + o.dir}, args...)...)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "HOME="+home, "TF_IN_AUTOMATION=1", "ARM_CLIENT_ID=tofu", "ARM_CLIENT_SECRET=any", "ARM_TENANT_ID="+o.Tenant, "ARM_SUBSCRIPTION_ID="+o.Subscription)
	raw, err := cmd.CombinedOutput()
	GinkgoWriter.Printf("$ tofu %v\n%s\n", args, raw)
	var ended *exec.ExitError
	if errors.As(err, &ended) && ended.ExitCode() == 2 && args[0] == "plan" {
		return string(raw), errChanges
	}
	if err != nil {
		return "", fmt.Errorf("tofu %v: %w: %s", args, err, raw)
	}
	return string(raw), nil
}

// terraform starts a twin with nothing in it, and OpenTofu for a directory.
func terraform(dir string) *tofu {
	GinkgoHelper()
	program, err := subject.Tofu(subject.TofuDir(suite.Host.CacheDir))
	if err != nil {
		Skip(err.Error())
	}
	timings := filepath.Join(GinkgoT().TempDir(), "timings.yaml")
	Expect(os.WriteFile(timings, moments(), 0o600)).To(Succeed())
	return &tofu{twin: start(0, "--timings", timings), program: program, dir: dir}
}

// apply makes what is written, and plans again: nothing is to be changed then.
func (o *tofu) apply(ctx context.Context, complete string) {
	GinkgoHelper()
	_, err := o.run(ctx, "plan", "-input=false", "-no-color", "-detailed-exitcode")
	Expect(err).To(MatchError(errChanges))
	Expect(o.run(ctx, "apply", "-input=false", "-no-color", "-auto-approve")).To(ContainSubstring(complete))
	Expect(o.run(ctx, "plan", "-input=false", "-no-color", "-detailed-exitcode")).To(ContainSubstring("No changes."))
}

// destroy takes all of it away, and looks at what the twin had to refuse meanwhile.
func (o *tofu) destroy(ctx context.Context) {
	GinkgoHelper()
	Expect(o.run(ctx, "destroy", "-input=false", "-no-color", "-auto-approve")).To(ContainSubstring("Destroy complete!"))
	var left azure.State
	o.control(ctx, http.MethodGet, "state", nil, &left)
	Expect(left.Resources).To(ConsistOf(ContainSubstring(`/resourceGroups/g"`)), "nothing but the group that was there before")
	Expect(o.calls(ctx)).NotTo(ContainElement(HaveField("Status", And(BeNumerically(">=", http.StatusBadRequest), Not(Equal(http.StatusNotFound))))))
}

// examples writes one configuration of all of the provider's own examples whose types the twin has, each a module of it as it is.
func (o *tofu) examples(ctx context.Context, module string) (names []string) {
	GinkgoHelper()
	source, err := said(ctx, nil, "go", "-C", filepath.Join("..", "..", "hack", "subjects", "terraform-provider-azapi"), "list", "-m", "-f", "{{.Dir}}", module)
	Expect(err).NotTo(HaveOccurred())
	root := os.DirFS(filepath.Join(strings.TrimSpace(source), "examples"))
	files, err := fs.Glob(root, "*/main.tf")
	Expect(err).NotTo(HaveOccurred())
	deeper, err := fs.Glob(root, "*/*/main.tf")
	Expect(err).NotTo(HaveOccurred())
	types := o.types(ctx)
	main := "terraform {\n  required_providers {\n    azapi = { source = \"Azure/azapi\" }\n  }\n}\n\nprovider \"azapi\" {}\n"
	for _, file := range append(files, deeper...) {
		raw, err := fs.ReadFile(root, file)
		Expect(err).NotTo(HaveOccurred())
		text := string(raw)
		if strings.Contains(text, "azurerm") || !strings.Contains(text, `"resource_name"`) { // another provider's; or it says its names itself
			continue
		}
		here := regexp.MustCompile(`"(Microsoft\.[\w.]+/[\w/]+)@`).FindAllStringSubmatch(text, -1)
		if slices.ContainsFunc(here, func(m []string) bool { return !types[strings.ToLower(m[1])] }) {
			continue
		}
		name := regexp.MustCompile(`\W+`).ReplaceAllString(path.Dir(file), "_")
		Expect(os.MkdirAll(filepath.Join(o.dir, name), 0o755)).To(Succeed())
		Expect(os.WriteFile(filepath.Join(o.dir, name, "main.tf"), raw, 0o600)).To(Succeed())
		main += fmt.Sprintf("\nmodule %q {\n  source        = %q\n  resource_name = \"acctest%04d\"\n}\n", name, "./"+name, len(names))
		names = append(names, name)
	}
	Expect(os.WriteFile(filepath.Join(o.dir, "main.tf"), []byte(main), 0o600)).To(Succeed())
	return names
}

// types are those the twin says it has, in lower case.
func (o *tofu) types(ctx context.Context) map[string]bool {
	GinkgoHelper()
	var providers struct {
		Value []struct {
			Namespace     string
			ResourceTypes []struct{ ResourceType string }
		}
	}
	Expect(o.as(ctx, "reader").Do(ctx, http.MethodGet, "providers", nil, &providers)).To(Succeed())
	types := map[string]bool{"microsoft.resources/resourcegroups": true}
	for _, p := range providers.Value {
		for _, t := range p.ResourceTypes {
			types[strings.ToLower(p.Namespace+"/"+t.ResourceType)] = true
		}
	}
	return types
}

var _ = Describe("OpenTofu, unmodified, with the provider azapi", Label("tier: full", "needs: arm"), func() {
	It("makes what the quickstarts make, finds it as it made it, sees what somebody else changes, and takes it all away", func(ctx context.Context) {
		o := terraform(filepath.Join(GinkgoT().TempDir(), "tutorial"))
		Expect(os.CopyFS(o.dir, os.DirFS(filepath.Join("testdata", "tofu", "azapi")))).To(Succeed())
		Expect(o.run(ctx, "init", "-input=false", "-no-color")).To(ContainSubstring("successfully initialized"))
		o.apply(ctx, "Resources: 13 added, 0 changed, 0 destroyed")

		admin := o.as(ctx, "somebody else")
		const guard = "resourceGroups/tutorial/providers/Microsoft.Network/networkSecurityGroups/guard"
		var body map[string]any
		Expect(admin.Do(ctx, http.MethodGet, guard, nil, &body)).To(Succeed())
		rule, is := arm.At(body, "properties", "securityRules", "0", "properties").(map[string]any)
		Expect(is).To(BeTrueBecause("%v", body))
		rule["destinationPortRange"] = "23"
		Expect(admin.Do(ctx, http.MethodPut, guard, body, nil)).To(Succeed())
		o.apply(ctx, "Resources: 0 added, 1 changed, 0 destroyed")
		o.destroy(ctx)
	}, NodeTimeout(20*time.Minute))

	It("makes what the provider's own examples make, all at once, finds it as it made it, and takes it all away", func(ctx context.Context) {
		o := terraform(GinkgoT().TempDir())
		names := o.examples(ctx, "github.com/Azure/terraform-provider-azapi")
		Expect(len(names)).To(BeNumerically(">=", 38), "examples of types the twin has: %v", names)
		Expect(o.run(ctx, "init", "-input=false", "-no-color")).To(ContainSubstring("successfully initialized"))
		o.apply(ctx, "Apply complete!")
		o.destroy(ctx)
	}, NodeTimeout(30*time.Minute))
})
